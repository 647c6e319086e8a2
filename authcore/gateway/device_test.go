package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDeviceCookieAttributes(t *testing.T) {
	tests := []struct{ origin, domain, want string }{
		{"https://app.example.com", "", "__Host-authgate-device=d; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=31536000"},
		{"https://app.example.com", "example.com", "__Secure-authgate-device=d; Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example.com; Max-Age=31536000"},
		{"http://localhost:8080", "", "authgate-device=d; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000"},
	}
	for _, tt := range tests {
		if got := form(t, tt.origin, tt.domain).setDevice("d"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.origin, got, tt.want)
		}
	}
}

func TestTakeDeviceCookie(t *testing.T) {
	f := form(t, "https://app.example.com", "")
	for _, c := range []struct{ name, line, session, device, left string }{
		{"alone", "__Host-authgate-device=d", "", "d", ""},
		{"with the session", "a=b; __Host-authgate=s; __Host-authgate-device=d; c=d", "s", "d", "a=b; c=d"},
		{"before the session", "__Host-authgate-device=d; __Host-authgate=s", "s", "d", ""},
		{"of other sites", "__Secure-authgate-device=x; authgate-device=y; __HOST-AUTHGATE-DEVICE=z; a=b", "", "", "a=b"},
		{"another whose name begins so", "__Host-authgate-devices=v; __Host-authgate_device=w", "", "", "__Host-authgate-devices=v; __Host-authgate_device=w"},
		// A page of a sibling host planted a second one.
		{"twice", "__Host-authgate-device=d; __Host-authgate=s; __Host-authgate-device=e", "s", "", ""},
		{"endless", "__Host-authgate-device=" + strings.Repeat("d", 300), "", "", ""},
	} {
		h := http.Header{"Cookie": {c.line}}
		took := f.take(h)
		if took.session != c.session || took.device != c.device || h.Get("Cookie") != c.left {
			t.Errorf("%s: %q, %q, left %q", c.name, took.session, took.device, h["Cookie"])
		}
	}
}

// A stranger guesses until the account is suspended, for no other reason than to shut its owner out. The browser in which
// the owner signed in before is not. That only this browser can say so is worth attacking, too.
func TestStrangersSuspendNobodysOwnBrowser(t *testing.T) {
	h := build(t, passwordsOn)
	mine := h.enrol(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(deviceCookie)
	others := h.enrol(bob, bobsPassword, withCookie).ok(new(signedInView)).jar(deviceCookie)
	suspend := func() {
		for range 6 {
			h.knock(alice, "a guess of many", "").refused(401, "invalid_credentials")
		}
		h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	}
	suspend()
	_, value, _ := strings.Cut(mine[1], "=")
	flipped := []byte(value)
	flipped[len(flipped)/2] ^= 1
	for name, line := range map[string]string{
		"none":                "a=b",
		"forged":              deviceCookie + "=" + string(flipped),
		"cut":                 deviceCookie + "=" + value[:len(value)-1],
		"longer":              deviceCookie + "=" + value + "A",
		"of another user":     others[1],
		"beside a tossed one": mine[1] + "; " + others[1],
		"tossed twice":        mine[1] + "; " + mine[1],
		"under another name":  "authgate-device=" + value,
		"as the session":      sessionCookie + "=" + value,
	} {
		a := h.knock(alice, alicesPassword, "", "Cookie", line)
		if a.Code != 401 {
			t.Errorf("%s: %d", name, a.Code)
		}
	}
	again := h.knock(alice, alicesPassword, withCookie, mine...).ok(new(signedInView))
	if again.jar(deviceCookie)[1] != mine[1] {
		t.Error("the browser got another token, under which it has a count of its own")
	}
	// It is no way around the count: in this browser one guesses as often, and no more.
	suspend()
	for range 5 {
		h.knock(alice, "a guess of many", "", mine...).refused(401, "invalid_credentials")
	}
	h.knock(alice, alicesPassword, "", mine...).refused(401, "invalid_credentials")
	// A new password forgets all browsers: who stole the cookie has nothing.
	h.now = h.now.Add(time.Hour)
	h.mails()
	h.reset(h.forgot(alice), newPassword, "").ok(new(signedInView))
	for range 6 {
		h.knock(alice, "a guess of many", "").refused(401, "invalid_credentials")
	}
	h.knock(alice, newPassword, "", mine...).refused(401, "invalid_credentials")
}

// The device cookie is the gateway's own: no backend sees it, and none can set it or take it away.
func TestBackendHasNoPartInTheDeviceCookie(t *testing.T) {
	h := build(t, passwordsOn)
	a := h.enrol(alice, alicesPassword, withCookie).ok(new(signedInView))
	jar := a.jar(sessionCookie, deviceCookie)
	jar[1] += "; app=1; __Secure-authgate-device=x; Authgate-Device=y"
	r := h.request("GET", "", "", jar...)
	r.URL.Path = "/reports"
	r.TLS.HandshakeComplete = true
	seen := []string{"nobody called"}
	w := recorded(func(w http.ResponseWriter) {
		h.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header["Cookie"]
			for _, line := range []string{
				"__Host-authgate-device=evil; Path=/; Secure", "authgate-device=; Max-Age=0", "=__Host-authgate-device=evil", "__host-Authgate-Device=evil",
				"__Secure-authgate-device=evil; Domain=example.com", "app=2",
			} {
				w.Header().Add("Set-Cookie", line)
			}
		})).ServeHTTP(w, r)
	})
	if len(seen) != 1 || seen[0] != "app=1" {
		t.Errorf("the backend saw %q", seen)
	}
	if got := w.Header()["Set-Cookie"]; len(got) != 1 || got[0] != "app=2" {
		t.Errorf("the backend set %q", got)
	}
}

func TestReplaceCookieKeepsTheDeviceCookie(t *testing.T) {
	h := http.Header{"Set-Cookie": {"__Host-authgate=old", "__Host-authgate-device=d; Path=/", "app=1"}}
	replaceCookie(h, "__Host-authgate=new")
	if got := strings.Join(h["Set-Cookie"], "|"); got != "__Host-authgate-device=d; Path=/|app=1|__Host-authgate=new" {
		t.Errorf("%q", got)
	}
}

// The session cookie is renewed and replaced now and then; the other one stays as it is.
func TestDeviceCookieOutlivesSessions(t *testing.T) {
	h := build(t, passwordsOn)
	a := h.enrol(alice, alicesPassword, withCookie).ok(new(signedInView))
	h.now = h.now.Add(6 * time.Minute) // the access token has expired, so that the cookie is renewed in this very request
	next := h.knock(alice, alicesPassword, withCookie, a.jar(sessionCookie, deviceCookie)...).ok(new(signedInView)).cookies()
	if len(next) != 2 || next[deviceCookie] == "" || next[sessionCookie] == "" {
		t.Errorf("%q", next)
	}
	if next[deviceCookie] != a.cookies()[deviceCookie] {
		t.Error("the token is another one")
	}
	// Programs get none, nor does who is refused.
	if a := h.knock(alice, alicesPassword, ""); len(a.Header()["Set-Cookie"]) > 0 {
		t.Errorf("%q", a.Header()["Set-Cookie"])
	}
	h.faults.breakDown("CreateSession")
	if a := h.knock(alice, alicesPassword, withCookie).refused(503, "unavailable"); len(a.Header()["Set-Cookie"]) > 0 {
		t.Errorf("%q", a.Header()["Set-Cookie"])
	}
}
