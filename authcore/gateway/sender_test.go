package gateway

import (
	"net/http"
	"testing"
)

// stateChanging are the routes that a page of another origin must not reach with a visitor's cookie.
var stateChanging = []string{
	"challenge/create", "challenge/sign", "token/refresh", "sign-out",
	"password/register", "password/activate", "password/sign-in", "password/forgot", "password/reset", "password/change",
	"step-up/password/sign-in", "email/request", "email/confirm",
}

// readOnce fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}
func (unread) Close() error { return nil }

// A page of another origin has a visitor's browser send requests (CSRF): it signs him out, or into an account of its own
// (sign-in CSRF). Siblings and other ports are other origins, and may belong to somebody else.
func TestCrossSiteRequestForgery(t *testing.T) {
	h := build(t, passwordsOn)
	cookie := h.signInCookie(newSigner(1))
	for _, c := range []struct {
		name    string
		headers []string
	}{
		{"another site", []string{"Origin", "https://evil.example"}},
		{"a sibling", []string{"Origin", "https://b.example.com"}},
		{"a site below", []string{"Origin", "https://x.app.example.com"}},
		{"another port", []string{"Origin", "https://app.example.com:8443"}},
		{"another scheme", []string{"Origin", "http://app.example.com"}},
		{"a sandboxed frame, or a redirect", []string{"Origin", "null"}},
		{"an empty Origin", []string{"Origin", ""}},
		{"a look-alike", []string{"Origin", "https://app.example.com.evil.example"}},
		{"two Origins", []string{"Origin", "https://app.example.com", "Origin", "https://evil.example"}},
		{"fetch metadata: cross-site", []string{"Sec-Fetch-Site", "cross-site"}},
		{"fetch metadata: same-site", []string{"Sec-Fetch-Site", "same-site"}},
		{"fetch metadata: new words", []string{"Sec-Fetch-Site", "cross-planet"}},
		{"good Origin, bad metadata", []string{"Origin", home, "Sec-Fetch-Site", "cross-site"}},
		{"good metadata, bad Origin", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"}},
		{"metadata twice", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, route := range stateChanging {
				r := h.request("POST", route, `{}`, append(cookie, c.headers...)...)
				r.Body = unread{t} // a check of headers needs no body, and whoever fails it is to cost nothing
				a := h.serve(r)
				a.t = t
				a.refused(403, "cross_origin")
				if len(a.Header()["Set-Cookie"]) > 0 {
					t.Errorf("%s touched the cookie", route)
				}
			}
		})
	}
	if h.signedInAs(cookie) == "" {
		t.Error("somebody was signed out")
	}
}

func TestOwnPagesAndProgramsAreNoForgery(t *testing.T) {
	h := build(t)
	for _, headers := range [][]string{
		nil, // a program
		{"Origin", home, "Sec-Fetch-Site", "same-origin"},
		{"Origin", home},
		{"Sec-Fetch-Site", "none"}, // the address bar
	} {
		if a := h.do("POST", "sign-out", "", headers...); a.Code != 204 {
			t.Errorf("%q: answered %d", headers, a.Code)
		}
		h.do("POST", "challenge/create", `{}`, headers...).ok(new(map[string]any))
	}
	// Reading is nobody's forgery: links from anywhere lead here.
	if a := h.do("GET", "health/live", "", "Sec-Fetch-Site", "cross-site"); a.Code != 200 {
		t.Errorf("GET: answered %d", a.Code)
	}
}

// A form of another origin posts what looks like JSON as text/plain, which browsers send without asking.
func TestFormPostsNoJSON(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	cookie := h.signInCookie(newSigner(1))
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		for _, route := range stateChanging {
			if route == "sign-out" { // has no body
				continue
			}
			r := h.request("POST", route, `{"address":"="}`, cookie...)
			r.Header.Set("Content-Type", kind)
			h.serve(r).refused(415, "unsupported_media_type")
		}
	}
}

// Somebody who saw the first flight of a TLS 1.3 connection sends it again (RFC 8470).
func TestReplayedEarlyData(t *testing.T) {
	h := build(t, passwordsOn)
	for _, route := range stateChanging {
		r := h.request("POST", route, `{}`)
		r.TLS.HandshakeComplete = false
		h.serveAsIs(r).refused(425, "too_early")
		h.do("POST", route, `{}`, "Early-Data", "1").refused(425, "too_early")
	}
	r := h.request("GET", "health/live", "")
	r.TLS.HandshakeComplete = false
	if a := h.serveAsIs(r); a.Code != 200 {
		t.Errorf("GET: answered %d", a.Code)
	}
}
