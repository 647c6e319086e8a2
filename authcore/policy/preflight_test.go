package policy

import (
	"net/netip"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestJudgePreflight(t *testing.T) {
	p := mustCompile(t,
		Rule{Roles: []string{"editor"}, Paths: []string{"/api/*"}, Methods: []string{"PUT"}, Preflight: true},
		Rule{SignedIn: true, Paths: []string{"/api/*"}},
		Rule{Deny: true, Paths: []string{"/api2/internal/*"}},
		Rule{SignedIn: true, Paths: []string{"/api2/*"}, Preflight: true},
		Rule{SignedIn: true, Paths: []string{"/lan/*"}, From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Preflight: true},
		Rule{Anyone: true, Paths: []string{"/open/*"}, Methods: []string{"GET"}, Preflight: true},
		Rule{Anyone: true, Paths: []string{"/public/*"}},
	)
	inside := netip.MustParseAddr("10.1.2.3")
	tests := []struct {
		name, path, method string
		client             netip.Addr
		want               Verdict
		preflight          bool
	}{
		{"the rule says so", "/api/x", "PUT", inside, Allow, true},
		{"the rule for this method does not", "/api/x", "DELETE", inside, SignIn, false},
		{"OPTIONS itself", "/api/x", "OPTIONS", inside, SignIn, false},
		{"any method", "/api2/x", "PATCH", inside, Allow, true},
		{"an earlier rule denies", "/api2/internal/x", "GET", inside, Forbidden, false},
		{"a reading of the path is denied", "/api2/x/..%2Finternal/x", "GET", inside, Forbidden, false},
		{"a reading of the path is of another rule", "/api2/..;/api/x", "GET", inside, SignIn, false},
		{"the address fits", "/lan/x", "GET", inside, Allow, true},
		{"the address does not", "/lan/x", "GET", netip.MustParseAddr("192.0.2.1"), Forbidden, false},
		{"anyone, a method that is named", "/open/x", "GET", inside, Allow, true},
		{"anyone, one that is not", "/open/x", "PUT", inside, Forbidden, false},
		{"anyone, and no word of it", "/public/x", "GET", inside, Allow, false},
		{"no rule names the path", "/x", "GET", inside, SignIn, false},
		{"no method", "/api2/x", "", inside, SignIn, false},
		{"a method that backends fold", "/api2/x", "put", inside, SignIn, false},
		{"no sane path", "/api2/%00", "PUT", inside, BadPath, false},
	}
	for _, test := range tests {
		req := Request{Method: "OPTIONS", Path: test.path, Client: test.client}
		d, preflight := p.JudgePreflight(req, test.method)
		if d.Verdict != test.want || preflight != test.preflight {
			t.Errorf("%s: %s, %v; want %s, %v", test.name, d.Verdict, preflight, test.want, test.preflight)
		}
	}
}

// Preflights are told by headers that anybody can send. Whoever is signed in gets no more by them than anybody else.
func TestAttackPreflightWithIdentity(t *testing.T) {
	p := mustCompile(t, Rule{Deny: true, Paths: []string{"/internal/*"}}, Rule{SignedIn: true, Paths: []string{"/api/*"}, Preflight: true})
	for _, id := range []*authcore.Identity{nil, alice, admin} {
		for _, path := range []string{"/x", "/internal/x", "/api/..%2Finternal/x"} {
			if _, preflight := p.JudgePreflight(Request{Method: "OPTIONS", Path: path, Identity: id}, "GET"); preflight {
				t.Errorf("%s passes as a preflight", path)
			}
		}
	}
}

func TestPreflightOfNoUse(t *testing.T) {
	_, err := Compile([]Rule{{Deny: true, Preflight: true}}, "")
	if want := "policy: rule 1: preflight is of no use where nobody is let in; take it out"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
