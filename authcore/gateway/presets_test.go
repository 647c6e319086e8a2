package gateway

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

const ourKeys = "https://app.example.com/auth/jwks.json"

func tell(t testing.TB, s Site, id *authcore.Identity) http.Header {
	t.Helper()
	ih, err := compileHeaders(s, ourKeys)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	setHeaders(h, ih.fill(id), "signed")
	return h
}

// What each preset tells, by the names, with the separators and in the form of the gateway that it is named after.
func TestPresets(t *testing.T) {
	alice := &authcore.Identity{
		Subject: "u-1", Username: "alice", Name: "Alice Liddell", Email: "alice@example.com", Roles: []string{"admin", "viewer"},
	}
	want := map[string]http.Header{
		"authgate": {
			"Remote-User": {"alice"}, "Remote-Name": {"Alice Liddell"}, "Remote-Email": {"alice@example.com"}, "Remote-Groups": {"admin,viewer"},
			"X-Authgate-Subject": {"u-1"}, "X-Authgate-Assertion": {"signed"},
		},
		"authelia": {
			"Remote-User": {"alice"}, "Remote-Name": {"Alice Liddell"}, "Remote-Email": {"alice@example.com"}, "Remote-Groups": {"admin,viewer"},
		},
		"oauth2-proxy": {
			"X-Forwarded-User": {"alice"}, "X-Forwarded-Preferred-Username": {"alice"}, "X-Forwarded-Email": {"alice@example.com"}, "X-Forwarded-Groups": {"admin,viewer"},
			"X-Auth-Request-User": {"alice"}, "X-Auth-Request-Preferred-Username": {"alice"}, "X-Auth-Request-Email": {"alice@example.com"}, "X-Auth-Request-Groups": {"admin,viewer"},
		},
		"authentik": {
			"X-Authentik-Username": {"alice"}, "X-Authentik-Groups": {"admin|viewer"}, "X-Authentik-Email": {"alice@example.com"},
			"X-Authentik-Name": {"Alice Liddell"}, "X-Authentik-Uid": {"u-1"}, "X-Authentik-Jwt": {"signed"}, "X-Authentik-Meta-Jwks": {ourKeys},
		},
		"pomerium": {
			"X-Pomerium-Jwt-Assertion": {"signed"}, "X-Pomerium-Claim-Sub": {"u-1"}, "X-Pomerium-Claim-User": {"u-1"},
			"X-Pomerium-Claim-Email": {"alice@example.com"}, "X-Pomerium-Claim-Name": {"Alice Liddell"}, "X-Pomerium-Claim-Groups": {"admin,viewer"},
		},
		"cloudflare": {"Cf-Access-Jwt-Assertion": {"signed"}, "Cf-Access-Authenticated-User-Email": {"alice@example.com"}},
		"grafana": {
			"X-Webauth-User": {"alice"}, "X-Webauth-Name": {"Alice Liddell"}, "X-Webauth-Email": {"alice@example.com"},
			"X-Webauth-Groups": {"admin,viewer"}, "X-Webauth-Role": {"Admin"},
		},
	}
	for _, name := range Presets() {
		if got := tell(t, Site{Preset: name}, alice); !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s\ngot  %v\nwant %v", name, got, want[name])
		}
	}
	if len(want) != len(Presets()) {
		t.Errorf("there are %q", Presets())
	}
}

// Who has no name, no confirmed address and no role is told by headers that are absent, not empty.
func TestPresetsLeaveOutWhatIsNot(t *testing.T) {
	nobody := &authcore.Identity{Subject: "u-1", Username: "0x52908400098527886E0F7030069857D2E4169EE7"}
	for _, name := range Presets() {
		for header, values := range tell(t, Site{Preset: name}, nobody) {
			if values[0] == "" {
				t.Errorf("%s: %s is empty", name, header)
			}
		}
	}
	if got := tell(t, Site{Preset: "grafana"}, &authcore.Identity{Username: "bob", Roles: []string{"administrator", "grafana"}})["X-Webauth-Role"]; got != nil {
		t.Errorf("roles of another name gave %q in Grafana", got)
	}
}

