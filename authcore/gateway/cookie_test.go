package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func form(t *testing.T, origin, domain string) cookieForm {
	t.Helper()
	o, err := parseOrigin(origin)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newCookieForm(o, domain)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCookieAttributes(t *testing.T) {
	tests := []struct{ origin, domain, want string }{
		{"https://app.example.com", "", "__Host-authgate=s.a; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"},
		{"https://app.example.com", "example.com", "__Secure-authgate=s.a; Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example.com; Max-Age=60"},
		{"http://localhost:8080", "", "authgate=s.a; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"},
	}
	for _, tt := range tests {
		if got := form(t, tt.origin, tt.domain).set("s", "a", time.Minute); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.origin, got, tt.want)
		}
	}
}

func TestCookieDomainThatCannotWork(t *testing.T) {
	tests := []struct{ origin, domain string }{
		{"http://localhost", "localhost"},
		{"https://localhost", "localhost"},
		{"https://app.example.com", "com"},
		{"https://app.example.co.uk", "co.uk"},
		{"https://app.github.io", "github.io"},
		{"https://app.example.com", "other.example"},
		{"https://app.example.com", "ample.com"},
		{"https://app.example.com", "sub.app.example.com"},
		{"https://192.0.2.1", "192.0.2.1"},
	}
	for _, tt := range tests {
		o, err := parseOrigin(tt.origin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newCookieForm(o, tt.domain); err == nil {
			t.Errorf("%s with cookie_domain %s was accepted", tt.origin, tt.domain)
		}
	}
}

// Browsers drop a cookie of more than 4096 bytes without a word; a user with many roles would never be signed in.
func TestCookieTooLargeLeavesOutTheAccessToken(t *testing.T) {
	got := form(t, "https://app.example.com", "").set("secret", strings.Repeat("a", 4096), time.Minute)
	if len(got) > maxCookie || !strings.HasPrefix(got, "__Host-authgate=secret.; ") {
		t.Errorf("got %d bytes: %.60s", len(got), got)
	}
}

func TestTakeCookie(t *testing.T) {
	f := form(t, "https://app.example.com", "")
	tests := []struct {
		name  string
		lines []string
		value string
		left  []string
	}{
		{"none", nil, "", nil},
		{"another", []string{"a=b"}, "", []string{"a=b"}},
		{"ours alone", []string{"__Host-authgate=v"}, "v", nil},
		{"ours between others", []string{"a=b; __Host-authgate=v; c=d"}, "v", []string{"a=b; c=d"}},
		{"odd white space", []string{"a=b ;\t__Host-authgate =v;c=d"}, "v", []string{"a=b; c=d"}},
		{"ours of other sites", []string{"__Secure-authgate=x; authgate=y; AUTHGATE=z; a=b"}, "", []string{"a=b"}},
		{"another whose name begins so", []string{"__Host-authgate2=v; xauthgate=1"}, "", []string{"__Host-authgate2=v; xauthgate=1"}},
		{"of who went in circles", []string{"authgate-bounced=0; a=b; Authgate-Bounced=1; __Host-authgate=v"}, "v", []string{"a=b"}},
		{"in the second line", []string{"a=b", "__Host-authgate=v"}, "v", []string{"a=b"}},
		{"empty", []string{"__Host-authgate="}, "", nil},
		// A page of a sibling host planted a second one: which of them is the visitor's cannot be told.
		{"twice", []string{"__Host-authgate=v; __Host-authgate=w"}, "", nil},
		{"twice the same", []string{"__Host-authgate=v", "__Host-authgate=v"}, "", nil},
		{"value with equals signs", []string{"__Host-authgate=v=w"}, "v=w", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.lines != nil {
				h["Cookie"] = slices.Clone(tt.lines)
			}
			value := f.take(h).session
			if value != tt.value || !slices.Equal(h["Cookie"], tt.left) {
				t.Errorf("value %q, left %q; want %q, %q", value, h["Cookie"], tt.value, tt.left)
			}
		})
	}
}

// net/http answers no cookie at all above three thousand; a flood of them must not hide a session cookie that is then
// passed on.
func TestTakeCookieFromAFlood(t *testing.T) {
	h := http.Header{"Cookie": {strings.Repeat("a=b; ", 4000) + "__Host-authgate=v"}}
	if v := form(t, "https://app.example.com", "").take(h).session; v != "v" || strings.Contains(h["Cookie"][0], "authgate") {
		t.Errorf("got %q", v)
	}
}
