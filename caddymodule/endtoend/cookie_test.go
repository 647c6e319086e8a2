package endtoend

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A subdomain or a plain-http neighbour can add a cookie of the same name ("tossing"): which one the victim meant cannot be
// known, so two count as none.
func TestTwoSessionCookiesCountAsNone(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	mine, eves := g.signInBrowser(t, walletOf("alice")), g.signInBrowser(t, walletOf("eve"))
	for name, lines := range map[string][]string{
		"one line":        {"Cookie: " + mine.cookie + "; " + eves.cookie},
		"two lines":       {"Cookie: " + mine.cookie, "Cookie: " + eves.cookie},
		"the same twice":  {"Cookie: " + mine.cookie + "; " + mine.cookie},
		"one is empty":    {"Cookie: authgate=; " + mine.cookie},
		"one is quoted":   {`Cookie: authgate="x"; ` + mine.cookie},
		"one is broken":   {"Cookie: " + mine.cookie + "; authgate=\\"},
		"far apart":       {"Cookie: " + mine.cookie + strings.Repeat("; a=1", 500) + "; " + eves.cookie},
		"beyond 3000":     {"Cookie: " + mine.cookie + strings.Repeat("; a=1", 3001) + "; " + eves.cookie},
		"one has no sign": {"Cookie: authgate; " + mine.cookie},
	} {
		if a := g.get(t, "/reports/x", lines...); a.status != 401 && name != "one has no sign" {
			t.Errorf("%s: status %d, want 401", name, a.status)
		}
		for _, got := range g.backend.take() {
			if strings.Contains(got.raw, "authgate=") {
				t.Errorf("%s: %q", name, got.raw)
			}
		}
	}
}

// With a bearer token and a cookie the token alone decides: a page cannot ride on the visitor's cookie with a token of its own.
func TestBearerDecidesAloneBesideACookie(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	cookie, program := g.signInBrowser(t, walletOf("admin")), g.signIn(t, walletOf("alice"))
	g.get(t, "/admin/x", cookie.cookieLine(), program.bearer()).wantProblem(t, 403, "")
	g.get(t, "/reports/x", cookie.cookieLine(), "Authorization: Bearer junk").wantProblem(t, 401, "")
	g.backend.none(t)
	g.get(t, "/reports/x", cookie.cookieLine(), program.bearer()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), program.User)
}

// Above 3000 cookies Go's parser answers none at all: the gateway's own would pass on to the backend, which reads it.
func TestFloodOfCookies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	_, secret, _ := strings.Cut(s.cookie, "=")
	for _, n := range []int{2999, 3000, 3001, 10000} {
		flood := strings.Repeat("a=1; ", n)
		for _, line := range []string{"Cookie: " + flood + s.cookie, "Cookie: " + s.cookie + "; " + flood + "b=2"} {
			for _, target := range []string{"/public/x", "/reports/x"} {
				a := g.get(t, target, line)
				if a.status != 200 && a.status != 431 {
					t.Errorf("%d cookies: GET %s: status %d", n, target, a.status)
				}
				for _, got := range g.backend.take() {
					if strings.Contains(got.raw, secret) {
						t.Errorf("%d cookies: the session cookie reached the backend", n)
					}
				}
			}
		}
	}
}

