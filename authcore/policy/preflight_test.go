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
		want               bool
	}{
		{"the rule says so", "/api/x", "PUT", inside, true},
		{"the rule for this method does not", "/api/x", "DELETE", inside, false},
		{"OPTIONS itself", "/api/x", "OPTIONS", inside, false},
		{"any method", "/api2/x", "PATCH", inside, true},
		{"an earlier rule denies", "/api2/internal/x", "GET", inside, false},
		{"a reading of the path is denied", "/api2/x/..%2Finternal/x", "GET", inside, false},
		{"a reading of the path is of another rule", "/api2/..;/api/x", "GET", inside, false},
		{"the address fits", "/lan/x", "GET", inside, true},
		{"the address does not", "/lan/x", "GET", netip.MustParseAddr("192.0.2.1"), false},
		{"anyone, a method that is named", "/open/x", "GET", inside, true},
		{"anyone, one that is not", "/open/x", "PUT", inside, false},
		{"anyone, and no word of it", "/public/x", "GET", inside, false},
		{"no rule names the path", "/x", "GET", inside, false},
		{"no method", "/api2/x", "", inside, false},
		{"a method that backends fold", "/api2/x", "put", inside, false},
		{"no sane path", "/api2/%00", "PUT", inside, false},
	}
	for _, test := range tests {
		req := Request{Method: "OPTIONS", Path: test.path, Client: test.client}
		if d, passes := p.JudgePreflight(req, test.method); passes != test.want || passes != (d.Verdict == Allow) {
			t.Errorf("%s: %s, %v; want %v", test.name, d.Verdict, passes, test.want)
		}
	}
}

// Preflights are told by headers that anybody can send. Whoever is signed in gets no more by them than anybody else.
func TestAttackPreflightWithIdentity(t *testing.T) {
	p := mustCompile(t, Rule{Deny: true, Paths: []string{"/internal/*"}}, Rule{SignedIn: true, Paths: []string{"/api/*"}, Preflight: true})
	for _, id := range []*authcore.Identity{nil, alice, admin} {
		for _, path := range []string{"/x", "/internal/x", "/api/..%2Finternal/x"} {
			if _, passes := p.JudgePreflight(Request{Method: "OPTIONS", Path: path, Identity: id}, "GET"); passes {
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
