package gateway

import (
	"encoding/binary"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/policy"
)

// claimed are values that claim to be somebody or something; "me" stands for what the request itself proves.
var claimed = []string{
	"admin", "alice", "me", "agp_" + strings.Repeat("A", 64), "Bearer x", "Basic YWRtaW46YWRtaW4=", "/public/x", "GET", "websocket", "https://evil.example", "127.0.0.1", "1", "",
}

// claiming are headers by which clients try to be more: those that the backend is told, in other spellings too, those by
// which servers override a request, and those that carry credentials.
var claiming = []string{
	"Remote-User", "remote_user", "REMOTE.USER", "Remote-Groups", "X-Authgate-Subject", "X-Authgate-Assertion", "X+Authgate+Subject", "Authorization", "X-Api-Key", "Cookie",
	"X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Forwarded-User", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-For", "Origin", "Connection", "Upgrade",
	"Accept", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Access-Control-Request-Method", "X-Requested-With", "Content-Type", "Purpose", "Host", "Te", "Trailer",
}

// overriding are those of them by which a backend would see another URL or method than was judged.
var overriding = []string{"x-original-url", "x-rewrite-url", "x-http-method-override", "x-forwarded-uri", "x-forwarded-method"}

// outcome is what became of a request, as far as authority goes.
type outcome struct {
	passed   bool
	identity http.Header // what the backend is told of who asks, and for what in place of what was judged
}

func (h *house) outcome(r *http.Request) (o outcome) {
	h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		o = outcome{true, http.Header{}}
		for name, values := range r.Header {
			folded := strings.NewReplacer("_", "-", ".", "-", "+", "-").Replace(strings.ToLower(name))
			if strings.HasPrefix(folded, "remote-") || strings.HasPrefix(folded, "x-authgate-") || slices.Contains(overriding, folded) {
				o.identity[name] = slices.Clone(values)
			}
		}
		if said := o.identity["X-Authgate-Assertion"]; len(said) == 1 && !slices.Contains(claimed, said[0]) {
			o.identity.Del("X-Authgate-Assertion") // of the same, and signed each time
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	return o
}

// Whatever a client adds to a request, headers, cookies, a query, other spellings of its path: it is let through nowhere
// where it was not without, and the backend is told nobody else. What is proven by a credential is not an addition, so none
// of these is good.
func FuzzAdditionsRaiseNoAuthority(f *testing.F) {
	h := build(f, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Anyone: true, Paths: []string{"/public/*"}},
			{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
			{Deny: true, Paths: []string{"/internal/*"}},
			{SignedIn: true, Paths: []string{"/reports/*"}, Methods: []string{"GET"}},
			{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
		}
	})
	credentials := [][]string{nil, h.signInTokens(newSigner(1)).bearer(), h.signInCookie(newSigner(2)), h.signInCookie(newSigner(3))}
	// The last is of a session that ended elsewhere: it opens for the life of its access token what no strict rule is about.
	h.endElsewhere(h.signedInAs(credentials[3]))
	// Of each path the stricter reading must hold: no spelling of the others is of a public one.
	paths := map[string][]string{
		"/admin/x":    {"/Admin/x", "//admin/x", "/admin%2Fx", "/admin;a=b/x", "/public/..;/admin/x", "/public/%2e%2e/admin/x", "/./admin/x", "/admin./x", "/%61dmin/x"},
		"/internal/x": {"/INTERNAL/x", "/internal//x", "/public/../internal/x", "/internal%2fx"},
		"/public/x":   {"/public/./x", "/public//x", "/public/%78"},
		"/reports/x":  {"/reports/./x", "/reports//x", "/public/..%2freports/x"},
		"/strict/x":   {"/Strict/x", "/public/..%2fstrict/x", "/public/%2e%2e/strict/x", "/public/..;/strict/x", "//h/strict/x", "/strict/..%2fpublic/x", "/x/%2e%2e/strict/y"},
		"/unnamed":    {"/unnamed/", "/unnamed?/public/x", "/UNNAMED"},
	}
	names := slices.Sorted(maps.Keys(paths))
	methods := []string{"GET", "POST", "DELETE", "OPTIONS", "HEAD"}
	for i := range 64 {
		f.Add(binary.LittleEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15))
	}
	// Each spelling by itself.
	for who := range credentials {
		for i, name := range names {
			for spelling := range paths[name] {
				f.Add([]byte{byte(who), byte(i), 0, 1, byte(spelling)})
			}
		}
	}
	// Each header by itself, in requests that pass: of nobody, of a program and of a browser.
	for who := range credentials {
		for _, name := range []string{"/public/x", "/reports/x"} {
			for header := range claiming {
				f.Add([]byte{byte(who), byte(slices.Index(names, name)), 0, 0, 0, 1, byte(header), 0})
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		next := func(n int) int {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return int(b) % n
		}
		me, name, method := credentials[next(len(credentials))], names[next(len(names))], methods[next(len(methods))]
		make := func(target string) *http.Request {
			r := httptest.NewRequest(method, home, nil)
			r.URL.Path, r.URL.RawPath = "", ""
			u, err := url.Parse(home + target)
			if err != nil {
				t.Skip()
			}
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI = u.Path, u.RawPath, u.RawQuery, target
			for i := 0; i < len(me); i += 2 {
				r.Header.Add(me[i], me[i+1])
			}
			return r
		}
		without := h.outcome(make(name))
		target := name
		if spellings := paths[name]; next(2) == 1 {
			target = spellings[next(len(spellings))]
		}
		if next(2) == 1 && !strings.Contains(target, "?") {
			target += "?user=admin&access_token=" + url.QueryEscape(claimed[next(len(claimed))])
		}
		r := make(target)
		var added []string
		for range next(6) {
			header, value := claiming[next(len(claiming))], claimed[next(len(claimed))]
			if header == "Cookie" {
				value = "__Host-authgate=" + value
			}
			r.Header[header] = append(r.Header[header], value)
			added = append(added, header+": "+value)
		}
		with := h.outcome(r)
		if with.passed && !without.passed {
			t.Errorf("%s %s passes with %q, and not as it is", method, target, added)
		}
		if !with.passed {
			return
		}
		// Additions may spoil a credential; then nobody is told, and nothing else passed than what anybody may see.
		if len(with.identity) > 0 && !maps.EqualFunc(with.identity, without.identity, slices.Equal) {
			t.Errorf("%s %s with %q: the backend is told %v, without %v", method, target, added, with.identity, without.identity)
		}
	})
}