// A value that is not printable ASCII is percent-encoded, and stands as it is where raw is written; but never what would end
// the line, or is no UTF-8.
func TestRawValues(t *testing.T) {
	tests := []struct{ name, in, encoded, raw string }{
		{"ascii", "Alice Liddell", "Alice Liddell", "Alice Liddell"},
		{"beyond it", "Ålice Łiddell", "%C3%85lice%20%C5%81iddell", "Ålice Łiddell"},
		{"line break", "Å\r\nRemote-User: root", "%C3%85%0D%0ARemote-User:%20root", "%C3%85%0D%0ARemote-User:%20root"},
		{"control character", "Å\x1b[2J", "%C3%85%1B%5B2J", "%C3%85%1B%5B2J"},
		{"control character of Latin-1", "Å\u0085x", "%C3%85%C2%85x", "%C3%85%C2%85x"},
		{"no UTF-8", "\xff\xfe", "%FF%FE", "%FF%FE"},
		{"cut off", "a\xc3", "a%C3", "a%C3"},
	}
	for _, tt := range tests {
		id := &authcore.Identity{Subject: "u", Name: tt.in}
		for raw, want := range map[bool]string{false: tt.encoded, true: tt.raw} {
			if got := tell(t, Site{Preset: "authelia", RawPreset: raw}, id).Get("Remote-Name"); got != want {
				t.Errorf("%s, raw %v: %q, want %q", tt.name, raw, got, want)
			}
			s := Site{NoDefaultHeaders: true, Headers: []Header{{Name: "X-Name", Value: "{name}", Raw: raw}}}
			if got := tell(t, s, id).Get("X-Name"); got != want {
				t.Errorf("%s, header, raw %v: %q, want %q", tt.name, raw, got, want)
			}
		}
	}
}

// FuzzHeaderValues: whatever somebody is called, no header has a byte that ends it, and with raw none that is no text.
func FuzzHeaderValues(f *testing.F) {
	for _, s := range []string{"", "alice", "Ålice", "a\r\nb", "\xff", "\u0085", "\u202ex", strings.Repeat("ä", 300)} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, name string, raw bool) {
		for _, values := range tell(t, Site{Preset: "grafana", RawPreset: raw}, &authcore.Identity{Subject: "u", Username: name, Name: name, Email: name}) {
			v := values[0]
			switch {
			case v == "" || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl):
				t.Errorf("%q became %q", name, v)
			case !raw && strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }):
				t.Errorf("%q became %q", name, v)
			}
		}
	})
}

// A client claims to be somebody to an application that believes another gateway: by the names that this gateway sends, by the
// others that it sent, and by what those look like to a CGI-like interface.
func TestForgedHeadersOfPresets(t *testing.T) {
	more := map[string][]string{
		"oauth2-proxy": {"X-Forwarded-Access-Token", "X-Auth-Request-Access-Token", "X-Auth-Request-Redirect"},
		"authentik":    {"X-Authentik-Entitlements", "X-Authentik-Meta-App", "X-Authentik-Meta-Outpost"},
		"pomerium":     {"X-Pomerium-Claim-Given-Name", "X-Pomerium-Claim-" + strings.Repeat("X", 80)},
		"cloudflare":   {"Cf-Access-Token", "Cf-Access-Client-Id"},
		"grafana":      {"X-Webauth-Login", "X-Webauth-Orgs"},
	}
	for _, preset := range Presets() {
		s := newStripper(Site{Preset: preset})
		names := slices.Concat(more[preset], []string{"Remote-User", "X-Authgate-Assertion"})
		for _, h := range presets[preset].headers {
			names = append(names, h.Name)
		}
		for _, name := range names {
			spellings := []string{name, strings.ToLower(name), strings.ToUpper(name)}
			for _, sep := range []string{"_", ".", "+", " ", "~"} {
				spellings = append(spellings, strings.ReplaceAll(name, "-", sep), strings.ToLower(strings.Replace(name, "-", sep, 1)))
			}
			for _, spelled := range spellings {
				r := &http.Request{Header: http.Header{spelled: {"admin"}, "Accept": {"*/*"}}}
				s.strip(r, false, nil)
				if len(r.Header) != 1 {
					t.Errorf("%s: %q passed", preset, spelled)
				}
			}
		}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Cf-Ray", "X-Pomerium", "X-Webauthn", "X-Auth-Token", "X-Authentication"} {
			r := &http.Request{Header: http.Header{name: {"x"}}}
			s.strip(r, false, nil)
			if len(r.Header) != 1 {
				t.Errorf("%s: %q was removed", preset, name)
			}
		}
	}
}

func TestPresetsThatCannotWork(t *testing.T) {
	for name, s := range map[string]Site{
		"unknown":                    {Preset: "keycloak"},
		"and off":                    {Preset: "grafana", NoDefaultHeaders: true},
		"a name in place of it":      {NoDefaultHeaders: true, Headers: []Header{{Name: "X-Authgate-Assertion", Value: "{username}"}}},
		"a header of it once more":   {Preset: "grafana", Headers: []Header{{Name: "x-webauth-user", Value: "{email}"}}},
		"another spelling of a name": {Preset: "pomerium", Headers: []Header{{Name: "X-POMERIUM-jwt-assertion", Value: "{assertion}"}}},
	} {
		if _, err := compileHeaders(s, ourKeys); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	further := Site{Preset: "grafana", Headers: []Header{{Name: "X-Authgate-Assertion", Value: "{assertion}"}, {Name: "Remote-User", Value: "{email}"}}}
	if got := tell(t, further, &authcore.Identity{Subject: "u", Username: "bob", Email: "b@example.com"}); got.Get("X-Authgate-Assertion") != "signed" || got.Get("Remote-User") != "b@example.com" {
		t.Errorf("got %v", got)
	}
}
