package endtoend

import (
	"slices"
	"strings"
	"testing"
)

// forged marks what a client sends and the backend must never see.
const forged = "forged-by-client"

// identityNames are the headers that tell the backend who it is.
var identityNames = []string{
	"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Authgate-Subject", "X-Authgate-Wallet",
	"X-Authgate-Methods", "X-Authgate-Assertion", "X-WEBAUTH-USER",
}

// overrideNames are the headers by which a client tells some frameworks another URL or method than was judged.
var overrideNames = []string{
	"X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
	"X-Original-Method", "X-Override-URL", "X-Original-Path", "X-Envoy-Original-Path", "Request-Uri", "Base-Url",
	"X-Forwarded-Prefix", "X-Forwarded-PathBase", "X-Script-Name",
}

// spellings are the ways to write a header name that some server reads as the name: CGI and its heirs fold every
// character that is not alphanumeric to "_".
func spellings(name string) []string {
	all := []string{name, strings.ToLower(name), strings.ToUpper(name)}
	for _, c := range "_.+~!#$%&'*^`|" {
		all = append(all, strings.ReplaceAll(name, "-", string(c)), strings.ToLower(strings.Replace(name, "-", string(c), 1)))
	}
	return all
}

// requesters are the ways to ask for something that passes: everyone, by bearer token, by cookie.
func (g *gate) requesters(t *testing.T) map[string]struct {
	target string
	lines  []string
} {
	return map[string]struct {
		target string
		lines  []string
	}{
		"public":            {"/public/x", nil},
		"public, signed in": {"/public/x", []string{g.signIn(t, walletOf("alice")).bearer()}},
		"bearer":            {"/reports/x", []string{g.signIn(t, walletOf("alice")).bearer()}},
		"cookie":            {"/reports/x", []string{g.signInBrowser(t, walletOf("alice")).cookieLine()}},
	}
}

// A client names itself root in a header, in any spelling that a backend might read as that header, once or often.
func TestForgedIdentityHeaders(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for name, r := range g.requesters(t) {
		t.Run(name, func(t *testing.T) {
			for _, header := range slices.Concat(identityNames, overrideNames) {
				for _, spelling := range spellings(header) {
					line := spelling + ": " + forged
					g.get(t, r.target, append([]string{line, line, "X-Kept: 1"}, r.lines...)...).want(t, 200)
					g.wantClean(t, spelling, g.backend.one(t))
				}
			}
		})
	}
}

// wantClean checks that nothing a client forged arrived, and that what it may send did.
func (g *gate) wantClean(t *testing.T, what string, a arrival) {
	t.Helper()
	if strings.Contains(a.raw, forged) {
		t.Errorf("%s reached the backend: %q", what, a.raw)
	}
	if got := a.values("X-Kept"); len(got) != 1 {
		t.Errorf("%s: the client's other header did not arrive: %q", what, a.raw)
	}
}

// Spaces and folded lines around a name: a server that trims them would read the header that this one did not strip.
func TestForgedIdentityHeaderWithSpaces(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, line := range []string{
		"Remote-User : " + forged, "Remote User: " + forged, " Remote-User: " + forged, "X-Kept: 1\r\n Remote-User: " + forged,
		"X-Kept: 1\nRemote-User: " + forged, "Remote-User\t: " + forged, "X: 1\rRemote-User: " + forged, "Remote-User:\r\n " + forged,
		"Remote-User\x00: " + forged, "\xa0Remote-User: " + forged,
	} {
		// Refused, or stripped.
		a := g.send(t, request("GET", "/public/x", "X-First: 1", line))
		for _, got := range g.backend.take() {
			for _, field := range got.fields {
				// Folded into the value of another header it is a text like any other.
				if name, _, _ := strings.Cut(field, ":"); strings.Contains(strings.ToLower(name), "remote") {
					t.Errorf("%q (answered %d) reached the backend: %q", line, a.status, got.raw)
				}
			}
		}
	}
}

// reverse_proxy drops every header that the request's Connection names, after the gateway has set it: a backend that
// takes "no header" for "internal caller" would let the client in.
func TestConnectionCannotDropIdentity(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	for _, name := range append([]string{"X-Forwarded-For"}, identityNames...) {
		for _, lines := range [][]string{
			{"Connection: " + name},
			{"Connection: " + strings.ToLower(name)},
			{"Connection: close, " + name},
			{"Connection: keep-alive", "Connection: " + name},
			{"connection: " + name + ",Upgrade"},
			{"Connection: , ," + name + " ,"},
			{"Connection: \t" + name},
			{"Proxy-Connection: " + name, "Keep-Alive: " + name},
		} {
			g.get(t, "/reports/x", append(lines, s.bearer(), "X-Kept: 1")...).want(t, 200)
			a := g.backend.one(t)
			g.wantIdentity(t, a, s.User)
			g.wantClean(t, strings.Join(lines, "; "), a)
		}
	}
}

