package gateway

import (
	"net/url"
	"strings"
	"testing"
)

func returnSite(t testing.TB) *Gateway {
	return build(t).gateway
}

func TestSafeReturn(t *testing.T) {
	g := returnSite(t)
	for _, c := range []struct{ name, in, want string }{
		{"none", "", "/"},
		{"path", "/reports", "/reports"},
		{"path and query", "/q?x=//y&z=http://a", "/q?x=//y&z=http://a"},
		{"fragment", "/app#/inbox/7", "/app#/inbox/7"},
		{"encoded slash", "/api/projects/group%2Fname", "/api/projects/group%2Fname"},
		{"at and colon", "/@me:8080", "/@me:8080"},
		{"dots that are no segment", "/a/..b/.c/d..", "/a/..b/.c/d.."},
		{"letters that are not ASCII", "/café ü", "/caf%C3%A9%20%C3%BC"},
		{"own page that is not sign-in", "/auth/account", "/auth/account"},

		{"another origin", "https://evil.example/", "/"},
		{"this origin in full", "https://app.example.com/x", "/"},
		{"no scheme", "//evil.example", "/"},
		{"three slashes", "///evil.example", "/"},
		{"backslash for a slash", `/\evil.example`, "/"},
		{"backslashes only", `\\evil.example`, "/"},
		{"backslash in the query", `/?x=\a`, "/"},
		{"line break in the fragment", "/#\r\nSet-Cookie: a=b", "/"},
		{"DEL in the fragment", "/#\x7f", "/"},
		{"backslash later", `/a\b`, "/"},
		{"tab between slashes", "/\t/evil.example", "/"},
		{"line break", "/\n/evil.example", "/"},
		{"header injection", "/x\r\nSet-Cookie: a=b", "/"},
		{"NUL", "/\x00", "/"},
		{"DEL", "/\x7f", "/"},
		{"relative", "evil.example", "/"},
		{"space before", " /x", "/"},
		{"script", "javascript:alert(1)", "/"},
		{"dot segment before slashes", "/.//evil.example", "/"},
		{"climbing", "/a/..//evil.example", "/"},
		{"climbing, encoded", "/%2e%2E//evil.example", "/"},
		{"slashes, encoded", "/%2F/evil.example", "/"},
		{"slash, encoded", "/%2fevil.example", "/"},
		{"backslash, encoded", "/%5cevil.example", "/"},
		{"tab between slashes, encoded", "/%09/evil.example", "/"},
		{"line break between slashes, encoded", "/%0A/evil.example", "/"},
		{"carriage return, encoded", "/a%0d/evil.example", "/"},
		{"NUL, encoded", "/%00/evil.example", "/"},
		{"DEL, encoded", "/a%7F", "/"},
		{"space, encoded", "/a%20b", "/a%20b"},
		{"line break in a query, encoded", "/?note=a%0Ab", "/?note=a%0Ab"},
		{"bad escape", "/%zz", "/"},
		{"invalid UTF-8", "/\xff", "/"},
		{"too long", "/" + strings.Repeat("a", maxReturn), "/"},
		{"sign-in itself", "/auth/sign-in?return_to=%2Fauth%2Fsign-in", "/"},
		{"sign-in, spelled otherwise", "/auth//Sign%2Din/", "/"},
	} {
		if got := g.safeReturn(c.in); got != c.want {
			t.Errorf("%s: safeReturn(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

// Whatever comes in, a browser that follows what comes out stays on the origin.
func FuzzSafeReturn(f *testing.F) {
	for _, s := range []string{"/", "/a?b#c", "//x", `/\x`, "/.//x", "/%2f%2fx", "/\t/x", "/%09/x", "/%0a%2fx", "https://x", "/ü", "/auth/sign-in", "/a;b=c/../d", "/%", "/?%zz", "/#%zz"} {
		f.Add(s)
	}
	g := returnSite(f)
	base, err := url.Parse(home + "/auth/sign-in")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := g.safeReturn(in)
		if out[0] != '/' || len(out) > 1 && (out[1] == '/' || out[1] == '\\') {
			t.Fatalf("safeReturn(%q) = %q", in, out)
		}
		for _, c := range []byte(out) {
			if c <= ' ' || c >= 0x7f || c == '\\' {
				t.Fatalf("safeReturn(%q) = %q", in, out)
			}
		}
		u, err := base.Parse(out)
		if err != nil || u.Scheme != "https" || u.Host != "app.example.com" || u.User != nil || strings.HasPrefix(u.Path, "//") {
			t.Fatalf("safeReturn(%q) = %q leads to %v, %v", in, out, u, err)
		}
		// Some decode what they pass on, and browsers drop controls from what they are given then.
		if u, err = base.Parse(strings.Map(func(c rune) rune {
			if c < 0x20 {
				return -1
			}
			return c
		}, u.Path)); err == nil && u.Host != "app.example.com" {
			t.Fatalf("safeReturn(%q) = %q, decoded, leads to %v", in, out, u)
		}
		if again := g.safeReturn(out); len(out) <= maxReturn && again != out {
			t.Fatalf("safeReturn(%q) = %q, then %q", in, out, again)
		}
	})
}
