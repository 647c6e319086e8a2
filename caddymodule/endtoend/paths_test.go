package endtoend

import (
	"strings"
	"testing"
)

// hidden are request targets that some backend reads as below /admin or /desk, though none of them begins so in a way
// that a plain prefix comparison sees.
var hidden = []string{
	"/admin", "/admin/", "/admin/x", "/ADMIN/x", "/Admin", "/admin?x=/public/", "//admin/x", "///admin", "/./admin/x", "/a/../admin/x",
	"/%61dmin/x", "/%41DMIN/x", "/admin%2Fx", "/admin%2fx", "/%2Fadmin/x", "/%2e/admin/x", "/public/../admin/x", "/public/..%2Fadmin/x",
	"/public/%2e%2e/admin/x", "/public/.%2e/admin/x", "/public/%2E%2E%2Fadmin%2Fx", "/public//../admin/x", "/public/./../admin/x",
	// ;parameters: Tomcat, Jetty, Spring
	"/admin;a=b/x", "/admin;/x", "/admin;", "/;/admin/x", "/;a=b/admin/x", "/public/..;/admin/x", "/public/..;a=b/admin/x",
	"/public/%2e%2e;/admin/x", "/public;/../admin/x", "/admin%3Ba=b/x", "/public/..%3B/admin/x", "/public/;/../../admin/x",
	// a backslash for a slash: IIS, .NET, browsers' URL parsers
	"/admin%5Cx", "/%5Cadmin/x", "/public%5C..%5Cadmin%5Cx", "/public/..%5Cadmin/x", "/public/..%5cadmin", "/public%5c%2e%2e%5cadmin",
	// decoded twice, and three times
	"/%2561dmin/x", "/public/%252e%252e/admin/x", "/public/..%252Fadmin/x", "/admin%252Fx", "/public/%252e%252e%252fadmin",
	"/public/..%255Cadmin/x", "/admin%253Bx",
	// trailing dots and spaces: Windows
	"/admin./x", "/admin../x", "/admin%20/x", "/admin%20", "/admin.", "/admin%2e/x", "/admin.%20/x", "/public/.. /admin/x",
	"/public/..%20/admin/x", "/public/%2e%2e%20/admin", "/public/.../admin/../../admin",
	// a prefix match that does not clean
	"/admin/../public/x", "/admin//../public", "/admin/..%2Fpublic/x", "/admin/%2e%2e/public/x", "/admin/..;/public/x",
	// Unicode case folding: U+017F is a small s, U+212A a K
	"/de%C5%BFk/x", "/des%E2%84%AA/x", "/DE%C5%BFK", "/de%25C5%25BFk/x",
	// all at once
	"/public;x/%252e%252e;y/%2561DMIN%2e/x", "//public/.;/..%5C;a%2FaDmIn%20/x",
	// the target in absolute form: its host is of no account, its path is judged
	"http://%HOST%/admin/x", "http://evil.example/public/../admin/x", "HTTP://evil.example/%61dmin", "http://public/admin/x",
}

// insane are targets that have no sane reading at all: refused for everyone.
var insane = []string{
	"/public/%00", "/admin%00/x", "/admin%0a/x", "/public/%0d%0aX:y", "/public/%1f", "/public/%7f", "/public/\\..\\admin", "/admin\\x",
	"/public/%ff", "/public/%C0%AF..%C0%AFadmin", "/%C0%AE%C0%AE/admin", "/public/%zz", "/public/%", "/public/%2", "/public/x#/../admin",
	"/public/%ED%A0%80", "/public/%F8%80%80%80%AF",
	"*", "public/x", "", "?", "http://evil.example", "ftp://%HOST%/public/x", "javascript:/public/x", "http:/public/x", "http:public/x",
}

