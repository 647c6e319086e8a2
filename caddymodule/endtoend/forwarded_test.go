package endtoend

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Who says X-Forwarded-Host, -Proto or -For, or a Referer that is a script, must not choose where people are sent, what
// stands in a page, or which address a session is shown to come from.
func TestForwardingHeadersOfClientsAreNotBelieved(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	forged := []string{
		"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: evilscheme", "X-Forwarded-For: 192.0.2.99", "X-Real-IP: 192.0.2.99",
		"Forwarded: for=192.0.2.99;host=evil.example;proto=evilscheme", "Referer: javascript:alert(document.domain)//evil.example",
	}
	browsing := append([]string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, forged...)
	for _, target := range []string{
		"/reports/x", "/auth/sign-in", "/auth/account", "/auth/admin", "/auth/sign-out", "/auth/nothing",
		"/auth/admin%22%3E%3Cscript%3Ealert(1)%3C/script%3E/x",
	} {
		a := g.get(t, target, browsing...)
		for _, evil := range []string{"evil", "192.0.2.99", "javascript:", "<script>alert"} {
			if strings.Contains(a.raw, evil) {
				t.Errorf("%s: %q is in the answer: %s", target, evil, head(a.raw))
			}
		}
		if to := a.header.Get("Location"); to != "" && to[0] != '/' && !strings.HasPrefix(to, g.origin+"/") {
			t.Errorf("%s leads to %s", target, to)
		}
	}
	alice := walletOf("alice")
	message, _ := g.challenge(t, alice)
	var s signedIn
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": alice.sign(message)}, forged...).into(t, 200, &s)
	var list struct {
		Sessions []struct {
			ClientIP string `json:"client_ip"`
		}
	}
	g.get(t, "/auth/sessions", s.bearer()).into(t, 200, &list)
	if len(list.Sessions) != 1 || list.Sessions[0].ClientIP != "127.0.0.1" {
		t.Errorf("sessions %+v", list.Sessions)
	}
}

// A proxy asks about a request with a header by which its client calls itself somebody, or names another URL, in any spelling that
// an application behind the proxy might read so. It is refused; but Caddy drops names with "_" or "." before anything here
// sees them, so that the answer is as without. Neither way is the client who it says.
func TestVerifyOfForgedHeadersInEverySpelling(t *testing.T) {
	t.Parallel()
	g := start(t, setup{top: trustsThisMachine, site: askedRules + "\n\t\theader X-WEBAUTH-USER {username}", routes: "respond 404"})
	alice := g.signInBrowser(t, walletOf("alice"))
	host := strings.TrimPrefix(g.origin, "http://")
	dropped, refused := 0, 0
	for _, name := range slices.Concat(identityNames, overrideNames, []string{"X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Path"}) {
		for _, spelled := range spellings(name) {
			if http.CanonicalHeaderKey(spelled) == http.CanonicalHeaderKey(name) && strings.HasPrefix(name, "X-Forwarded-") && name != "X-Forwarded-Path" &&
				!slices.Contains(overrideNames, name) {
				continue // the proxy's own words
			}
			for path, lines := range map[string][]string{"/public/x": nil, "/reports": {alice.cookieLine()}} {
				asked := append([]string{
					"X-Forwarded-Method: GET", "X-Forwarded-Proto: http", "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + path, spelled + ": " + forged,
				}, lines...)
				a := g.get(t, "/auth/verify", asked...)
				want := http.StatusBadRequest
				if strings.ContainsAny(spelled, "_.") {
					want = http.StatusOK
					dropped++
				} else {
					refused++
				}
				if a.status != want || strings.Contains(a.raw, forged) {
					t.Errorf("%s with %q: answered %d, want %d: %s", path, spelled, a.status, want, head(a.raw))
				}
				user := a.header["Remote-User"]
				if want == http.StatusOK && lines != nil && !slices.Equal(user, []string{alice.User.Username}) || (want != http.StatusOK || lines == nil) && len(user) > 0 {
					t.Errorf("%s with %q: told that it is %q", path, spelled, user)
				}
			}
		}
	}
	if dropped < 100 || refused < 100 {
		t.Errorf("%d were dropped, %d refused", dropped, refused)
	}
}
