package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// A preflight passes where a rule says so, as from nobody.
func TestPreflight(t *testing.T) {
	var told []*authcore.Identity
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Roles: []string{"editor"}, Paths: []string{"/api/*"}, Methods: []string{"PUT"}, Preflight: true, Strict: true},
			{Roles: []string{"admin"}},
		}
		s.Identified = func(_ *http.Request, id *authcore.Identity) { told = append(told, id) }
	})
	alice := h.signInCookie(newSigner(1))
	tests := []struct {
		name, path string
		header     []string
		want       int
	}{
		{"as the rule says", "/api/x", []string{"Access-Control-Request-Method", "PUT", "Origin", "https://other.example"}, 418},
		{"from somebody who may not", "/api/x", append(alice, "Access-Control-Request-Method", "PUT", "Origin", "https://other.example"), 418},
		{"for another method", "/api/x", []string{"Access-Control-Request-Method", "DELETE", "Origin", "https://other.example"}, 401},
		{"elsewhere", "/x", []string{"Access-Control-Request-Method", "PUT", "Origin", "https://other.example"}, 401},
		{"from no page", "/api/x", []string{"Access-Control-Request-Method", "PUT"}, 401},
		{"that asks for nothing", "/api/x", []string{"Origin", "https://other.example"}, 401},
		{"for two methods", "/api/x", []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Method", "GET", "Origin", "https://other.example"}, 401},
		{"by no OPTIONS", "/api/x", []string{"Access-Control-Request-Method", "PUT", "Origin", "https://other.example", "method", "PUT"}, 401},
		{"of a closed reading", "/api/..%2Fx", []string{"Access-Control-Request-Method", "PUT", "Origin", "https://other.example"}, 401},
	}
	for _, test := range tests {
		r := httptest.NewRequest("OPTIONS", home+test.path, http.NoBody)
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Add(test.header[i], test.header[i+1])
		}
		if m := r.Header.Get("method"); m != "" {
			r.Method = m
		}
		// What a backend might take for somebody, beside what the gateway takes for itself.
		r.Header.Set("Authorization", "Negotiate x")
		r.Header.Add("Cookie", "app=1")
		r.Header.Set("X-Api-Key", "app")
		told = nil
		w := httptest.NewRecorder()
		passed := false
		err := h.gateway.Handle(w, r, func(w http.ResponseWriter, r *http.Request) error {
			passed = true
			for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Remote-User", "X-Authgate-Subject"} {
				if r.Header[name] != nil {
					t.Errorf("%s: %s: %q reaches the backend", test.name, name, r.Header[name])
				}
			}
			return nil
		})
		if passed != (test.want == 418) || err == nil && !passed {
			t.Errorf("%s: passed %v, %v", test.name, passed, err)
		}
		if passed && (len(told) == 0 || told[len(told)-1] != nil) {
			t.Errorf("%s: the server is told of somebody", test.name)
		}
	}
}
