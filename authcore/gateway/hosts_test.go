package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// siblings is a house that stands before all hosts below example.com, asked by another proxy or in the way itself.
func siblings(t testing.TB) *house {
	return asker(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
}

// byItself is how a request comes that no other proxy asks about.
func byItself(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// Mallory has a page on one host below a cookie domain, and her visitor is signed in on all of them. Her page opens a
// websocket to another host: the browser sends the cookie, and would let her read what comes. The other host's own pages
// open theirs.
func TestWebsocketsOfSiblings(t *testing.T) {
	h := siblings(t)
	cookie := h.signInCookie(newSigner(2))
	for name, tell := range map[string]askedBy{"forwarded": byForwarded, "original": byOriginal, "path": byPath, "itself": byItself} {
		for _, c := range []struct {
			host, origin string
			want         bool
		}{
			{"wiki.example.com", "https://wiki.example.com", true},
			{"wiki.example.com:443", "https://wiki.example.com", true},
			{"WIKI.example.com", "https://Wiki.Example.com", true},
			{"wiki.example.com:8443", "https://wiki.example.com:8443", true},
			{"app.example.com", home, true},
			{"app.example.com:8443", home + ":8443", true}, // another origin to the browser
			{"wiki.example.com", home, false},
			{"app.example.com", "https://wiki.example.com", false},
			{"app.example.com:8443", home, false},
			{"wiki.example.com", "https://wiki.example.com:8443", false},
			{"wiki.example.com:8443", "https://wiki.example.com", false},
			{"wiki.example.com", "http://wiki.example.com", false},
			{"wiki.example.com", "https://example.com", false},
			{"wiki.example.com", "https://a.wiki.example.com", false},
			{"wiki.example.com", "https://evil.example", false},
			{"wiki.example.com", "wiki.example.com", false},
			{"wiki.example.com", "null", false},
			{"wiki.example.com", "", false},
		} {
			want := map[bool]int{true: 200, false: 403}[c.want]
			if name == "itself" && c.want {
				want = http.StatusTeapot
			}
			socket := append([]string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x"}, cookie...)
			what := fmt.Sprintf("%s: from %q to %s", name, c.origin, c.host)
			if a := h.serve(tell("GET", "https://"+c.host+"/x", append(socket, "Origin", c.origin)...)); a.Code != want {
				t.Errorf("%s: answered %d, want %d", what, a.Code, want)
			}
			if a := h.serve(tell("GET", "https://"+c.host+"/x", append(socket, "Origin", c.origin, "Origin", c.origin)...)); a.Code != 403 {
				t.Errorf("%s, said twice: answered %d", what, a.Code)
			}
		}
		// Programs name no page.
		socket := append([]string{"Connection", "Upgrade", "Upgrade", "websocket"}, cookie...)
		if a := h.serve(tell("GET", "https://wiki.example.com/x", socket...)); a.Code != 200 && a.Code != http.StatusTeapot {
			t.Errorf("%s: without a page: %d", name, a.Code)
		}
	}
}

// A host that the cookie domain does not cover has no pages that are the site's own, whatever it is called.
func TestWebsocketsOfHostsBeyond(t *testing.T) {
	for _, h := range []*house{siblings(t), asker(t)} {
		cookie := h.signInCookie(newSigner(2))
		for _, host := range []string{"evil.example", "notexample.com", "example.com.evil.example", "wiki..example.com", "x.example.com:99999", "a@b.example.com"} {
			r := byItself("GET", home+"/x", append(cookie, "Connection", "Upgrade", "Upgrade", "websocket", "Origin", "https://"+host)...)
			r.Host = host
			if a := h.serve(r); a.Code != 403 {
				t.Errorf("%s: answered %d", host, a.Code)
			}
		}
	}
}

// A browser that was told a token as a password once sends it from pages of siblings, too, and old ones do not say so in
// Sec-Fetch-Site.
func TestBasicOfSiblings(t *testing.T) {
	h := siblings(t)
	token := h.newToken(h.signInTokens(newSigner(2)).bearer(), "").Token
	for name, tell := range map[string]askedBy{"forwarded": byForwarded, "itself": byItself} {
		for origin, want := range map[string]bool{"https://wiki.example.com": true, home: false, "https://evil.example": false} {
			r := tell("POST", "https://wiki.example.com/x", "Origin", origin)
			r.SetBasicAuth("x", token)
			if a := h.serve(r); (a.Code == 200 || a.Code == http.StatusTeapot) != want {
				t.Errorf("%s: from %s: answered %d", name, origin, a.Code)
			}
		}
	}
}

// Somebody on a host below the cookie domain signs in on the origin, and comes back to the host where they were, as by way of
// another proxy. A link that leads elsewhere is no place to come back to.
func TestPeopleComeBackToTheirHost(t *testing.T) {
	h := siblings(t)
	b := &tab{h: h}
	b.opens("wiki.example.com", "/some/place?x=1&y=%2F").isPage(200, "sign-in", "")
	const back = "/auth/back?to=https%3A%2F%2Fwiki.example.com%2Fsome%2Fplace%3Fx%3D1%26y%3D%252F"
	if u := mustParse(b.at); u.Host != "app.example.com" || u.Query().Get("return_to") != back {
		t.Fatalf("at %s", b.at)
	}
	b.cookie = h.signInCookie(newSigner(2))
	b.jar = b.cookie[1]
	if a := b.back("app.example.com"); a.Code != http.StatusTeapot || b.at != "https://wiki.example.com/some/place?x=1&y=%2F" {
		t.Errorf("%d at %s", a.Code, b.at)
	}
	for _, c := range []struct{ host, path, want string }{
		{"wiki.example.com:8443", "/x", "/auth/back?to=https%3A%2F%2Fwiki.example.com%3A8443%2Fx"},
		{"WIKI.example.com:443", "/x", "/auth/back?to=https%3A%2F%2Fwiki.example.com%2Fx"},
		{"wiki.example.com", "/" + strings.Repeat("x", maxReturn-20), "/auth/back?to=https%3A%2F%2Fwiki.example.com%2F"},
		{"wiki.example.com", "//evil.example/x", "/auth/back?to=https%3A%2F%2Fwiki.example.com%2F"},
		{"wiki.example.com", "/auth/account", "/auth/account"}, // the gateway's own pages are the origin's
		{"app.example.com", "/x", "/x"},
		{"www.evil.example", "/x", "/x"},
		{"a@b.example.com", "/x", "/x"},
	} {
		r := byItself("GET", home+c.path, "Accept", acceptHTML, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		r.Host = c.host
		to := mustParse(h.serve(r).Header().Get("Location"))
		if got := to.Query().Get("return_to"); got != c.want || h.gateway.safeReturn(got) != got || c.host != "app.example.com" && to.Host != "app.example.com" {
			t.Errorf("%s%.40s: sent to %s", c.host, c.path, to)
		}
	}
	// Without a cookie domain no sign-in counts on another host: nobody is led back to one.
	r := byItself("GET", "https://wiki.example.com/x", "Accept", acceptHTML, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if to := mustParse(asker(t).serve(r).Header().Get("Location")); to.Query().Get("return_to") != "/x" {
		t.Errorf("sent to %s", to)
	}
}

// Whom a page on another host refuses finds the way back from its button to sign in, and who confirms on the origin finds it too.
func TestPagesOfSiblingsLeadBack(t *testing.T) {
	h := siblings(t)
	h.now = h.now.Add(2 * time.Minute)
	alice := h.signInCookie(newSigner(2))
	page := []string{"Accept", acceptHTML, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	a := h.serve(byItself("GET", "https://wiki.example.com/admin/x", append(page, alice...)...))
	if want := "return=/auth/back?to=https%3A%2F%2Fwiki.example.com%2Fadmin%2Fx "; a.Code != 403 || !strings.Contains(a.Body.String(), want) {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	h.now = h.now.Add(2 * time.Minute) // past what /vault asks for
	a = h.serve(byItself("GET", "https://wiki.example.com/vault/x", append(page, alice...)...))
	to := mustParse(a.Header().Get("Location"))
	if a.Code != 302 || to.Path != "/auth/confirm" || to.Query().Get("return_to") != "/auth/back?to=https%3A%2F%2Fwiki.example.com%2Fvault%2Fx" {
		t.Errorf("%d %s", a.Code, to)
	}
}

// Who goes in circles on a host where the sign-in counts is told of another cause than that of the host.
func TestLoopOnASibling(t *testing.T) {
	h := siblings(t)
	b := &tab{h: h}
	b.opens("wiki.example.com", "/x").isPage(200, "sign-in", "")
	for range 2 {
		b.back("app.example.com").isPage(200, "sign-in", "")
	}
	b.back("app.example.com").isPage(508, "loop", "sign_in_loop")
	if !strings.Contains(h.log.String(), "sign-in loop: cookie") {
		t.Errorf("the log says\n%s", h.log)
	}
}