// Trailers come after the headers were judged; some servers merge them into the headers.
func TestTrailersDoNotReachTheBackend(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const chunks = "5\r\nhello\r\n0\r\nRemote-User: " + forged + "\r\nX-Authgate-Subject: " + forged + "\r\n\r\n"
	for name, r := range g.requesters(t) {
		for _, declared := range [][]string{nil, {"Trailer: Remote-User, X-Authgate-Subject"}, {"Trailer: X-Other", "TE: trailers"}} {
			lines := slices.Concat([]string{hostLine, "Transfer-Encoding: chunked", "X-Kept: 1"}, declared, r.lines)
			g.send(t, message("POST "+r.target+" HTTP/1.1", lines, chunks)).want(t, 200)
			a := g.backend.one(t)
			g.wantClean(t, name+": trailer", a)
			if !strings.Contains(a.rest, "hello") {
				t.Errorf("%s: the body did not arrive: %q", name, a.raw)
			}
		}
	}
}

// The backend gets neither the session cookie nor the accepted token: it could act as the user elsewhere. What is the
// backend's own passes.
func TestCredentialsDoNotReachTheBackend(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	browser, program := g.signInBrowser(t, walletOf("alice")), g.signIn(t, walletOf("alice"))
	_, secret, _ := strings.Cut(browser.cookie, "=")
	for _, c := range []struct {
		name  string
		lines []string
		keep  []string // of the Cookie header
	}{
		{"cookie", []string{"Cookie: " + browser.cookie}, nil},
		{"cookie among others", []string{"Cookie: a=1; " + browser.cookie + "; b=2"}, []string{"a=1", "b=2"}},
		{"two Cookie lines", []string{"Cookie: a=1", "Cookie: " + browser.cookie}, []string{"a=1"}},
		{"no space", []string{"Cookie: a=1;" + browser.cookie + ";b=2"}, []string{"a=1", "b=2"}},
		{"quoted", []string{`Cookie: authgate="` + secret + `"; a=1`}, []string{"a=1"}},
		{"twice", []string{"Cookie: " + browser.cookie + "; a=1; " + browser.cookie}, []string{"a=1"}},
		{"bearer and cookie", []string{program.bearer(), "Cookie: " + browser.cookie + "; a=1"}, []string{"a=1"}},
		{"bearer in lower case", []string{"authorization: bearer " + program.AccessToken}, nil},
	} {
		g.get(t, "/public/x", append(c.lines, "X-Kept: 1")...).want(t, 200)
		a := g.backend.one(t)
		for _, hidden := range []string{secret, program.AccessToken, "authgate="} {
			if strings.Contains(a.raw, hidden) {
				t.Errorf("%s: reached the backend: %q", c.name, a.raw)
			}
		}
		cookies := strings.Join(a.values("Cookie"), "; ")
		for _, keep := range c.keep {
			if !strings.Contains(cookies, keep) {
				t.Errorf("%s: the backend's own cookie %s did not arrive: %q", c.name, keep, cookies)
			}
		}
	}
	g.get(t, "/public/x", "Authorization: Bearer the-backends-own").want(t, 200)
	if got := g.backend.one(t).values("Authorization"); !slices.Equal(got, []string{"Bearer the-backends-own"}) {
		t.Errorf("Authorization that is not the gateway's: %q at the backend", got)
	}
}

// A backend, or who found a hole in it, sets the gateway's cookie to an own session: the user goes on as somebody else.
func TestBackendCannotSetTheCookie(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	for _, line := range []string{
		"Set-Cookie: authgate=evil; Path=/", "set-cookie: authgate=evil", "Set-Cookie:  authgate =evil", "Set-Cookie: \tauthgate=evil",
		"Set-Cookie: authgate=", "Set-Cookie: authgate", "Set-Cookie: authgate; Path=/",
		"Set-Cookie: =authgate=evil", "Set-Cookie: Authgate=evil", "Set-Cookie: __Host-authgate=evil; Secure; Path=/",
		"Set-Cookie: __Secure-authgate=evil; Secure; Domain=localhost",
	} {
		g.backend.mu.Lock()
		g.backend.header = line + "\r\nSet-Cookie: app=1; Path=/\r\n"
		g.backend.mu.Unlock()
		for _, target := range []string{"/public/x", "/reports/x"} {
			got := g.get(t, target, s.bearer()).header.Values("Set-Cookie")
			if !slices.Equal(got, []string{"app=1; Path=/"}) {
				t.Errorf("%s: %q sets %q", target, line, got)
			}
		}
		if _, a := g.open(t, "/public/ws"); a.status != 101 || !slices.Equal(a.header.Values("Set-Cookie"), []string{"app=1; Path=/"}) {
			t.Errorf("websocket: %q sets %q", line, a.header.Values("Set-Cookie"))
		}
	}
}
