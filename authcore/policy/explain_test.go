package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// explained are rules of all kinds, in front of each other.
var explained = []Rule{
	{Source: "Caddyfile:1", Deny: true, Paths: []string{"/internal/*"}},
	{Source: "Caddyfile:2", Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
	{Source: "Caddyfile:3", Roles: []string{"editor", "admin"}, Users: []string{"bob"}, Paths: []string{"/posts/*"}, Methods: []string{"POST", "PUT"}},
	{Source: "Caddyfile:4", Anyone: true, Paths: []string{"/posts/*", "/public/*", "/straße"}, Methods: []string{"GET"}},
	{Source: "Caddyfile:5", SignedIn: true, Paths: []string{"/lab/*"}, From: prefixes("10.0.0.0/8", "2001:db8::/32")},
	{Source: "Caddyfile:6", SignedIn: true, Paths: []string{"/vault"}, With: []authcore.Method{authcore.Passkey}, Within: 5 * time.Minute, Strict: true},
}

// checkExplanation checks what holds of every explanation.
func checkExplanation(t *testing.T, p *Policy, req Request) {
	t.Helper()
	e, d := p.Explain(req), p.Judge(req)
	if e.Verdict != d.Verdict || e.Rule != d.Rule || e.Reading != d.Reading || e.Within != d.Within || !slices.Equal(e.With, d.With) {
		t.Fatalf("%s %q: explained as %+v, judged as %+v", req.Method, req.Path, e.Decision, d)
	}
	if len(e.Words) == 0 {
		t.Errorf("%s %q: words %q", req.Method, req.Path, e.Words)
	}
	if e.Verdict == BadPath {
		return
	}
	if r := e.Readings[0]; r.Text != d.Reading || r.Verdict != d.Verdict || r.Rule != d.Rule {
		t.Errorf("%q: the first reading is %+v of %+v", req.Path, r, d)
	}
	for _, r := range e.Readings {
		if r.Verdict < d.Verdict {
			t.Errorf("%q: %+v is stricter than %+v", req.Path, r, d)
		}
	}
	for _, passed := range e.Passed {
		if !passed.Method && !passed.From {
			t.Errorf("%s %q: rule %d was passed for no reason; %+v", req.Method, req.Path, passed.Rule+1, d)
		}
		rule, loose := explained[passed.Rule], explained[passed.Rule]
		loose.Paths = nil
		for _, path := range rule.Paths {
			loose.Paths = append(loose.Paths, foldLoose(path))
		}
		if !refNames(rule, e.Reading) && !refNames(loose, e.Reading) {
			t.Errorf("%q: rule %d does not name %q", req.Path, passed.Rule+1, e.Reading)
		}
	}
	// Rules that name a path let nobody in where none fits; without them whoever is signed in may.
	if unfit := e.Rule < 0 && d.Verdict == Forbidden; unfit && len(e.Passed) == 0 || e.Rule < 0 && !unfit && len(e.Passed) > 0 {
		t.Errorf("%s %q: %+v, passed %+v", req.Method, req.Path, d, e.Passed)
	}
}

func FuzzExplain(f *testing.F) {
	for _, seed := range []string{
		"/", "/posts/1", "/POSTS/1/", "/public/..;/admin/x", "/admin%2Fx", "/vault/", "/lab", "/stra%C3%9Fe", "/STRASSE", "/%00", "/a/%2561dmin", "//admin", "/posts//%2e%2e/internal.",
	} {
		f.Add(seed, "GET", uint8(1))
	}
	p := mustCompile(f, explained...)
	f.Fuzz(func(t *testing.T, path, method string, who uint8) {
		req := get(path, [...]*authcore.Identity{nil, alice, admin}[who%3])
		req.Method = method
		if who&4 > 0 {
			req.Client = netip.MustParseAddr("::ffff:10.1.2.3")
		}
		checkExplanation(t, p, req)
	})
}

// The same with targets made of what attacks are made of.
func TestExplanationsAgree(t *testing.T) {
	pieces := []string{
		"/", "/", "/", "//", "..", "/..", "/./", "%2e", "%2f", "%5c", ";x=1", "%20", "%252f", ".",
		"public", "posts", "internal", "admin", "lab", "vault", "POSTS", "stra%C3%9Fe", "STRASSE", "x",
	}
	random := rand.New(rand.NewPCG(1, 2))
	p := mustCompile(t, explained...)
	for range 20000 {
		path := "/"
		for range random.IntN(6) {
			path += pieces[random.IntN(len(pieces))]
		}
		req := get(path, [...]*authcore.Identity{nil, alice, admin}[random.IntN(3)])
		req.Method = [...]string{"GET", "POST", "DELETE", "get"}[random.IntN(4)]
		if random.IntN(2) == 0 {
			req.Client = netip.MustParseAddr("10.1.2.3")
		}
		checkExplanation(t, p, req)
	}
}

func TestExplain(t *testing.T) {
	p := mustCompile(t, explained...)
	for _, c := range []struct {
		name, method, path string
		id                 *authcore.Identity
		verdict            Verdict
		rule               int
		source             string
		says               []string
	}{
		{"deny", "GET", "/internal/x", alice, Forbidden, 0, "Caddyfile:1", []string{"Rule 1 at Caddyfile:1 decides: it refuses everybody."}},
		{"has not the role", "GET", "/admin", alice, Forbidden, 1, "Caddyfile:2", []string{
			"Rule 2 at Caddyfile:2 decides: it lets in who has the role admin.", "alice has the roles editor, and is not among them.",
		}},
		{"has the role", "GET", "/admin", admin, Allow, 1, "Caddyfile:2", []string{"Rule 2 at Caddyfile:2 decides: it lets in who has the role admin."}},
		{"another method", "GET", "/posts/1", nil, Allow, 3, "Caddyfile:4", []string{
			"Rule 3 at Caddyfile:3 names the path, but is not for GET.", "Rule 4 at Caddyfile:4 decides: it lets in anybody.",
		}},
		{"none fits", "DELETE", "/posts/1", admin, Forbidden, -1, "", []string{
			"Rule 3 at Caddyfile:3 names the path, but is not for DELETE.", "Rule 4 at Caddyfile:4 names the path, but is not for DELETE.",
			"Rules name the path and none of them fits, so nobody may.",
		}},
		{"another address", "GET", "/lab", alice, Forbidden, -1, "", []string{
			"Rule 5 at Caddyfile:5 names the path, but is not for 192.0.2.1.", "Rules name the path and none of them fits, so nobody may.",
		}},
		{"roles and users", "POST", "/posts/1", nil, SignIn, 2, "Caddyfile:3", []string{
			"Rule 3 at Caddyfile:3 decides: it lets in who has the role editor or admin or who is bob.", "Nobody is signed in here.",
		}},
		{"evidence", "GET", "/vault", alice, StepUp, 5, "Caddyfile:6", []string{
			"Rule 6 at Caddyfile:6 decides: it lets in whoever is signed in and signed in with passkey no longer ago than 5m.", "alice is among them, and has to confirm that first.",
		}},
		{"unnamed", "GET", "/x", alice, Allow, -1, "", []string{"No rule names the path, so whoever is signed in may."}},
		{"unnamed, signed out", "GET", "/x", nil, SignIn, -1, "", []string{"No rule names the path, so whoever is signed in may, and nobody is here."}},
		{"another reading", "GET", "/public/..;/admin", nil, SignIn, 1, "Caddyfile:2", []string{
			`Backends might read the path in 5 ways; the strictest counts, which is that of "/admin".`,
			"Rule 2 at Caddyfile:2 decides: it lets in who has the role admin.", "Nobody is signed in here.",
		}},
		{"no reading", "GET", "/%00", nil, BadPath, -1, "", nil},
		{"no method", "get", "/x", nil, BadPath, -1, "", []string{`"get" is no method in upper case, as a backend might take for another one: it is refused unjudged.`}},
		{"loose folding", "POST", "/STRASSE", nil, Forbidden, -1, "", []string{
			"Rule 4 at Caddyfile:4 names the path, but is not for POST.", "Rules name the path and none of them fits, so nobody may.",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := get(c.path, c.id)
			req.Method = c.method
			e := p.Explain(req)
			if e.Verdict != c.verdict || e.Rule != c.rule || e.Source != c.source {
				t.Errorf("got %s by rule %d at %q, want %s by %d at %q", e.Verdict, e.Rule, e.Source, c.verdict, c.rule, c.source)
			}
			if c.says != nil && !slices.Equal(e.Words, c.says) {
				t.Errorf("says\n%s\nwant\n%s", strings.Join(e.Words, "\n"), strings.Join(c.says, "\n"))
			}
			if (e.Text != "") != (c.rule >= 0) {
				t.Errorf("text %q", e.Text)
			}
		})
	}
}

// A path of many readings makes no explanation of many megabytes.
func TestExplanationsAreBounded(t *testing.T) {
	e := mustCompile(t, explained...).Explain(get("/a;b/c%2Fd;e/%2e%2e/f.", alice))
	if len(e.Readings) != maxReadings || e.Others == 0 {
		t.Errorf("%d readings and %d others", len(e.Readings), e.Others)
	}
}

func TestRuleText(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Deny: true}, "deny"},
		{Rule{Anyone: true, Paths: []string{"/a b/*", "/c"}}, `allow anyone "/a b/*" /c`},
		{explained[2], "allow role editor admin user bob /posts/* {\n\tmethod POST PUT\n}"},
		{explained[4], "allow signed_in /lab/* {\n\tfrom 10.0.0.0/8 2001:db8::/32\n}"},
		{explained[5], "allow signed_in /vault {\n\twith passkey\n\twithin 5m\n\trevocation strict\n}"},
		{Rule{SignedIn: true, Within: 36 * time.Hour}, "allow signed_in {\n\twithin 36h\n}"},
		{Rule{SignedIn: true, Within: 90*time.Second + time.Hour}, "allow signed_in {\n\twithin 1h1m30s\n}"},
	} {
		if got := c.rule.String(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}
