package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// provisioned validates JSON options of the app as they are, as somebody writes them who uses no Caddyfile.
func provisioned(t *testing.T, app, handler string) error {
	t.Helper()
	var config caddy.Config
	text := `{"admin":{"disabled":true},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},
		"storage":{"module":"file_system","root":` + string(jsonText(t, t.TempDir())) + `},
		"apps":{"authgate":` + app + `,"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},
		"routes":[{"handle":[{"handler":"authgate","origin":"https://app.example.com"` + handler + `}]}]}}}}}`
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return caddy.Validate(&config)
}

func jsonText(t *testing.T, s string) []byte {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What the Caddyfile refuses at its line, JSON refuses too, and what only loading tells is told then: a secret that is
// missing is no empty secret.
func TestMailIsChecked(t *testing.T) {
	dir := t.TempDir()
	secret, empty := filepath.Join(dir, "secret"), filepath.Join(dir, "empty")
	for file, text := range map[string]string{secret: "s3cret\n", empty: ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AUTHGATE_TEST_SECRET", "s3cret")
	t.Setenv("AUTHGATE_TEST_EMPTY", "")
	t.Setenv("AUTHGATE_TEST_ADDRESS", "mail.example.com:587")
	t.Setenv("AUTHGATE_TEST_TLS", "maybe")
	mail := func(smtp string) string { return `{"mail":{"from":"auth@example.com","smtp":{` + smtp + `}}}` }
	for _, c := range []struct{ name, app, handler, want string }{
		{"all there is", `{"password":{"min_length":14},"mail":{"from":"Example <auth@example.com>","templates":"testdata/mails","smtp":{
			"address":"mail.example.com:465","username":"u","password":"p","tls":"implicit"}}}`, `,"methods":["password"]`, ""},
		{"secret in the environment", mail(`"address":"{env.AUTHGATE_TEST_ADDRESS}","username":"u","password":"{env.AUTHGATE_TEST_SECRET}"`), "", ""},
		{"secret in a file", mail(`"address":"localhost:25","username":"u","password":"{file.` + secret + `}"`), "", ""},
		{"empty secret", mail(`"address":"localhost:25","username":"u","password":"{env.AUTHGATE_TEST_EMPTY}"`), "", "mail: smtp password: "},
		{"unset secret", mail(`"address":"localhost:25","username":"u","password":"{env.AUTHGATE_TEST_UNSET}"`), "", "mail: smtp password: "},
		{"empty file", mail(`"address":"localhost:25","username":"u","password":"{file.` + empty + `}"`), "", "mail: smtp password: "},
		{"no such file", mail(`"address":"localhost:25","username":"u","password":"{file.` + dir + `/none}"`), "", "mail: smtp password: "},
		{"unknown placeholder", mail(`"address":"localhost:25","username":"{what.ever}","password":"p"`), "", "mail: smtp username: "},
		{"no from", `{"mail":{"smtp":{"address":"localhost:25"}}}`, "", "mail: from is missing"},
		{"no server", `{"mail":{"from":"auth@example.com"}}`, "", "mail: smtp is missing"},
		{"from", `{"mail":{"from":"auth","smtp":{"address":"localhost:25"}}}`, "", `mail: from "auth"`},
		{"server without port", mail(`"address":"mail.example.com"`), "", "must be host:port"},
		{"tls", mail(`"address":"localhost:25","tls":"{env.AUTHGATE_TEST_TLS}"`), "", `tls "maybe"`},
		{"username without password", mail(`"address":"localhost:25","username":"u"`), "", "go together"},
		{"password in the open", mail(`"address":"mail.example.com:25","username":"u","password":"p","tls":"off"`), "", "without TLS"},
		{"no such folder", `{"mail":{"from":"auth@example.com","templates":"testdata/none","smtp":{"address":"localhost:25"}}}`, "", "testdata/none"},
		{"broken template", `{"mail":{"from":"auth@example.com","templates":"testdata/mails_broken","smtp":{"address":"localhost:25"}}}`, "", "confirm.txt:3"},
		{"passwords without mail", `{"password":{"min_length":14}}`, "", "passwords need mail"},
		{"site with passwords without mail", `{}`, `,"methods":["passkey","password"]`, "passwords need mail"},
		{"site with passwords that are off", `{"password":{"off":true},"mail":{"from":"auth@example.com","smtp":{"address":"localhost:25"}}}`, `,"methods":["password"]`, "is not on"},
		{"unknown option", `{"mail":{"to":"x"}}`, "", "unknown field"},
		{"short passwords", `{"password":{"min_length":8},"mail":{"from":"auth@example.com","smtp":{"address":"localhost:25"}}}`, "", "min_length 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := provisioned(t, c.app, c.handler)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// The hasher is what bounds memory and cores: two configurations that overlap must not have one each.
func TestReloadKeepsTheHasher(t *testing.T) {
	h := newHouse(t)
	mail := "mail {\nfrom auth@example.com\nsmtp localhost:1\n}\n"
	h.load(h.open()+mail, plain)
	before := counted.hashing.hasher.Load()
	h.load(h.open()+mail+"rate_limit 1000 1m\n", plain)
	if after := counted.hashing.hasher.Load(); before == nil || after != before {
		t.Errorf("the hasher is %p and was %p", after, before)
	}
}

// Mail needs the store of accounts only: that challenges cannot be kept is no reason to let it wait.
func TestMailNeedsNoChallengeStore(t *testing.T) {
	h := newHouse(t)
	counted.mails.MailWaiting(99, 0)
	h.load(h.open()+"challenge_store redis redis://127.0.0.1:1\nmail {\nfrom auth@example.com\nsmtp localhost:1\n}\n", plain)
	looked := time.NewTicker(10 * time.Millisecond)
	defer looked.Stop()
	for deadline := time.After(10 * time.Second); gathered(t, counted)["caddy_authgate_mails_waiting{}"] != 0; {
		select {
		case <-looked.C:
		case <-deadline:
			t.Fatal("nobody looks into the outbox")
		}
	}
}