// benign are targets that all readings agree on, however odd they look.
var benign = []string{
	"/api/projects/group%2Fname", "/api/projects/group%2Fname/issues?scope=all", "/administrator", "/administrators/x", "/admin-guide", "/admin.json",
	"/q?x=//y", "/q?x=../admin", "/q?x=/admin/x;y", "/q?a=%zz&b=%00", "/q?", "/files/report%20final.pdf", "/a;b=c/d", "/a;b", "/100%25", "/100%25/x",
	"/caf%C3%A9", "/%E6%97%A5%E6%9C%AC", "/o'brien+x@example.com", "/a//b", "/a/./b", "/a/b/../c", "/a/b/", "/.well-known/x", "/a.b.c", "/x.", "/...",
	"/~user/!$&'()*+,;=:@", "/%7Euser", "/a%3Fb", "/a%23b", "/public/x", "/public/a%2Fb", "/public/a%20b/", "/public", "/publications",
	"/" + strings.Repeat("a/", 400),
}

// outsiders are the ways to ask as nobody and as a user without the role, and the same for the readings of a path.
func (g *gate) outsiders(t *testing.T) map[string][]string {
	return map[string][]string{
		"signed out": nil,
		"bearer":     {g.signIn(t, walletOf("alice")).bearer()},
		"cookie":     {g.signInBrowser(t, walletOf("alice")).cookieLine()},
	}
}

// The rules judge one path and the backend serves another: whatever any reading of the target takes for /admin is the
// administrator's alone.
func TestEveryReadingOfThePathIsJudged(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for name, lines := range g.outsiders(t) {
		t.Run(name, func(t *testing.T) {
			for _, target := range hidden {
				for _, method := range []string{"GET", "HEAD", "POST"} {
					a := g.send(t, requestBody(method, target, "", lines...))
					if a.status != 401 && a.status != 403 && a.status != 400 {
						t.Errorf("%s %s: status %d, want 401, 403 or 400", method, target, a.status)
					}
					g.backend.none(t)
				}
			}
		})
	}
	// The guard must not simply refuse everything odd: to the administrator, the odd spellings of /admin pass as they are.
	admin := g.signIn(t, walletOf("admin")).bearer()
	for _, target := range []string{"/admin", "/ADMIN/x", "/%61dmin/x", "/admin%2Fx", "/admin;a=b/x", "/admin./x"} {
		g.get(t, target, admin).want(t, 200)
		if got := g.backend.one(t).target(); got != target {
			t.Errorf("%s arrives as %s", target, got)
		}
	}
}

func TestPathsWithoutSaneReading(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	who := g.outsiders(t)
	who["admin"] = []string{g.signIn(t, walletOf("admin")).bearer()}
	for name, lines := range who {
		for _, target := range insane {
			if a := g.get(t, target, lines...); a.status != 400 {
				t.Errorf("%s: GET %q: status %d, want 400", name, target, a.status)
			}
			g.backend.none(t)
		}
	}
}

// Over-blocking is a defect too: what all readings agree on arrives byte for byte.
func TestBenignPathsPassUntouched(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for name, line := range map[string]string{
		"bearer": g.signIn(t, walletOf("alice")).bearer(), "cookie": g.signInBrowser(t, walletOf("alice")).cookieLine(),
	} {
		for _, target := range benign {
			if a := g.get(t, target, line); a.status != 200 {
				t.Errorf("%s: GET %s: status %d, want 200", name, target, a.status)
				continue
			}
			if got := g.backend.one(t).target(); got != target {
				t.Errorf("%s: %s arrives as %s", name, target, got)
			}
		}
	}
	for _, target := range []string{"/public/x", "/public/a%2Fb", "/public", "/public/", "/PUBLIC/x", "/public/a;b", "/public/100%25", "http://evil.example/public/x"} {
		g.get(t, target).want(t, 200)
		if got := g.backend.one(t).target(); !strings.HasSuffix(target, got) {
			t.Errorf("%s arrives as %s", target, got)
		}
	}
}
