package endtoend

import (
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
