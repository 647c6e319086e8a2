package caddymodule

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// operator asks the admin endpoint as a command does, strict about what it understands.
func operator(t *testing.T, path, question string, answer any) (status int, body string) {
	t.Helper()
	for _, route := range (Admin{}).Routes() {
		if route.Pattern != path {
			continue
		}
		w := httptest.NewRecorder()
		err := route.Handler.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(question)))
		if err != nil {
			return 0, err.Error()
		}
		body := w.Body.String()
		in := json.NewDecoder(w.Body)
		in.DisallowUnknownFields()
		if err := in.Decode(answer); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return w.Code, body
	}
	t.Fatalf("no route %s", path)
	return 0, ""
}

func TestExplainOverTheEndpoint(t *testing.T) {
	h := newHouse(t)
	h.load(h.open()+"keys ed25519\n", "authgate {\nallow anyone /public/*\nallow role admin /admin/* {\nmethod GET\nwith wallet\nwithin 5m\n}\nallow signed_in /machines/* {\nwith key\n}\n}\nrespond ok\n")
	_, address := h.signIn()
	var got command.Explained
	status, body := operator(t, command.ExplainPath, `{"url":"/public/..;/admin","user":"`+address+`","method":"GET"}`, &got)
	if status != 200 || len(got.Answers) != 1 {
		t.Fatal(status, body)
	}
	a := got.Answers[0]
	if a.Verdict != "forbidden" || a.Rule != 2 || a.Source == "" || a.Reading != "/admin" || a.User == nil || a.User.Username != address || len(a.Readings) < 2 ||
		a.Text != "allow role admin /admin/* {\n\tmethod GET\n\twith wallet\n\twithin 5m\n}" {
		t.Errorf("%+v", a)
	}
	// Every method that rules take is one by which a user may have signed in.
	for with, verdict := range map[string]string{"key": "allow", "wallet": "step_up"} {
		status, body := operator(t, command.ExplainPath, `{"url":"/machines/x","user":"`+address+`","with":["`+with+`"]}`, &got)
		if status != 200 || got.Answers[0].Verdict != verdict {
			t.Errorf("with %s: %d %s", with, status, body)
		}
	}
	for question, says := range map[string]string{
		`{"url":"https://elsewhere.example.com/"}`: "no site has this origin",
		`{"url":"elsewhere"}`:                      "is no URL",
		`{"url":"/","user":"nobody"}`:              "user not found",
		`{"url":"/","client":"here"}`:              "is no IP address",
		`{"url":"/","with":["keys"]}`:              "write passkey, wallet, password or key",
	} {
		if _, body := operator(t, command.ExplainPath, question, &got); !strings.Contains(body, says) {
			t.Errorf("%s: %s", question, body)
		}
	}
}

// A rule as it is shown can be written into a Caddyfile and is the same rule.
func TestRuleTextIsCaddyfile(t *testing.T) {
	read := func(rules string) *Handler {
		t.Helper()
		h := new(Handler)
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("authgate {\norigin https://app.example.com\n" + rules + "\n}")); err != nil {
			t.Fatalf("%v\n%s", err, rules)
		}
		for i := range h.Rules {
			h.Rules[i].Source = ""
		}
		return h
	}
	written := read(`deny "/a b/*" /it's /say"it" {
		from 10.0.0.0/8 2001:db8::1 192.0.2.1
	}
	allow role editor admin /posts/* /n {
		method POST GET
		with passkey wallet
		within 1h30m
		revocation strict
	}
	allow user alice 0x52908400098527886E0F7030069857D2E4169EE7 Bob@Example.com /x
	allow anyone /public/* {
		method GET HEAD
	}
	allow signed_in {
		within 36h
	}`)
	site, err := written.site()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, rule := range site.Rules {
		texts = append(texts, rule.String())
	}
	again, err := read(strings.Join(texts, "\n")).site()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Rules, site.Rules) {
		t.Errorf("got\n%+v\nwant\n%+v\nby\n%s", again.Rules, site.Rules, strings.Join(texts, "\n"))
	}
}
