package policy

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = &authcore.Identity{
		Subject: "u1", Username: "alice", Email: "Alice@Example.com", Roles: []string{"editor"},
		Wallets: []string{"0x52908400098527886E0F7030069857D2E4169EE7", "eip155:10:0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
		Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: noon.Add(-time.Hour)}, {Method: authcore.Passkey, Time: noon.Add(-10 * time.Minute), UserVerified: true}},
	}
	admin = &authcore.Identity{Subject: "u2", Username: "root", Roles: []string{"admin"}, Methods: []authcore.MethodUse{{Method: authcore.Password, Time: noon}}}
)

func mustCompile(t testing.TB, rules ...Rule) *Policy {
	t.Helper()
	p, err := Compile(rules, "/auth")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(path string, id *authcore.Identity) Request {
	return Request{Method: "GET", Path: path, Client: netip.MustParseAddr("192.0.2.1"), Identity: id, Now: noon}
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestVerdictZeroRefuses(t *testing.T) {
	var d Decision
	if d.Verdict != Forbidden {
		t.Fatalf("zero decision is %s", d.Verdict)
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"/admin/*", "/admin", true},
		{"/admin/*", "/admin/", true},
		{"/admin/*", "/admin/x", true},
		{"/admin/*", "/admin/x/y/", true},
		{"/admin/*", "/ADMIN/X", true},
		{"/Admin/*", "/admin", true},
		{"/admin/*", "/administrator", false},
		{"/admin/*", "/admin-x/y", false},
		{"/admin/*", "/", false},
		{"/admin/*", "/x/admin", false},
		{"/healthz", "/healthz", true},
		{"/healthz", "/Healthz", true},
		{"/healthz", "/healthz/", false},
		{"/healthz", "/healthz/x", false},
		{"/healthz", "/healthzz", false},
		{"/docs/", "/docs/", true},
		{"/docs/", "/docs", true},
		{"/docs/", "/docs/x", false},
		{"/", "/", true},
		{"/", "/x", false},
		{"/*", "/", true},
		{"/*", "/x/y", true},
		{"/a b/*", "/a%20b/c", true},
		{"/café/*", "/caf%C3%A9/menu", true},
		{"/café/*", "/CAF%C3%89/menu", true},
		{"/café/*", "/cafe/menu", false},
		{"/straße", "/stra%C3%9Fe", true},
		{"/straße", "/STRA%E1%BA%9EE", true},
		{"/ısı/*", "/%C4%B1s%C4%B1/x", true},
		{"/100%", "/100%25", true},
		{"/a.b/*", "/a.b/c.d", true},
		{"/@x:y,z=(1)!", "/@x:y,z=(1)!", true},
	}
	for _, test := range tests {
		p := mustCompile(t, Rule{Anyone: true, Paths: []string{test.pattern}})
		d := p.Judge(get(test.path, nil))
		want := SignIn
		if test.want {
			want = Allow
		}
		if d.Verdict != want {
			t.Errorf("%s: %s: %v, want %s", test.pattern, test.path, d, want)
		}
	}
}

func TestRuleWithoutPathsNamesEveryPath(t *testing.T) {
	p := mustCompile(t, Rule{Anyone: true, Paths: []string{"/x"}}, Rule{Deny: true})
	for path, want := range map[string]Verdict{"/x": Allow, "/": Forbidden, "/y/z": Forbidden} {
		if d := p.Judge(get(path, alice)); d.Verdict != want {
			t.Errorf("%s: %v, want %s", path, d, want)
		}
	}
}

func TestOrder(t *testing.T) {
	rules := []Rule{
		0: {Anyone: true, Paths: []string{"/posts/*"}, Methods: []string{"GET"}},
		1: {Roles: []string{"editor"}, Paths: []string{"/posts/*"}, Methods: []string{"POST", "PUT"}, From: prefixes("10.0.0.0/8", "::ffff:192.168.0.0/112", "2001:db8::/32")},
		2: {SignedIn: true, Paths: []string{"/posts/drafts/*"}},
		3: {Deny: true, Paths: []string{"/internal/*"}},
	}
	p := mustCompile(t, rules...)
	tests := []struct {
		name, method, path, client string
		id                         *authcore.Identity
		want                       Verdict
		rule                       int
	}{
		{"first rule", "GET", "/posts/1", "192.0.2.1", nil, Allow, 0},
		{"method of the second", "POST", "/posts/1", "10.1.2.3", alice, Allow, 1},
		{"without the role", "POST", "/posts/1", "10.1.2.3", admin, Forbidden, 1},
		{"signed out", "POST", "/posts/1", "10.1.2.3", nil, SignIn, 1},
		{"IPv4 in IPv6 client", "POST", "/posts/1", "::ffff:10.1.2.3", alice, Allow, 1},
		{"IPv4 in IPv6 rule", "POST", "/posts/1", "192.168.1.1", alice, Allow, 1},
		{"IPv6 with zone", "POST", "/posts/1", "2001:db8::1%eth0", alice, Allow, 1},
		{"from fits none", "POST", "/posts/1", "192.0.2.1", alice, Forbidden, -1},
		{"from fits none, signed out: signing in would not help", "POST", "/posts/1", "192.0.2.1", nil, Forbidden, -1},
		{"method fits none", "DELETE", "/posts/1", "10.1.2.3", alice, Forbidden, -1},
		{"HEAD is not GET", "HEAD", "/posts/1", "10.1.2.3", alice, Forbidden, -1},
		{"no address", "POST", "/posts/1", "", alice, Forbidden, -1},
		{"an earlier rule before a narrower one", "GET", "/posts/drafts/1", "192.0.2.1", nil, Allow, 0},
		{"a later rule where none before fits", "DELETE", "/posts/drafts/1", "192.0.2.1", alice, Allow, 2},
		{"deny, signed in", "GET", "/internal/x", "192.0.2.1", admin, Forbidden, 3},
		{"deny, signed out", "GET", "/internal/x", "192.0.2.1", nil, Forbidden, 3},
		{"no rule, signed in", "GET", "/else", "192.0.2.1", alice, Allow, -1},
		{"no rule, signed out", "GET", "/else", "192.0.2.1", nil, SignIn, -1},
	}
	for _, test := range tests {
		req := Request{Method: test.method, Path: test.path, Identity: test.id, Now: noon}
		if test.client != "" {
			req.Client = netip.MustParseAddr(test.client)
		}
		if d := p.Judge(req); d.Verdict != test.want || d.Rule != test.rule {
			t.Errorf("%s: %v, want %s by %d", test.name, d, test.want, test.rule)
		}
	}
}

func TestUsers(t *testing.T) {
	tests := []struct {
		user string
		want bool
	}{
		{"alice", true},
		{"ALICE", true},
		{"alic", false},
		{"alice@example.com", true},
		{"0x52908400098527886e0f7030069857d2e4169ee7", true},
		{"0x52908400098527886E0F7030069857D2E4169EE7", true},
		{"eip155:10:0x8617E340B3D01FA5F11F306F4090FD50E238070D", true},
		{"EIP155:10:0x8617e340b3d01fa5f11f306f4090fd50e238070d", true},
		{"eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D", false},
		{"0x8617E340B3D01FA5F11F306F4090FD50E238070D", false}, // a contract wallet is not the plain key with its address
		{"eip155:1:0x52908400098527886E0F7030069857D2E4169EE7", false},
		{"u1", false}, // a subject is not a username
	}
	for _, test := range tests {
		p := mustCompile(t, Rule{Users: []string{test.user}})
		want := Forbidden
		if test.want {
			want = Allow
		}
		if d := p.Judge(get("/", alice)); d.Verdict != want {
			t.Errorf("%s: %v, want %s", test.user, d, want)
		}
	}
	either := mustCompile(t, Rule{Users: []string{"alice"}, Roles: []string{"admin"}})
	for _, id := range []*authcore.Identity{alice, admin} {
		if d := either.Judge(get("/", id)); d.Verdict != Allow {
			t.Errorf("user or role: %v", d)
		}
	}
}

// An account without a confirmed e-mail keeps the one it had as username; and a username that only looks like the address
// proves nothing. Neither is the address in the rule.
func TestUsernameIsNoEmail(t *testing.T) {
	p := mustCompile(t, Rule{Users: []string{"bob@example.com"}})
	for _, id := range []*authcore.Identity{
		{Username: "bob@example.com"},
		{Username: "mallory", Email: "bob@example.com.evil.example"},
	} {
		if d := p.Judge(get("/", id)); d.Verdict != Forbidden {
			t.Errorf("%+v: %v", id, d)
		}
	}
}

// "ſ" and "K" are "s" and "k" under Unicode folding: an address with one of them would be confirmed by its own owner and
// count as another's.
func TestLookAlikeEmailIsNotFolded(t *testing.T) {
	p := mustCompile(t, Rule{Users: []string{"sk@example.com"}})
	for _, email := range []string{"ſk@example.com", "s\u212a@example.com"} {
		if d := p.Judge(get("/", &authcore.Identity{Email: email})); d.Verdict != Forbidden {
			t.Errorf("%s: %v", email, d)
		}
	}
}

func TestEmptyIdentityIsNobody(t *testing.T) {
	p := mustCompile(t, Rule{Users: []string{"alice", "a@b.example"}, Roles: []string{"r"}})
	if d := p.Judge(get("/", &authcore.Identity{Roles: []string{""}, Wallets: []string{""}})); d.Verdict != Forbidden {
		t.Fatal(d)
	}
}

func TestStepUp(t *testing.T) {
	tests := []struct {
		name   string
		with   []authcore.Method
		within time.Duration
		want   Verdict
	}{
		{"used", []authcore.Method{authcore.Passkey}, 0, Allow},
		{"one of two used", []authcore.Method{authcore.Password, authcore.Wallet}, 0, Allow},
		{"not used", []authcore.Method{authcore.Password}, 0, StepUp},
		{"any method, new enough", nil, 10 * time.Minute, Allow},
		{"any method, too old", nil, 10*time.Minute - 1, StepUp},
		{"this method, new enough", []authcore.Method{authcore.Wallet}, time.Hour, Allow},
		{"this method too old, another new enough", []authcore.Method{authcore.Wallet}, 30 * time.Minute, StepUp},
		{"either", []authcore.Method{authcore.Wallet, authcore.Passkey}, 30 * time.Minute, Allow},
	}
	for _, test := range tests {
		p := mustCompile(t, Rule{Roles: []string{"editor"}, With: test.with, Within: test.within})
		d := p.Judge(get("/", alice))
		if d.Verdict != test.want {
			t.Errorf("%s: %v, want %s", test.name, d, test.want)
		}
		if d.Verdict == StepUp && (!reflect.DeepEqual(d.With, test.with) || d.Within != test.within) {
			t.Errorf("%s: asks for %v within %s", test.name, d.With, d.Within)
		}
		// Who may not gets no step up, which would tell a lie, and who is signed out signs in first.
		if d := p.Judge(get("/", admin)); d.Verdict != Forbidden {
			t.Errorf("%s: without the role: %v", test.name, d)
		}
		if d := p.Judge(get("/", nil)); d.Verdict != SignIn {
			t.Errorf("%s: signed out: %v", test.name, d)
		}
	}
}

// Somebody signs in with a security key that was lost, or left on a desk: it answers a touch without asking for its owner.
func TestPasskeyWithoutUserVerificationIsNoEvidence(t *testing.T) {
	who := *alice
	who.Methods = []authcore.MethodUse{{Method: authcore.Passkey, Time: noon, DeviceBound: true}}
	for name, rule := range map[string]Rule{
		"with":   {SignedIn: true, With: []authcore.Method{authcore.Passkey}},
		"within": {SignedIn: true, Within: time.Hour},
	} {
		if d := mustCompile(t, rule).Judge(get("/", &who)); d.Verdict != StepUp {
			t.Errorf("%s: %v", name, d)
		}
	}
	// Where nothing is asked about the sign-in, it is one.
	if d := mustCompile(t, Rule{SignedIn: true}).Judge(get("/", &who)); d.Verdict != Allow {
		t.Error(d)
	}
	// Another method of the session still counts.
	who.Methods = append(who.Methods, authcore.MethodUse{Method: authcore.Wallet, Time: noon})
	if d := mustCompile(t, Rule{SignedIn: true, Within: time.Hour}).Judge(get("/", &who)); d.Verdict != Allow {
		t.Error(d)
	}
}

// A Policy is not changed by what callers do to the rules afterwards.
func TestCompileCopies(t *testing.T) {
	rule := Rule{Roles: []string{"editor"}, Methods: []string{"GET"}, With: []authcore.Method{authcore.Passkey}, From: prefixes("192.0.2.0/24")}
	p := mustCompile(t, rule)
	rule.Roles[0], rule.Methods[0], rule.With[0], rule.From[0] = "x", "PUT", authcore.Password, netip.Prefix{}
	if d := p.Judge(get("/", alice)); d.Verdict != Allow {
		t.Fatal(d)
	}
}

func TestMethodsThatAreNoTokens(t *testing.T) {
	p := mustCompile(t, Rule{Deny: true, Methods: []string{"DELETE"}}, Rule{Anyone: true})
	for _, method := range []string{"delete", "Delete", "", "GET ", "G\x00T", "GÉT", "GET/"} {
		req := get("/", nil)
		req.Method = method
		if d := p.Judge(req); d.Verdict != BadPath {
			t.Errorf("%q: %v", method, d)
		}
	}
	for _, method := range []string{"GET", "M-SEARCH", "VERSION-CONTROL", "X_1"} {
		req := get("/", nil)
		req.Method = method
		if d := p.Judge(req); d.Verdict != Allow {
			t.Errorf("%q: %v", method, d)
		}
	}
}
