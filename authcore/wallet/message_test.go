package wallet

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// plain is a message in whose text the tests change one thing each.
const plain = "app.example.test wants you to sign in with your Ethereum account:\n" +
	"0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n\nSign in.\n\n" +
	"URI: https://app.example.test/login\nVersion: 1\nChain ID: 1\nNonce: Ab3dEf6hIj9kLm2n\n" +
	"Issued At: 2026-01-02T03:04:05.678Z"

func TestParseMessage(t *testing.T) {
	id := "abc-123"
	full := plain + "\nExpiration Time: 2026-01-02T03:09:05Z\nNot Before: 2026-01-02T08:34:05+05:30\nRequest ID: abc-123\n" +
		"Resources:\n- https://a.example/x\n- urn:x:y"
	got := checkParse(t, "http://"+full, true)
	want := Message{
		Scheme: "http", Domain: "app.example.test", Address: newSigner(t, 1).address, Statement: "Sign in.",
		URI: "https://app.example.test/login", Version: "1", ChainID: 1, Nonce: "Ab3dEf6hIj9kLm2n",
		IssuedAt:       timestamp(t, "2026-01-02T03:04:05.678Z"),
		ExpirationTime: timestamp(t, "2026-01-02T03:09:05Z"),
		NotBefore:      timestamp(t, "2026-01-02T08:34:05+05:30"),
		RequestID:      &id,
		Resources:      []string{"https://a.example/x", "urn:x:y"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	if moment := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !got.NotBefore.Time().Equal(moment) {
		t.Errorf("not before %s", got.NotBefore.Time())
	}
	if bare := checkParse(t, plain, true); !bare.ExpirationTime.IsZero() || bare.RequestID != nil || bare.Resources != nil {
		t.Errorf("absent fields are there: %+v", bare)
	}
}

func TestParseMessageRefusals(t *testing.T) {
	longest := strings.Replace(plain, "Sign in.", "Sign in."+strings.Repeat("a", maxMessage-len(plain)), 1)
	for _, c := range []struct {
		name     string
		old, new string // replaced in plain
		line     string // that the error names
		ok       bool
	}{
		{"nothing changed", "", "", "", true},
		{"4096 bytes", plain, longest, "", true},
		{"4097 bytes", plain, strings.Replace(longest, "Sign", "aSign", 1), "longer than 4096", false},
		{"text before it", plain, "Hello\n" + plain, "line 1", false},
		{"leading line feed", plain, "\n" + plain, "line 1", false},
		// What follows the message is signed as well, and whoever reads on takes it for more.
		{"trailing line feed", plain, plain + "\n", "line 11", false},
		{"trailing data", plain, plain + "\nHello", "line 11", false},
		{"a second message", plain, plain + "\n" + plain, "line 11", false},
		{"a second expiration", plain, plain + strings.Repeat("\nExpiration Time: 2030-01-02T03:05:05Z", 2), "line 12", false},
		{"carriage returns", "\n", "\r\n", "line 1", false},
		{"bidirectional mark", "Sign", "Sign\u202e", "line 4", false},
		{"NUL", "Sign", "Sign\x00", "line 4", false},
		{"DEL", "Sign", "Sign\x7f", "line 4", false},
		{"tab", "Sign in", "Sign\tin", "line 4", false},

		{"another sentence", "Ethereum", "Solana", "line 1", false},
		{"no domain", "app.example.test wants", " wants", "line 1", false},
		{"domain with path", ".test wants", ".test/x wants", "line 1", false},
		{"domain without host", "app.example.test wants", ":443 wants", "line 1", false},
		{"domain with a port of letters", ".test wants", ".test:http wants", "line 1", false},
		{"domain with two users", "app.example.test wants", "a@b@c wants", "line 1", false},
		{"domain with bad IPv6", "app.example.test wants", "[::1::2] wants", "line 1", false},
		{"domain with IPv6 zone", "app.example.test wants", "[fe80::1%25lo] wants", "line 1", false},
		{"domain with IPv4 in brackets", "app.example.test wants", "[127.0.0.1] wants", "line 1", false},
		{"domain with bad user information", "app.example.test wants", "a<b@app.example.test wants", "line 1", false},
		{"domain with digits after the bracket", "app.example.test wants", "[::1]80 wants", "line 1", false},
		{"IPv6 with an octet missing", "app.example.test wants", "[::.0.255.0] wants", "line 1", false},
		{"IPv6 with an octet of four digits", "app.example.test wants", "[::0000.0.0.1] wants", "line 1", false},
		{"IPv6 with leading zeros", "app.example.test wants", "[::000.000.010.001] wants", "", true},
		{"IPvFuture", "app.example.test wants", "[v1f.a:b] wants", "", true},
		{"IPvFuture without version", "app.example.test wants", "[v.a] wants", "line 1", false},
		{"IPvFuture of an odd version", "app.example.test wants", "[vg.a] wants", "line 1", false},
		{"IPvFuture without address", "app.example.test wants", "[v1.] wants", "line 1", false},
		{"IPvFuture with a percent", "app.example.test wants", "[v1.%61] wants", "line 1", false},
		{"domain with an open bracket", "app.example.test wants", "[::1 wants", "line 1", false},
		{"domain with text after the bracket", "app.example.test wants", "[::1]x wants", "line 1", false},
		{"domain with broken escape", "app.example.test wants", "app%2.example.test wants", "line 1", false},
		{"IPv6 and port", "app.example.test wants", "[::1]:8080 wants", "", true},
		{"scheme that begins with a digit", "app.example.test wants", "1a://app.example.test wants", "line 1", false},
		{"empty scheme", "app.example.test wants", "://app.example.test wants", "line 1", false},
		{"scheme only", "app.example.test wants", "https:// wants", "line 1", false},

		{"address in lower case", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "line 2", false},
		{"wrong checksum", "0x7E5F", "0x7e5F", "line 2", false},
		{"zero address", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "0x" + strings.Repeat("0", 40), "line 2", false},
		{"name for an address", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "vitalik.eth", "line 2", false},
		{"no empty line after the address", "\n\nSign", "\nSign", "line 3", false},
		{"no empty line after the statement", "in.\n\n", "in.\n", "line 5", false},
		{"no statement", "Sign in.\n", "", "", true},
		{"empty statement", "Sign in.", "", "line 5", false},
		{"statement of two lines", "Sign in.", "Sign\nin.", "line 5", false},
		{"statement with a quote", "in.", `in".`, "line 4", false},
		{"statement that looks like a field", "Sign in.", "URI: https://evil.example/", "", true},

		{"URI without scheme", "URI: https:", "URI: ", "line 6", false},
		{"URI of an odd scheme", "URI: https:", "URI: 1https:", "line 6", false},
		{"URI with broken escapes", "/login", "/%g1", "line 6", false},
		{"URI with an escape cut off", "/login", "/%1", "line 6", false},
		{"URI with a bad path", "/login", "/<", "line 6", false},
		{"URI with a bad fragment", "/login", "/#[", "line 6", false},
		{"empty URI", "https://app.example.test/login", "", "line 6", false},
		{"URI with a space", "/login", "/log in", "line 6", false},
		{"URI with two fragments", "/login", "/login#a#b", "line 6", false},
		{"URI with bad query", "/login", "/login?a[]=b", "line 6", false},
		{"URI with bad authority", "https://app", "https://[app", "line 6", false},
		{"label in lower case", "URI:", "uri:", "line 6", false},
		{"label without space", "URI: ", "URI:", "line 6", false},
		{"version 2", "Version: 1", "Version: 2", "line 7", false},
		{"version 01", "Version: 1", "Version: 01", "line 7", false},
		{"no version", "Version: 1\n", "", "line 7", false},
		{"version and chain swapped", "Version: 1\nChain ID: 1", "Chain ID: 1\nVersion: 1", "line 7", false},
		{"chain 0", "Chain ID: 1", "Chain ID: 0", "line 8", false},
		{"chain 007", "Chain ID: 1", "Chain ID: 007", "line 8", false},
		{"chain +1", "Chain ID: 1", "Chain ID: +1", "line 8", false},
		{"chain 2^64-1", "Chain ID: 1", "Chain ID: 18446744073709551615", "", true},
		// Arithmetic that wraps would make it chain 1.
		{"chain 2^64+1", "Chain ID: 1", "Chain ID: 18446744073709551617", "line 8", false},
		{"nonce of 7", "Ab3dEf6hIj9kLm2n", "abcdef1", "line 9", false},
		{"nonce of 8", "Ab3dEf6hIj9kLm2n", "abcdef12", "", true},
		{"nonce with a dash", "Ab3dEf6hIj9kLm2n", "abcdef1-2", "line 9", false},
		{"no date", "2026-01-02T03:04:05.678Z", "", "line 10", false},
		{"cut off", "\nIssued At: 2026-01-02T03:04:05.678Z", "", "line 10", false},

		// A reader that takes an unreadable date for none never lets the message expire.
		{"expires never", plain, plain + "\nExpiration Time: never", "line 11", false},
		{"expiration empty", plain, plain + "\nExpiration Time: ", "line 11", false},
		{"not before the 31st of February", plain, plain + "\nNot Before: 2100-02-31T00:00:00Z", "line 11", false},
		{"not before and expiration swapped", plain, plain + "\nNot Before: 2026-01-02T03:04:05Z\nExpiration Time: 2026-01-02T03:09:05Z", "line 12", false},
		{"request id with a slash", plain, plain + "\nRequest ID: a/b", "line 11", false},
		{"empty request id", plain, plain + "\nRequest ID: ", "", true},
		{"unknown field", plain, plain + "\nFoo: bar", "line 11", false},
		{"empty resources", plain, plain + "\nResources:", "", true},
		{"resources on the line of the label", plain, plain + "\nResources: - urn:a", "line 11", false},
		{"resource without dash", plain, plain + "\nResources:\nurn:a", "line 12", false},
		{"resource that is no URI", plain, plain + "\nResources:\n- urn:a\n- a", "line 13", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(plain, c.old) {
				t.Fatal("nothing to replace")
			}
			text := strings.ReplaceAll(plain, c.old, c.new)
			if c.old == "" {
				text = plain
			}
			checkParse(t, text, c.ok)
			if _, err := ParseMessage(text); err != nil && !strings.Contains(err.Error(), c.line) {
				t.Errorf("%v does not name %q", err, c.line)
			}
		})
	}
}

// A statement or another field with a line feed in it would write fields of its own.
func TestFormatRefusesInjection(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Message)
	}{
		{"fields in the statement", func(m *Message) {
			m.Statement = "ok\n\nURI: https://evil.example\nVersion: 1\nChain ID: 1\nNonce: EVILNONCE0\nIssued At: 2026-01-02T03:04:05Z\nResources:"
		}},
		{"a date in the nonce", func(m *Message) {
			m.Nonce += "\nIssued At: 2026-01-02T03:04:05Z"
			m.IssuedAt = Timestamp{}
		}},
		{"expiration in the date", func(m *Message) { m.IssuedAt.text += "\nExpiration Time: 2099-01-02T03:04:05Z" }},
		{"resources in the request id", func(m *Message) { id := "a\nResources:"; m.RequestID = &id }},
		{"resource in a resource", func(m *Message) { m.Resources = []string{"urn:a\n- urn:b"} }},
		{"scheme in the domain", func(m *Message) { m.Domain = "https://" + m.Domain }},
		{"resource list that is empty, not absent", func(m *Message) { m.Resources = append([]string{}, "") }},
		{"no address", func(m *Message) { m.Address = Address{} }},
		{"version", func(m *Message) { m.Version = "2" }},
		{"no date", func(m *Message) { m.IssuedAt = Timestamp{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := checkParse(t, plain, true)
			c.change(&m)
			if text, err := m.Format(); !errors.Is(err, ErrInvalidMessage) {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

func TestTimestamp(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // in UTC; empty: refused
	}{
		{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.1Z"},
		{"2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"},
		{"2026-01-02T03:04:05+05:30", "2026-01-01T21:34:05Z"},
		{"2026-01-02T03:04:05.5-23:59", "2026-01-03T03:03:05.5Z"},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"2026-01-02T3:04:05Z", ""},
		{"2026-01-02T03:04:05,5Z", ""},
		{"2026-01-02T03:04:05.Z", ""},
		{"2026-01-02T03:04:05", ""},
		{"2026-01-02T03:04Z", ""},
		{"2026-01-02", ""},
		{"2026-01-02t03:04:05Z", ""},
		{"2026-01-02T03:04:05z", ""},
		{"2026-01-02 03:04:05Z", ""},
		{"2026-01-02T24:00:00Z", ""},
		{"2026-12-31T23:59:60Z", ""},
		{"2025-02-29T00:00:00Z", ""},
		{"2026-01-02T03:04:05+24:00", ""},
		{"2026-01-02T03:04:05+00:60", ""},
		{"2026-01-02T03:04:05+0530", ""},
		{"2026-01-02T03:04:05ZZ", ""},
		{"+02026-01-02T03:04:05Z", ""},
		{"never", ""},
		{"", ""},
	} {
		ts, err := ParseTimestamp(c.in)
		if (err == nil) != (c.want != "") || err == nil && ts.Time().Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q: %s, %v", c.in, ts.Time().Format(time.RFC3339Nano), err)
		}
		if err == nil && ts.String() != c.in {
			t.Errorf("%q became %q", c.in, ts)
		}
	}
	ts := NewTimestamp(time.Date(2026, 1, 2, 4, 4, 5, 999_999, time.FixedZone("", 3600)))
	if again := timestamp(t, ts.String()); ts.String() != "2026-01-02T03:04:05.000Z" || again != ts {
		t.Errorf("%q reads as %q", ts, again)
	}
}
