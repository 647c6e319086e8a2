package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/session"
)

func TestHealth(t *testing.T) {
	h := build(t)
	h.do("GET", "health/live", "").ok(new(map[string]any))
	h.do("GET", "health/ready", "").ok(new(map[string]any))
	h.realm.Challenges.Health = unwell{}
	h.do("GET", "health/live", "").ok(new(map[string]any))
	a := h.do("GET", "health/ready", "").refused(503, "unavailable")
	if a.Header().Get("Retry-After") == "" || strings.Contains(a.Body.String(), "10.9.8.7") {
		t.Errorf("answer: %v %s", a.Header(), a.Body)
	}
}

type unwell struct{}

func (unwell) Ping(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		return nil // a check that hangs must not hang the checker
	}
	return errors.New("store at 10.9.8.7 is gone")
}

func TestKeysArePublic(t *testing.T) {
	h := build(t)
	h.signInTokens(newSigner(1))
	var set struct{ Keys []map[string]any }
	a := h.do("GET", "jwks.json", "").ok(&set)
	if len(set.Keys) != 1 || set.Keys[0]["kty"] != "EC" || set.Keys[0]["d"] != nil || a.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("%s %s", a.Header().Get("Content-Type"), a.Body)
	}
}

func TestPages(t *testing.T) {
	h := build(t)
	for _, c := range []struct{ in, want string }{
		{"sign-in", "page=sign-in mount=/auth origin=https://app.example.com methods=[wallet] return=/"},
		{"sign-in?return_to=/reports%3Fq=1", "page=sign-in mount=/auth origin=https://app.example.com methods=[wallet] return=/reports?q=1"},
		{"sign-in?return_to=https://evil.example", "page=sign-in mount=/auth origin=https://app.example.com methods=[wallet] return=/"},
		{"sign-in?return_to=/a&return_to=//evil.example", "page=sign-in mount=/auth origin=https://app.example.com methods=[wallet] return=/a"},
		{"assets/style.css", "body{}"},
	} {
		if a := h.do("GET", c.in, ""); a.Code != 200 || a.Body.String() != c.want {
			t.Errorf("%s: %d %q", c.in, a.Code, a.Body)
		}
	}
	if a := h.do("GET", "assets/other.css", ""); a.Code != 404 {
		t.Errorf("asset that is not there: %d", a.Code)
	}
}

func TestMountLeadsToTheAccount(t *testing.T) {
	h := build(t)
	for path, want := range map[string]string{
		"/auth": "/auth/account", "/auth/": "/auth/account", "/auth/?return_to=//evil.example": "/auth/account",
		"/auth/account/": "", "/auth/none": "", "/auth/none/": "", "/auth/credentials/": "", "/authority": "backend",
	} {
		r := h.request("GET", "account", "")
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, path
		a := h.serve(r)
		if want == "" {
			a.refused(404, "not_found")
		} else if want == "backend" {
			a.refused(401, "unauthenticated")
		} else if a.Code != 303 || a.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", path, a.Code, a.Header().Get("Location"), want)
		}
	}
	without := build(t, func(_ *RealmConfig, s *Site) { s.Pages = nil })
	r := without.request("GET", "account", "")
	r.URL.Path = "/auth/"
	without.serve(r).refused(404, "not_found")
	h.do("POST", "", "{}").refused(405, "method_not_allowed")
	h.do("POST", "none", "{}").refused(404, "not_found")
}

func TestAccountPage(t *testing.T) {
	h := build(t)
	a := h.do("GET", "account", "")
	if want := "/auth/sign-in?return_to=%2Fauth%2Faccount"; a.Code != 302 || a.Header().Get("Location") != want {
		t.Errorf("signed out: %d to %q, want %q", a.Code, a.Header().Get("Location"), want)
	}
	cookie := h.signInCookie(newSigner(1))
	if a := h.do("GET", "account", "", cookie...); a.Code != 200 || !strings.HasSuffix(a.Body.String(), "user="+newSigner(1).address()) {
		t.Errorf("signed in: %d %q", a.Code, a.Body)
	}
	// Whoever was sent here to add something goes back from here, and nowhere else.
	for in, want := range map[string]string{"": "/", "/vault/x?a=b": "/vault/x?a=b", "//evil.example": "/", "https://evil.example/": "/"} {
		a := h.do("GET", "account?return_to="+url.QueryEscape(in), "", cookie...)
		if !strings.Contains(a.Body.String(), " return="+want+" ") {
			t.Errorf("return_to %q: %q, want %s", in, a.Body, want)
		}
	}
	// A store that is down signs nobody out.
	h.now = h.now.Add(6 * time.Minute)
	h.faults.breakDown("Session")
	h.do("GET", "account", "", cookie...).refused(503, "unavailable")
	h.do("GET", "sign-in", "", cookie...).refused(503, "unavailable")
	if a := h.do("GET", "sign-in", ""); a.Code != 200 {
		t.Errorf("a visitor without cookie: %d", a.Code)
	}
}

