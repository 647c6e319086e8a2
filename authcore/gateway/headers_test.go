package gateway

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestHeadersTellTheIdentity(t *testing.T) {
	ih, err := compileHeaders(Site{Headers: []Header{{Name: "X-WEBAUTH-USER", Value: "u:{username}"}, {Name: "X-Both", Value: "{email} {name}"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	got := http.Header{}
	setHeaders(got, ih.fill(&authcore.Identity{
		Subject: "s1", Username: "ada", Name: "Åda\r\nRemote-User: root", Roles: []string{"admin", "editor"},
		Wallets: []string{"0xa", "0xb"}, Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: time.Now()}},
	}), "assertion")
	want := http.Header{
		"Remote-User": {"ada"}, "Remote-Name": {"%C3%85da%0D%0ARemote-User:%20root"}, "Remote-Groups": {"admin,editor"},
		"X-Authgate-Subject": {"s1"}, "X-Authgate-Wallet": {"0xa"}, "X-Authgate-Methods": {"wallet"},
		"X-Webauth-User": {"u:ada"}, "X-Authgate-Assertion": {"assertion"},
		// No e-mail: no Remote-Email, and no header that would tell half of what it promises.
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Somebody downstream appends to one identity header, or replaces it in place: no other header, and no other request of
// the same visitor, may change by that.
func TestHeadersShareNoMemory(t *testing.T) {
	values := []headerValue{{name: "A", value: "1"}, {name: "B", value: "2"}, {name: assertionHeader, assertion: true}}
	first, second := http.Header{}, http.Header{}
	setHeaders(first, values, "x")
	setHeaders(second, values, "x")
	first["A"] = append(first["A"], "evil")
	first["B"][0] = "evil"
	if want := (http.Header{"A": {"1"}, "B": {"2"}, assertionHeader: {"x"}}); !reflect.DeepEqual(second, want) {
		t.Errorf("got %v", second)
	}
	if first["B"][0] != "evil" || len(first["A"]) != 2 {
		t.Errorf("got %v", first)
	}
}

func TestHeadersThatCannotWork(t *testing.T) {
	for _, h := range []Header{
		{Name: "", Value: "{username}"},
		{Name: "X User", Value: "{username}"},
		{Name: "X_User", Value: "{username}"},
		{Name: "Cookie", Value: "{username}"},
		{Name: "host", Value: "{username}"},
		{Name: "X-User", Value: "{user}"},
		{Name: "X-User", Value: "{username"},
		{Name: "X-User", Value: "static"},
		{Name: "X-User", Value: "ü{username}"},
		{Name: "X-User", Value: "}{username}"},
		{Name: "remote-user", Value: "{username}"},
		{Name: "X-Authgate-Assertion", Value: "{username}"},
		{Name: "X-Authgate-Assertion", Value: "{assertion}"},
		{Name: "X-Jwt", Value: "Bearer {assertion}"},
		{Name: "X-User", Value: "{roles by pipes}"},
		{Name: "X-Very-Long-Header-Name-That-Goes-On-And-On-And-On-Until-Nobody-Reads-It", Value: "{username}"},
	} {
		if _, err := compileHeaders(Site{Headers: []Header{h}}, ""); err == nil {
			t.Errorf("%q: %q was accepted", h.Name, h.Value)
		}
	}
	if _, err := compileHeaders(Site{Headers: []Header{{Name: "Remote-User", Value: "{name}"}}, NoDefaultHeaders: true}, ""); err != nil {
		t.Errorf("a default header of one's own with headers off: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	good := map[string]string{
		"https://App.Example.com":      "https://app.example.com",
		"https://app.example.com/":     "https://app.example.com",
		"https://app.example.com:443":  "https://app.example.com",
		"https://app.example.com:8443": "https://app.example.com:8443",
		"http://localhost:8080":        "http://localhost:8080",
		"http://app.localhost:80":      "http://app.localhost",
		"http://127.0.0.1:8080":        "http://127.0.0.1:8080",
		"https://[2001:db8::1]:8443":   "https://[2001:db8::1]:8443",
	}
	for in, want := range good {
		if o, err := parseOrigin(in); err != nil || o.text != want {
			t.Errorf("%s: %q, %v", in, o.text, err)
		}
	}
	for _, in := range []string{
		"", "app.example.com", "http://app.example.com", "https://", "https://*.example.com", "https://a@example.com",
		"https://example.com/x", "https://example.com?x", "https://example.com#x", "ftp://example.com", "https://exämple.com",
		"https://example.com.", "https://example.com:",
	} {
		if o, err := parseOrigin(in); err == nil {
			t.Errorf("%q was accepted as %q", in, o.text)
		}
	}
}
