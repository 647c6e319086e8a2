package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// fort is a site whose catch-all is public, so that whatever is missed is open.
func fort(t testing.TB) *Policy {
	return mustCompile(t,
		Rule{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
		Rule{Deny: true, Paths: []string{"/metrics", "/kıosk"}},
		Rule{Anyone: true},
	)
}

func refuses(t *testing.T, want Verdict, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for _, p := range []*Policy{fort(t), mustCompile(t,
			Rule{Anyone: true, Paths: []string{"/public/*"}},
			Rule{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
			Rule{Deny: true, Paths: []string{"/metrics", "/kıosk"}},
			Rule{Anyone: true},
		)} {
			if d := p.Judge(get(path, alice)); d.Verdict != want {
				t.Errorf("%.80s: %s under %.80q by rule %d, want %s", path, d.Verdict, d.Reading, d.Rule, want)
			}
		}
	}
}

// Servlet containers drop ";…" from each segment, before they resolve dot segments.
func TestAttackSemicolon(t *testing.T) {
	refuses(t, Forbidden, "/admin;a=b/x", "/admin;/x", "/;/admin/x", "/public/..;/admin/x", "/public/..;x=y/admin;z", "/public/%2e%2e;/admin", "/public/.;/..;/admin",
		"/admin%3B/x", "/public/..%3b/admin", "/public/x;/../../admin")
}

// Windows, and URL parsers after WHATWG, read a backslash as a slash.
func TestAttackEncodedBackslash(t *testing.T) {
	refuses(t, Forbidden, "/admin%5Cx", "/admin%5cx", "/public/..%5Cadmin%5Cx", "/public/%2e%2e%5cadmin", "/%5Cadmin", "/public%5C..%5C..%5Cadmin", "/admin%255Cx")
}

// No client sends a backslash as it is, and no two backends agree on it.
func TestAttackRawBackslash(t *testing.T) {
	refuses(t, BadPath, `/admin\x`, `/public\..\admin\x`, `\admin`)
}

// Dot segments are resolved by some, and encoded by others first.
func TestAttackDotSegments(t *testing.T) {
	refuses(t, Forbidden, "/public/../admin/x", "/./admin/x", "/public/%2e%2e/admin/x", "/public/.%2E/admin", "/../admin", "/a/b/../../admin", "/admin/.", "/admin/x/..", "/public/./.././admin",
		"/metrics/.", "/x/../metrics/")
}

// A backend that asks for the prefix of the path as it stands never resolves the dots away.
func TestAttackRawPrefix(t *testing.T) {
	refuses(t, Forbidden, "/admin/../public/x", "/admin//../public", "/admin/%2e%2e/public/x", "/admin/..;/public/x", "/admin/..%2Fpublic")
}

func TestAttackEncodedSlash(t *testing.T) {
	refuses(t, Forbidden, "/admin%2Fx", "/admin%2fx", "/%2Fadmin/x", "/public/..%2Fadmin/x", "/public%2F..%2Fadmin", "/public/x%2F..%2F..%2Fadmin", "/admin/%2e%2e%2Fpublic")
}

func TestAttackEncodedLetters(t *testing.T) {
	refuses(t, Forbidden, "/%61dmin/x", "/%41DMIN/x", "/admi%6E", "/%6d%65trics")
}

// A backend behind another proxy decodes again what was decoded.
func TestAttackDoubleEncoding(t *testing.T) {
	refuses(t, Forbidden, "/%2561dmin/x", "/public/%252e%252e/admin/x", "/public/%252e%252e%252fadmin", "/public/..%252Fadmin", "/public/..%253B/admin", "/public/%2e%252e/admin",
		"/public/..%25%32%46admin", "/admin%252Fx")
}

// A lenient decoder leaves what is no escape and decodes the rest: one broken escape must not stop the second pass.
func TestAttackDoubleEncodingBehindBrokenEscape(t *testing.T) {
	refuses(t, Forbidden, "/public/100%25/%252e%252e/%252e%252e/admin", "/%2561dmin/%25", "/%2561dmin/%25zz")
}

// Windows drops dots and spaces at the end of a name.
func TestAttackTrailingDotsAndSpaces(t *testing.T) {
	refuses(t, Forbidden, "/admin./x", "/admin%20/x", "/admin.%20./x", "/admin...", "/metrics.", "/metrics%20", "/public/..%20/admin", "/public/..%20./admin", "/public/...%2Fadmin", "/admin%2E/x",
		"/admin;./x", "/admin.;x/x", "/admin%2520/x")
}

func TestAttackDoubledSlashes(t *testing.T) {
	refuses(t, Forbidden, "//admin/x", "///admin", "/public//../admin", "/public/..//admin", "/public/x//../../admin", "/%2F%2Fadmin")
}

// new URL(target, base) and the like take what follows "//" for a host.
func TestAttackAuthority(t *testing.T) {
	refuses(t, Forbidden, "//public/admin/x", "//evil.example/admin", "///public/admin", "/%2Fpublic/admin", "/%5Cpublic/admin", "//public%2Fadmin")
}

// A backend that parses the path after decoding it ends it at "?" and "#".
func TestAttackEncodedQueryAndFragment(t *testing.T) {
	refuses(t, Forbidden, "/admin%3Fx", "/admin%23x", "/metrics%3f", "/admin%253Fx", "/public/../metrics%23")
}

func TestAttackRawFragmentAndQuery(t *testing.T) {
	refuses(t, BadPath, "/public/#/../admin", "/admin#", "/admin?x", "/a b")
}

// Case: every way of forgetting it counts.
func TestAttackCase(t *testing.T) {
	refuses(t, Forbidden, "/ADMIN/x", "/Admin", "/aDmIn/X", "/METRICS", "/metric%C5%BF", "/adm%C4%B1n", "/ADM%C4%B0N", "/kiosk", "/KIOSK", "/%E2%84%AAiosk", "/k%C4%B1osk")
}

// A slash at the end is dropped by backends that clean paths, and many routers do not mind it.
func TestAttackTrailingSlash(t *testing.T) {
	refuses(t, Forbidden, "/metrics/", "/METRICS/", "/metrics//", "/metrics/%2F", "/metrics/;x")
}

// A name ends at NUL for C, a line at CR and LF, and terminals obey the rest.
func TestAttackControlCharacters(t *testing.T) {
	refuses(t, BadPath, "/admin%00/x", "/public/%00/../admin", "/admin%0a/x", "/x%0D%0Ay", "/x%7F", "/x\x00", "/x\n", "/x%C2%85", "/x%1b[2J")
	refuses(t, BadPath, "/admin%2500", "/x%250d%250a", "/x%25%30%30", "/%2580")
}

// Lenient decoders make "/" of C0 AF, and drop what they cannot read.
func TestAttackInvalidUTF8(t *testing.T) {
	refuses(t, BadPath, "/public/..%C0%AFadmin", "/public/%c0%ae%c0%ae/admin", "/adm%FFin", "/adm\xffin", "/%E0%80%AFadmin", "/%ED%A0%80", "/..%25c0%25afadmin", "/adm%25ffin")
}

func TestAttackInvalidEscapes(t *testing.T) {
	refuses(t, BadPath, "/100%", "/%zz", "/%2", "/public/%u002e%u002e/admin", "/%/admin", "/x%2g")
}

func TestAttackNoPath(t *testing.T) {
	refuses(t, BadPath, "", "*", "admin", "%2Fadmin", "http://x/admin", "./admin")
}

// A path with more readings than the bounds allow is refused, soon.
func TestAttackManyReadings(t *testing.T) {
	refuses(t, BadPath,
		"/"+strings.Repeat("a/", maxPath/2),
		"/public/..;/%2e%2e%2Fadmin%5C..%252e/x.",
		"/"+strings.Repeat("a;b%2F..%252f%2e%2e%5C.%20//", 200),
		"/"+strings.Repeat("%25", 2700)+"x;/.././/",
		"/"+strings.Repeat("x;/.. ./", 700)+"%252e%252F",
	)
}

// Backends differ in what they drop and when: some drop dots and not spaces, some take dot segments for segments that end
// in dots, some drop parameters before they decode and so keep those that were encoded. Each of these readings is the
// only one that finds the closed place.
func TestAttackPartialReadings(t *testing.T) {
	p := mustCompile(t,
		Rule{Anyone: true, Paths: []string{"/x/y"}},
		Rule{Deny: true, Paths: []string{"/x/*"}},
		Rule{Deny: true, Paths: []string{"/z/b"}},
		Rule{Anyone: true},
	)
	for _, path := range []string{
		"/x.%3B1/y%20",    // dots only
		"/x%20/y.",        // spaces only
		"/x;1/y%3B1",      // parameters before decoding
		"/z/../b",         // ".." less its dots is empty, and empty segments are merged
		"/z/a/.../../b",   // "..." less its dots is empty, and ".." is a dot segment
		"/z/a/.../b",      // "..." less a dot is a dot segment
		"/z/%2e/b",        // dots decoded
		"/c/%252e./z%2Fb", // dots decoded twice, slashes once
		"/z/%2e%2e/../b",  // dots not decoded
	} {
		if d := p.Judge(get(path, alice)); d.Verdict != Forbidden {
			t.Errorf("%s: %v", path, d)
		}
	}
}

// Any of the refused readings refuses, whichever comes first, and what no reading allows is never a mere sign-in.
func TestStrictestReadingCounts(t *testing.T) {
	p := mustCompile(t,
		Rule{Anyone: true, Paths: []string{"/public/*"}},
		Rule{Deny: true, Paths: []string{"/closed/*"}},
		Rule{Roles: []string{"editor"}, Paths: []string{"/posts/*"}, With: []authcore.Method{authcore.Password}},
		Rule{SignedIn: true, Paths: []string{"/home/*"}},
	)
	tests := []struct {
		path string
		id   *authcore.Identity
		want Verdict
		rule int
	}{
		{"/public/..%2Fhome/x", nil, SignIn, 3},
		{"/public/..%2Fclosed/x", nil, Forbidden, 1},
		{"/closed/..%2Fpublic/x", nil, Forbidden, 1},
		{"/home/..%2Fposts/x", alice, StepUp, 2},
		{"/home/..%2Fposts/x", nil, SignIn, 3},
		{"/posts/..%2Fclosed/x", alice, Forbidden, 1},
		{"/posts/..%2Fhome/x", admin, Forbidden, 2},
	}
	for _, test := range tests {
		if d := p.Judge(get(test.path, test.id)); d.Verdict != test.want || d.Rule != test.rule {
			t.Errorf("%s: %v, want %s by %d", test.path, d, test.want, test.rule)
		}
	}
}

// Of two readings that are both let through the first decided once, and a spelling with another reading before it dodged
// the strict rule, or had a shared cache keep what is for one user.
func TestAnyReadingIsStrictAndAllArePublic(t *testing.T) {
	p := mustCompile(t,
		Rule{Anyone: true, Paths: []string{"/public/*"}},
		Rule{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
		Rule{Roles: []string{"admin"}, Paths: []string{"/vault/*"}, Strict: true},
		Rule{SignedIn: true, Paths: []string{"/fresh/*"}, Strict: true, Within: time.Minute},
	)
	token := &authcore.Identity{Subject: "u1", Username: "alice", Token: true}
	for _, test := range []struct {
		path           string
		id             *authcore.Identity
		strict, public bool
	}{
		{"/public/x", alice, false, true},
		{"/public/%78", alice, false, true},
		{"/unnamed", alice, false, false},
		{"/strict/x", alice, true, false},
		{"/strict/x", nil, true, false},
		{"/vault/x", alice, true, false},
		{"/fresh/x", token, true, false},
		{"/public/..%2fstrict/x", alice, true, false},
		{"/public/%2e%2e/strict/x", alice, true, false},
		{"/public/..;/strict/x", alice, true, false},
		{"//h/strict/x", alice, true, false},
		{"/x/%2e%2e/strict/y", alice, true, false},
		{"/strict/..%2fpublic/x", alice, true, false},
		{"/strict/..%2funnamed", alice, true, false},
		{"/strict/..%2fpublic/x", nil, true, false},
		{"/public/..%2fx", alice, false, false},
		{"/x/..%2fpublic/y", alice, false, false},
	} {
		if d := p.Judge(get(test.path, test.id)); d.Strict != test.strict || d.Public != test.public {
			t.Errorf("%s: %+v, want strict %v, public %v", test.path, d, test.strict, test.public)
		}
		if e := p.Explain(get(test.path, test.id)); e.Strict != test.strict {
			t.Errorf("%s is explained as strict: %v", test.path, e.Strict)
		}
	}
}

// What all readings agree on goes through, however odd it looks.
func TestBenign(t *testing.T) {
	p := mustCompile(t,
		Rule{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
		Rule{Deny: true, Paths: []string{"/internal/*"}},
		Rule{Anyone: true, Paths: []string{"/public/*", "/wiki/*", "/@scope/*", "/größe/*", "/healthz", "/docs/", "/"}},
	)
	for _, path := range []string{
		"/api/projects/group%2Fname", "/administrator", "/admin.json", "/admin-x", "/adminer/x", "/100%25", "/100%25%20off", "/50%25off", "/a/b.c.d/e", "/o'brien+x@example.com",
		"/api/v1/rooms/!abc%3Aexample.com/messages", "/x;jsessionid=1F/y", "/files/My%20Document%20(1).PDF", "/%E6%97%A5%E6%9C%AC", "/a//b", "/proxy/https://example.com/x?", "/x/", "/.well-known/acme",
		"/c%23/intro", "/what%3F", "/a%5Cb", "/v1.0./x", "/a/..b/c", "/a/b../c", "/_next/[...slug].js", "/~user", "/a=b&c,d:e*f", "/a%2Bb", "/%7Euser", "/emoji/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB",
		"/repo/blob/main/a%2Fb%2Fc.go", "/x%2520y",
	} {
		path = strings.TrimSuffix(path, "?")
		if d := p.Judge(get(path, alice)); d.Verdict != Allow {
			t.Errorf("signed in: %s: %s under %q by %d", path, d.Verdict, d.Reading, d.Rule)
		}
	}
	for _, path := range []string{
		"/public", "/public/", "/Public/X", "/public/group%2Fname", "/public/100%25", "/public/a;b=c/d", "/public/a%20b.", "/public//x", "/public/a%5Cb", "/wiki/C%23", "/wiki/What%3F", "/public/..x/y",
		"/%40scope%2Fpkg", "/@scope%2fpkg", "/gr%C3%B6%C3%9Fe/x", "/GR%C3%96%E1%BA%9EE/x", "/healthz", "/docs/", "/docs", "/", "/public/https://example.com//x", "/public/x/./y", "/public/%70", "/%70ublic/x",
	} {
		want := Allow
		// An encoded slash may not be one: then these are names at the top, that no rule names.
		if path == "/%40scope%2Fpkg" || path == "/@scope%2fpkg" {
			want = SignIn
		}
		if d := p.Judge(get(path, nil)); d.Verdict != want {
			t.Errorf("signed out: %s: %s under %q by %d", path, d.Verdict, d.Reading, d.Rule)
		}
	}
}
