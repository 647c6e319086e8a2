package endtoend

import (
	"strings"
	"testing"
)

// foreign are the lines by which a browser says that another site asks.
func (g *gate) foreign() map[string][]string {
	port := g.host[strings.Index(g.host, ":"):]
	return map[string][]string{
		"other site":            {"Origin: https://evil.example"},
		"sibling":               {"Origin: http://sibling.localhost" + port},
		"other port":            {"Origin: http://localhost:1"},
		"no port":               {"Origin: http://localhost"},
		"other scheme":          {"Origin: https://" + g.host},
		"null":                  {"Origin: null"},
		"prefix":                {"Origin: " + g.origin + ".evil.example"},
		"with user":             {"Origin: http://localhost" + port + "@evil.example"},
		"two origins":           {"Origin: " + g.origin, "Origin: https://evil.example"},
		"list of origins":       {"Origin: " + g.origin + " https://evil.example"},
		"empty":                 {"Origin: "},
		"fetch metadata":        {"Sec-Fetch-Site: cross-site"},
		"same site":             {"Sec-Fetch-Site: same-site"},
		"origin says otherwise": {"Origin: " + g.origin, "Sec-Fetch-Site: cross-site"},
		"metadata unknown":      {"Sec-Fetch-Site: whatever"},
	}
}

// Another site makes the visitor's browser sign in as the attacker (login CSRF), sign out, or change things.
func TestCrossOriginRequestsAreRefused(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	browser := g.signInBrowser(t, walletOf("alice"))
	eve := walletOf("eve")
	for name, lines := range g.foreign() {
		t.Run(name, func(t *testing.T) {
			message, _ := g.challenge(t, eve)
			in := map[string]any{"challenge": message, "signature": eve.sign(message), "session": "cookie"}
			a := g.post(t, "challenge/sign", in, lines...)
			a.wantProblem(t, 403, "cross_origin")
			if a.cookie() != nil {
				t.Error("the refusal sets a cookie")
			}
			g.post(t, "challenge/create", map[string]any{}, lines...).wantProblem(t, 403, "cross_origin")
			g.post(t, "token/refresh", map[string]any{"refresh_token": "agr_x"}, lines...).wantProblem(t, 403, "cross_origin")
			g.send(t, requestBody("POST", "/auth/sign-out", "", append(lines, browser.cookieLine())...)).wantProblem(t, 403, "cross_origin")
			if h := a.header.Get("Access-Control-Allow-Origin"); h != "" {
				t.Errorf("Access-Control-Allow-Origin: %s", h)
			}
			g.post(t, "challenge/sign", in, "Origin: "+g.origin, "Sec-Fetch-Site: same-origin").want(t, 200) // not spent by them
		})
	}
	g.get(t, "/auth/session", browser.cookieLine()).want(t, 200) // nobody signed her out
	for _, lines := range [][]string{nil, {"Origin: " + g.origin}, {"Sec-Fetch-Site: none"}, {"Origin: " + g.origin, "Sec-Fetch-Site: same-origin"}} {
		g.post(t, "challenge/create", map[string]any{}, lines...).want(t, 200)
	}
}

// What another site may do is read nothing and link to pages of the backend, which guards its own forms.
func TestBackendRequestsFromElsewherePass(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	for name, lines := range g.foreign() {
		g.get(t, "/reports/x", append(lines, s.cookieLine())...).want(t, 200)
		a := g.backend.one(t)
		if want := strings.TrimPrefix(lines[0], "Origin: "); strings.HasPrefix(lines[0], "Origin: ") && a.values("Origin")[0] != want {
			t.Errorf("%s: Origin %q at the backend, want %q", name, a.values("Origin"), want)
		}
	}
}

// A page of the site must not be framed, cached or fed with foreign scripts.
func TestPagesAreSealed(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	a := g.get(t, "/auth/sign-in?return_to=//evil.example/%22%3E%3Cscript%3E", "Accept: text/html")
	a.want(t, 200)
	a.wantNoStore(t)
	csp := a.header.Get("Content-Security-Policy")
	for _, part := range []string{"frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("Content-Security-Policy %q lacks %s", csp, part)
		}
	}
	if strings.Contains(csp, "unsafe-inline") || strings.Contains(csp, "unsafe-eval") || !strings.Contains(csp, "default-src") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("no X-Content-Type-Options: nosniff")
	}
	if strings.Contains(a.body, "evil.example") || strings.Contains(a.body, "<script>") {
		t.Errorf("the page takes over the foreign return_to: %s", head(a.body))
	}
	for _, target := range []string{"/auth/account", "/auth/admin"} {
		a := g.get(t, target, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		if a.status == 200 {
			t.Errorf("%s is shown to who is signed out", target)
		}
	}
}
