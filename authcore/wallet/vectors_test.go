package wallet

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// readVectors reads a file of the shared vectors, which lie beside the repository and are not part of it. Only where
// they are absent altogether the test is skipped.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared")
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		t.Skip("no shared vectors beside the repository")
	}
	data, err := os.ReadFile(filepath.Join(root, "vectors", "ethereum", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// policies are the verdicts on texts about which the grammar, or its readers, leave a choice, and why they are so.
var policies = map[string]struct {
	accept bool
	why    string
}{
	"empty statement (three LF after address)": {false, "two spellings for 'no statement'; older readers refuse it too"},
	"userinfo spoof of our domain":             {true, "the grammar has user information; the domain then equals no origin (TestClientWritten)"},
	"address 0X":                               {false, "not the ERC-55 form that wallets show"},
	"chain 007":                                {false, "one chain, one spelling"},
	"chain 2^64+1 (wraps to 1)":                {false, "it must never become chain 1"},
	"Issued At 2026-01-02t03:04:05z":           {false, "one moment, one spelling of T and Z"},
	"Issued At 2026-12-31T23:59:60Z":           {false, "no clock that it is compared with has leap seconds"},
	"not before after expiration":              {true, "well-formed; SignIn refuses it at every moment (TestClientWritten)"},
	"resources 10000":                          {false, "longer than 4096 bytes"},
}

func TestVectorsParse(t *testing.T) {
	var cases []struct{ Name, Strict, Why, Message string }
	readVectors(t, "own/parse.json", &cases)
	if len(cases) < 80 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			want := c.Strict == "accept"
			if c.Strict == "policy" {
				p, ok := policies[c.Name]
				if !ok {
					t.Fatalf("no policy on this text (%s)", c.Why)
				}
				want = p.accept
			}
			checkParse(t, c.Message, want)
		})
	}
}

// checkParse parses and, where that succeeds, demands the round trip.
func checkParse(t *testing.T, text string, want bool) Message {
	t.Helper()
	m, err := ParseMessage(text)
	if (err == nil) != want {
		t.Fatalf("accepted: %v, want %v (%v)\n%s", err == nil, want, err, text)
	}
	if err != nil {
		if !errors.Is(err, ErrInvalidMessage) {
			t.Fatalf("error %v is not ErrInvalidMessage", err)
		}
		return m
	}
	if again, err := m.Format(); err != nil || again != text {
		t.Fatalf("round trip: %v\n%q\n%q", err, again, text)
	}
	return m
}

func TestVectorsSIWENegative(t *testing.T) {
	for _, file := range []string{"parsing_negative", "invalid_uris", "invalid_resources"} {
		var cases map[string]string
		readVectors(t, "siwe/"+file+".json", &cases)
		for name, text := range cases {
			t.Run(file+"/"+name, func(t *testing.T) { checkParse(t, text, false) })
		}
	}
}

func TestVectorsSIWETexts(t *testing.T) {
	type text struct {
		Msg   string
		Items *struct {
			Statement, RequestID *string
			Resources            []string
		}
	}
	for _, file := range []string{"valid_uris", "valid_resources", "valid_specification"} {
		var cases map[string]text
		readVectors(t, "siwe/"+file+".json", &cases)
		for name, c := range cases {
			t.Run(file+"/"+name, func(t *testing.T) {
				m := checkParse(t, c.Msg, true)
				if c.Items == nil {
					return
				}
				if (c.Items.RequestID == nil) != (m.RequestID == nil) || (c.Items.Resources == nil) != (m.Resources == nil) {
					t.Errorf("absent and empty are not told apart: %+v", m)
				}
				if c.Items.Statement != nil && *c.Items.Statement != m.Statement {
					t.Errorf("statement %q", m.Statement)
				}
			})
		}
	}
	var contracts map[string]struct{ Message string }
	readVectors(t, "siwe/eip1271.json", &contracts)
	for name, c := range contracts {
		t.Run(name, func(t *testing.T) { checkParse(t, c.Message, true) })
	}
}

// fields is a message as the shared vectors write it.
type fields struct {
	Scheme, Domain, Address, Statement, URI, Version, Nonce string
	ChainID                                                 uint64
	IssuedAt, ExpirationTime, NotBefore                     string
	RequestID                                               *string
	Resources                                               []string
}

// message answers the fields as Message; what Message cannot even hold is an error.
func (f fields) message() (Message, error) {
	m := Message{
		Scheme: f.Scheme, Domain: f.Domain, Statement: f.Statement, URI: f.URI, Version: f.Version, ChainID: f.ChainID,
		Nonce: f.Nonce, RequestID: f.RequestID, Resources: f.Resources,
	}
	var err error
	if m.Address, err = ParseAddress(f.Address); err != nil {
		return Message{}, err
	}
	for _, ts := range []struct {
		text string
		to   *Timestamp
	}{{f.IssuedAt, &m.IssuedAt}, {f.ExpirationTime, &m.ExpirationTime}, {f.NotBefore, &m.NotBefore}} {
		if ts.text == "" {
			continue
		}
		if *ts.to, err = ParseTimestamp(ts.text); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

func (f fields) format() (string, error) {
	m, err := f.message()
	if err != nil {
		return "", err
	}
	return m.Format()
}

func TestVectorsSIWEPositive(t *testing.T) {
	var cases map[string]struct {
		Message string
		Fields  fields
	}
	readVectors(t, "siwe/parsing_positive.json", &cases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			checkParse(t, c.Message, true)
			if text, err := c.Fields.format(); err != nil || text != c.Message {
				t.Errorf("%v\n%q\n%q", err, text, c.Message)
			}
		})
	}
}

func TestVectorsSIWEObjects(t *testing.T) {
	var negative map[string]fields
	readVectors(t, "siwe/parsing_negative_objects.json", &negative)
	for name, f := range negative {
		t.Run(name, func(t *testing.T) {
			if text, err := f.format(); err == nil {
				t.Errorf("formatted\n%s", text)
			}
		})
	}
	var objects map[string]struct {
		Msg   fields
		Error string
	}
	readVectors(t, "siwe/message_objects.json", &objects)
	for name, c := range objects {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Msg.format(); (err == nil) != (c.Error == "none") {
				t.Errorf("error %v, want %s", err, c.Error)
			}
		})
	}
}

func TestVectorsSIWECharacters(t *testing.T) {
	rules := map[string]func(string) bool{
		"scheme":      isScheme,
		"statement":   isStatement,
		"userinfo":    func(s string) bool { return isEncoded(s, ":") },
		"reg-name":    func(s string) bool { return isEncoded(s, "") },
		"pct-encoded": func(s string) bool { return isEncoded(s, "") },
		"segment-nz":  func(s string) bool { return s != "" && isEncoded(s, ":@") },
		"query":       func(s string) bool { return isEncoded(s, ":@/?") },
		"fragment":    func(s string) bool { return isEncoded(s, ":@/?") },
		"IPvFuture":   isIPvFuture,
	}
	for _, file := range []string{"valid_chars", "invalid_chars"} {
		var cases map[string]struct {
			Rule, Input string
			Answer      bool
		}
		readVectors(t, "siwe/"+file+".json", &cases)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				rule, ok := rules[c.Rule]
				if !ok {
					t.Fatalf("no function for rule %s", c.Rule)
				}
				if rule(c.Input) != c.Answer {
					t.Errorf("%s(%q) is %v", c.Rule, c.Input, !c.Answer)
				}
			})
		}
	}
}