func TestWithoutPages(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) { s.Pages = nil })
	for _, sub := range []string{"sign-in", "account", "assets/style.css"} {
		h.do("GET", sub, "").refused(404, "not_found")
	}
	h.do("GET", "session", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate").refused(401, "unauthenticated")
}

func TestRoutesThatAreNotThere(t *testing.T) {
	h := build(t)
	for _, sub := range []string{"nothing", "session/", "session/x", "sign-in/", "assets", "assets/", "assets/a/b", "challenge", "challenge/", "health", "Session", "*"} {
		a := h.do("GET", sub, "")
		if a.Code != 404 {
			t.Errorf("GET %q: %d %s", sub, a.Code, a.Body)
		}
	}
	h.do("GET", "nothing", "").refused(404, "not_found")
	h.do("POST", "sign-out/", "").refused(404, "not_found")
}

func TestMethods(t *testing.T) {
	h := build(t)
	for _, c := range []struct{ method, sub, allow string }{
		{"GET", "challenge/create", "POST"},
		{"GET", "sign-out", "POST"}, // an image on any page could sign everybody out
		{"HEAD", "token/refresh", "POST"},
		{"POST", "session", "GET, HEAD"},
		{"DELETE", "session", "GET, HEAD"},
		{"OPTIONS", "challenge/sign", "POST"}, // no other origin is ever invited (CORS)
		{"PUT", "sign-out", "POST"},
		{"TRACE", "health/live", "GET, HEAD"},
	} {
		r := h.request(c.method, c.sub, "")
		a := h.serve(r)
		if a.Code != http.StatusMethodNotAllowed || a.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.sub, a.Code, a.Header().Get("Allow"))
		}
		for name := range a.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: %s is set", c.method, c.sub, name)
			}
		}
	}
}

func TestHead(t *testing.T) {
	h := build(t)
	for _, sub := range []string{"session", "jwks.json", "health/live", "health/ready", "nothing"} {
		get, head := h.do("GET", sub, ""), h.do("HEAD", sub, "")
		if head.Code != get.Code || head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
			t.Errorf("%s: GET %d %v, HEAD %d %v with %d bytes", sub, get.Code, get.Header(), head.Code, head.Header(), head.Body.Len())
		}
	}
}

// Every answer of the gateway itself, good or bad, is kept by no cache, framed by nobody and taken for nothing else.
func TestOwnHeaders(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	for _, r := range []*http.Request{
		h.request("GET", "sign-in", ""), h.request("GET", "assets/style.css", ""), h.request("GET", "assets/none", ""), h.request("GET", "account", "", cookie...),
		h.request("GET", "jwks.json", ""), h.request("GET", "session", "", cookie...), h.request("GET", "session", ""),
		h.request("GET", "nothing", ""), h.request("PUT", "session", ""), h.request("POST", "challenge/create", `{}`),
		h.request("POST", "challenge/create", `{`), h.request("POST", "sign-out", "", cookie...), h.request("POST", "sign-out", "", "Origin", "null"),
		h.request("GET", "session", "", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"),
	} {
		a := h.serve(r)
		for name, want := range map[string]string{
			"Cache-Control":                "no-store",
			"Content-Security-Policy":      contentPolicy,
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin-allow-popups",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.Header()[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s %s (%d): %s = %q", r.Method, r.URL, a.Code, name, got)
			}
		}
	}
}

// A page of this origin may see whether the pop-up that it opened is closed. One of elsewhere that opens it, or follows a
// link to it, must not get a handle on the window in which somebody signs in.
func TestPopUpIsNearItsOwnOriginAlone(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	const near, apart = "unsafe-none", "same-origin-allow-popups"
	for name, c := range map[string]struct {
		page, want string
		headers    []string
	}{
		"own":                   {"sign-in?pop-up&return_to=/", near, []string{"Sec-Fetch-Site", "same-origin"}},
		"own, to confirm":       {"confirm?with=wallet&pop-up&return_to=/", near, append([]string{"Sec-Fetch-Site", "same-origin"}, cookie...)},
		"no pop-up":             {"sign-in?return_to=/", apart, []string{"Sec-Fetch-Site", "same-origin"}},
		"of another site":       {"sign-in?pop-up&return_to=/", apart, []string{"Sec-Fetch-Site", "cross-site"}},
		"of a sibling":          {"sign-in?pop-up&return_to=/", apart, []string{"Sec-Fetch-Site", "same-site"}},
		"typed":                 {"sign-in?pop-up&return_to=/", apart, []string{"Sec-Fetch-Site", "none"}},
		"said twice":            {"sign-in?pop-up&return_to=/", apart, []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}},
		"of an unknown browser": {"sign-in?pop-up&return_to=/", apart, nil},
	} {
		a := h.do("GET", c.page, "", append([]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, c.headers...)...)
		if got := a.Header()["Cross-Origin-Opener-Policy"]; a.Code != 200 || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %d, %q, want %q", name, a.Code, got, c.want)
		}
	}
}