// passing is what no two answers have in common: the date, and the id of the request in a header and on a page.
var passing = regexp.MustCompile(`(?m)^Date: .*\r\n|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// What differs between a broken cookie and none tells who tries which part of it is right.
func TestMalformedCookieEqualsAnonymous(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	_, value, _ := strings.Cut(s.cookie, "=")
	secret, token, found := strings.Cut(value, ".")
	if !found {
		t.Fatalf("cookie value %q has no dot", value)
	}
	flip := func(v string, i int) string {
		c := byte('A')
		if v[i] == c {
			c = 'B'
		}
		return v[:i] + string(c) + v[i+1:]
	}
	for _, lines := range [][]string{nil, {"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}} {
		for _, target := range []string{"/reports/x", "/admin/x", "/internal/x", "/auth/session"} {
			anonymous := passing.ReplaceAllString(g.get(t, target, lines...).raw, "")
			for name, v := range map[string]string{
				"empty": "", "junk": "junk", "dot": ".", "dots": "....", "quoted": `"` + value + `"`, "long": strings.Repeat("A", 8000),
				"secret alone, flipped": flip(secret, 30), "token alone": token, "token without secret": "." + token,
				"secret flipped, no token":    flip(secret, len(secret)-2) + ".",
				"secret and token flipped":    flip(secret, 30) + "." + flip(token, len(token)-10),
				"secret flipped, dead token":  flip(secret, 30) + ".a.b.c",
				"session id flipped":          flip(secret, 3) + "." + flip(token, 40),
				"junk token, junk secret":     "AAAA.AAAA.AAAA.AAAA",
				"algorithm none":              flip(secret, 30) + ".eyJhbGciOiJub25lIn0.e30.",
				"not ASCII":                   "\xff\xfe",
				"percent":                     "%00%0a",
				"other alphabet of base64":    flip(secret, 30) + "+/=" + token,
				"trailing data in the secret": secret + "AAAA." + flip(token, len(token)-10),
			} {
				a := g.get(t, target, append([]string{"Cookie: authgate=" + v}, lines...)...)
				if got := passing.ReplaceAllString(a.raw, ""); got != anonymous {
					t.Errorf("%s with cookie %s:\n%q\nwant\n%q", target, name, got, anonymous)
				}
			}
		}
	}
	g.backend.none(t)
	g.get(t, "/reports/x", s.cookieLine()).want(t, 200) // all that ended nobody's session
}

// An access token is good for nothing but access, and nothing else is good for that.
func TestTokensAreGoodForOnePurpose(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s, browser := g.signIn(t, walletOf("alice")), g.signInBrowser(t, walletOf("alice"))
	_, value, _ := strings.Cut(browser.cookie, "=")
	secret, access, _ := strings.Cut(value, ".")
	g.get(t, "/reports/x", s.bearer()).want(t, 200)
	assertion := g.backend.one(t).values("X-Authgate-Assertion")[0]
	for name, token := range map[string]string{
		"assertion": assertion, "refresh token": s.RefreshToken, "cookie": value, "cookie secret": secret, "with newline inside": s.AccessToken[:20] + "\t" + s.AccessToken[20:],
		"without signature": s.AccessToken[:strings.LastIndexByte(s.AccessToken, '.')+1], "padded": s.AccessToken + "=", "twice": s.AccessToken + "." + s.AccessToken,
	} {
		if a := g.get(t, "/reports/x", "Authorization: Bearer "+token); a.status != 401 {
			t.Errorf("%s as bearer token: status %d, want 401", name, a.status)
		}
	}
	for name, token := range map[string]string{
		"assertion": assertion, "access token": s.AccessToken, "cookie": value, "cookie secret": secret, "marked cookie secret": "agr_" + secret,
		"empty": "", "cut": s.RefreshToken[:len(s.RefreshToken)-1], "longer": s.RefreshToken + "A",
	} {
		g.post(t, "token/refresh", map[string]any{"refresh_token": token}).wantProblem(t, 401, "invalid_grant")
		_ = name
	}
	for name, line := range map[string]string{
		"refresh token as cookie": "Cookie: authgate=" + s.RefreshToken, "access token as cookie": "Cookie: authgate=x." + s.AccessToken,
		"somebody's secret with another's token": "Cookie: authgate=" + secret + "." + s.AccessToken, "access token in the query": "X: 1",
	} {
		a := g.get(t, "/reports/x?access_token="+s.AccessToken, line)
		if a.status != 401 && name != "somebody's secret with another's token" {
			t.Errorf("%s: status %d, want 401", name, a.status)
		}
	}
	g.backend.take()
	g.get(t, "/reports/x", fmt.Sprintf("Authorization: Bearer %s", access)).want(t, 200)
}
