package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
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