func TestErrorPage(t *testing.T) {
	h := build(t)
	navigate := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	a := h.do("GET", "session", "", navigate...)
	if want := "page=error mount=/auth origin=https://app.example.com methods=[wallet] return=/auth/session code=unauthenticated"; a.Code != 401 || a.Body.String() != want {
		t.Errorf("%d %q, want %q", a.Code, a.Body, want)
	}
	cookie := h.signInCookie(newSigner(1))
	a = h.do("GET", "nothing", "", append(cookie, navigate...)...)
	if a.Code != 404 || !strings.Contains(a.Body.String(), "user="+newSigner(1).address()) {
		t.Errorf("%d %q", a.Code, a.Body)
	}
	h.gateway.site.Pages = brokenPages{}
	h.do("GET", "nothing", "", navigate...).refused(404, "not_found")
	h.do("GET", "sign-in", "", navigate...).refused(500, "internal")
}

type brokenPages struct{ plainPages }

func (brokenPages) ServePage(http.ResponseWriter, *http.Request, Page) error {
	return errors.New("template: no such variable")
}

// Error pages of the server itself may have scripts and styles that those of the gateway must not have.
func TestRefusalForTheServersOwnErrorPage(t *testing.T) {
	h := build(t)
	r := h.request("GET", "", "")
	r.URL.Path = "/reports"
	w := recorded(func(w http.ResponseWriter) {
		var e *Error
		if err := h.gateway.Handle(w, r, nil); !errors.As(err, &e) || e.Status != 401 {
			t.Errorf("Handle answered %v", err)
		}
	})
	if got := w.Header(); got.Get("Content-Security-Policy") != "" || got.Get("Cache-Control") != "no-store" || got.Get("WWW-Authenticate") == "" {
		t.Errorf("headers: %v", got)
	}
}

// A store that is down may say so in the words of a verdict it could not reach.
func TestUnavailableIsNeverAVerdict(t *testing.T) {
	for _, verdict := range []error{authcore.ErrSessionNotFound, authcore.ErrChallengeNotFound, session.ErrInvalidGrant} {
		if e := asError(fmt.Errorf("%w: %w", verdict, authcore.ErrUnavailable)); e.Code != "unavailable" {
			t.Errorf("%v: %s", verdict, e.Code)
		}
	}
}

// An error that nobody expected is told without its text.
func TestUnexpectedErrorTellsNothing(t *testing.T) {
	h := build(t)
	r := h.request("GET", "session", "")
	a := answer{t, nil}
	a.ResponseRecorder = recorded(func(w http.ResponseWriter) {
		h.gateway.WriteError(w, r, errors.New("pq: password authentication failed for user 10.9.8.7"))
	})
	a.refused(503, "unavailable")
	if strings.Contains(a.Body.String(), "10.9.8.7") || !strings.Contains(h.log.String(), "10.9.8.7") {
		t.Errorf("body %s, log %s", a.Body, h.log)
	}
	if !json.Valid(a.Body.Bytes()) {
		t.Error("not JSON")
	}
}

// A balancer is told before the process ends; who is served meanwhile notices nothing.
func TestReadyNoMoreWhenLeaving(t *testing.T) {
	leaving := false
	h := build(t, func(c *RealmConfig, _ *Site) { c.Leaving = func() bool { return leaving } })
	h.do("GET", "health/ready", "").ok(new(map[string]any))
	leaving = true
	if a := h.do("GET", "health/ready", "").refused(503, "unavailable"); a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.do("GET", "health/live", "").ok(new(map[string]any))
	h.do("POST", "challenge/create", `{}`).ok(new(map[string]any))
}

// After a reload the new rules hold, also for what still comes to the old gateway.
func TestCurrentGateway(t *testing.T) {
	h := build(t)
	current := func(want *Gateway) {
		t.Helper()
		if got, ok := h.gateway.Current(); got != want || ok != (want != nil) {
			t.Errorf("got %p, %v, want %p", got, ok, want)
		}
	}
	current(h.gateway)
	after, err := NewRealm(h.realm.RealmConfig)
	if err != nil {
		t.Fatal(err)
	}
	successor := func(origin string) *Gateway {
		t.Helper()
		g, err := New(after, Site{Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	successor("https://other.example.com")
	current(h.gateway)
	h.realm.Close()
	current(nil) // the site is gone
	current(nil)
	next := successor(home)
	current(next)
	successor(home)
	current(nil) // nobody knows which
}
