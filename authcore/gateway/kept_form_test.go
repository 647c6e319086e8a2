package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// watched are challenges that are looked at as they are stored.
type watched struct {
	authcore.Challenges
	mu     sync.Mutex
	stored []authcore.Challenge
}

func (w *watched) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	w.mu.Lock()
	w.stored = append(w.stored, c)
	w.mu.Unlock()
	return w.Challenges.CreateChallenge(ctx, c, now)
}

// forms answers what was stored of forms, the oldest first.
func (w *watched) forms() (all []authcore.Challenge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.stored {
		if c.Purpose == authcore.PurposeKeptForm {
			all = append(all, c)
		}
	}
	return all
}

func watching(w *watched) func(*RealmConfig, *Site) {
	return func(c *RealmConfig, _ *Site) {
		w.Challenges = c.Challenges.Challenges
		c.Challenges.Challenges = w
	}
}

// A form with a file in it is sent to a rule that asks for a passkey. Its sender confirms, and the backend gets it as it was.
func TestFormSurvivesTheConfirmation(t *testing.T) {
	c := newConfirmer(t)
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	file := make([]byte, 40<<10)
	_, _ = rand.Read(file)
	_ = m.WriteField("text", "ünï\r\ncode")
	part, _ := m.CreateFormFile("file", "a\"b.bin")
	_, _ = part.Write(file)
	_ = m.Close()
	id, page := c.sent(c.ask("POST", "/vault?a=b&c=%2F'(%7B", body.String(), "Content-Type", m.FormDataContentType(), "Referer", home+"/form?x", "Sec-Fetch-User", "?1"))
	if u, err := url.Parse(page); err != nil || u.Path != "/auth/confirm" || u.Query().Get("return_to") != "/vault?a=b&c=%2F'(%7B" || u.Query().Get("with") != "passkey" || u.Query().Get("within") != "60" {
		t.Errorf("sent to %s", page)
	}
	if !strings.HasPrefix(c.form, "__Host-authgate-form=") {
		t.Errorf("cookie %q", c.form)
	}
	if c.ask("GET", page, ""); c.pages.last.Confirm.Proven || c.pages.last.Confirm.Form != id || c.pages.last.Confirm.Lost != "" {
		t.Errorf("page before: %+v", c.pages.last.Confirm)
	}
	// Before that nothing goes on: it is kept anew, since it is here again.
	again, page := c.sent(c.sendOn(id, "/vault?a=b&c=%2F'(%7B"))
	if again == id || len(c.got) > 0 {
		t.Errorf("id %s, %d requests at the backend", again, len(c.got))
	}
	c.confirm()
	a := c.ask("GET", page, "")
	if p := c.pages.last.Confirm; !p.Proven || p.Form != again {
		t.Errorf("page after: %+v", p)
	}
	// A backend may answer a form with a redirect to anywhere.
	if policy := a.Header().Get("Content-Security-Policy"); strings.Contains(policy, "form-action") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	a = c.ask("POST", "/auth/confirm?return_to="+url.QueryEscape("/vault?a=b&c=%2F'(%7B"), formField+again)
	if a.Code != 307 || a.Header().Get("Location") != "/vault?a=b&c=%2F'(%7B" {
		t.Fatalf("answered %d %v: %s", a.Code, a.Header(), a.Body)
	}
	a = c.sendOn(again, a.Header().Get("Location"), "Referer", home+"/auth/confirm")
	c.reached(a, body.String())
	got := c.got[0]
	for name, want := range map[string]string{
		"Content-Type": m.FormDataContentType(), "Content-Length": fmt.Sprint(body.Len()), "Referer": home + "/form?x", "Origin": home,
		"Sec-Fetch-Site": "same-origin", "Sec-Fetch-User": "?1", "Cookie": "", "Remote-User": c.user(),
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.ContentLength != int64(body.Len()) || got.Method != "POST" || got.URL.RequestURI() != "/vault?a=b&c=%2F'(%7B" {
		t.Errorf("%s %s, %d bytes", got.Method, got.URL.RequestURI(), got.ContentLength)
	}
	// Whoever reloads what came of it sends the same once more.
	for range 2 {
		if a := c.sendOn(again, "/vault?a=b&c=%2F'(%7B"); a.Code != 410 || c.pages.last.Problem.Code != "form_gone" || len(c.got) != 1 {
			t.Errorf("again: %d, %d requests", a.Code, len(c.got))
		}
	}
}

// user answers the username behind the cookie.
func (c *confirmer) user() string {
	var v struct{ User userView }
	c.do("GET", "session", "", c.jar()...).ok(&v)
	return v.User.Username
}

func TestEmptyFormSurvives(t *testing.T) {
	c := newConfirmer(t)
	r := httptest.NewRequest("POST", home+"/vault", http.NoBody)
	for i, h := 0, append(browser(), c.jar()...); i < len(h); i += 2 {
		r.Header.Set(h[i], h[i+1])
	}
	r.ContentLength = 0
	id, _ := c.sent(c.hand(r))
	c.confirm()
	c.reached(c.sendOn(id, "/vault"), "")
	if c.got[0].ContentLength != 0 || c.got[0].Header.Get("Content-Length") != "0" {
		t.Errorf("%d, %q", c.got[0].ContentLength, c.got[0].Header)
	}
}

// Who reads the store, or a backup of it, reads nothing of what people sent, nor has what opens it.
func TestKeptFormIsSealed(t *testing.T) {
	var w watched
	c := newConfirmer(t, watching(&w))
	const text = "a secret that was typed, and is long enough to be found"
	id, _ := c.sent(c.ask("POST", "/vault", "text="+text, "Referer", home+"/referred"))
	other, _ := c.sent(c.ask("POST", "/vault", "text="+text, "Referer", home+"/referred"))
	all := w.forms()
	if len(all) != 2 || id == other {
		t.Fatalf("%d stored", len(all))
	}
	key, ok := parseFormKey(strings.TrimPrefix(c.form, "__Host-authgate-form="))
	if !ok {
		t.Fatalf("cookie %q", c.form)
	}
	for _, stored := range all {
		for name, secret := range map[string]string{"body": text, "header": "referred", "id": id, "key": string(key[:]), "key as in the cookie": key.String()} {
			if bytes.Contains(stored.Data, []byte(secret)) || stored.ID == [32]byte([]byte(id)[:32]) {
				t.Errorf("the store knows the %s", name)
			}
		}
		if stored.ID != authcore.HashSecret(id) && stored.ID != authcore.HashSecret(other) {
			t.Error("stored under something else than the hash of the id")
		}
		if !stored.Expires.Equal(c.now.Add(10*time.Minute)) || stored.Origin != home || stored.Subject == "" {
			t.Errorf("%+v", stored.Binding)
		}
	}
	// One key opens one form.
	if bytes.Equal(all[0].Data[4:60], all[1].Data[4:60]) {
		t.Error("two forms are sealed alike")
	}
}

// Mallory has an account as well. She has learned the id of a form that her victim sent, from a log say, or even the cookie
// with the key: with her own session it opens nothing, and spends nothing.
func TestKeptFormOfSomebodyElse(t *testing.T) {
	c := newConfirmer(t)
	id, _ := c.sent(c.ask("POST", "/desk", "mine=1"))
	c.confirm()
	victims := c.session
	c.session = c.signInCookie(newSigner(66))[1]
	if a := c.sendOn(id, "/desk"); a.Code != 410 || len(c.got) > 0 {
		t.Errorf("answered %d", a.Code)
	}
	c.session = victims
	c.reached(c.sendOn(id, "/desk"), "mine=1")
}

// A gateway below a cookie domain stands before several hosts, and people confirm at its origin: what was sent to another host
// must not arrive there.
func TestKeptFormOfAnotherHost(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	r := httptest.NewRequest("POST", "https://wiki.example.com/desk", strings.NewReader("mine=1"))
	for _, h := range [][2]string{{"Cookie", c.session}, {"Origin", c.gateway.origin.text}, {"Content-Type", formKind}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Site", "same-site"}} {
		r.Header.Set(h[0], h[1])
	}
	to, err := url.Parse(c.hand(r).Header().Get("Location"))
	if err != nil || to.Query().Has("form") || to.Query().Get("lost") != lostUnavailable {
		t.Errorf("led to %v, %v", to, err)
	} else if back := to.Query().Get("return_to"); back != "/auth/back?to=https%3A%2F%2Fwiki.example.com%2Fdesk" {
		t.Errorf("they come back to %s", back)
	}
}

// Somebody sits down at a machine where a form was sent, and its sender signed out, or is signed in elsewhere by the same
// account: what one session sent goes on in no other.
func TestKeptFormOfAnotherSession(t *testing.T) {
	c := newConfirmer(t)
	id, page := c.sent(c.ask("POST", "/desk", "mine=1"))
	first := c.session
	c.session = c.signInCookie(newSigner(1))[1]
	if a := c.sendOn(id, "/desk"); a.Code != 410 || len(c.got) > 0 {
		t.Errorf("answered %d", a.Code)
	}
	if c.ask("GET", page, ""); c.pages.last.Confirm.Form != "" || c.pages.last.Confirm.Lost != "gone" {
		t.Errorf("the page: %+v", c.pages.last.Confirm)
	}
	if a := c.ask("POST", "/auth/confirm?return_to=%2Fdesk", formField+id); a.Code != 410 {
		t.Errorf("POST confirm: %d", a.Code)
	}
	c.session = first
	c.confirm()
	c.reached(c.sendOn(id, "/desk"), "mine=1")
}

// The id alone opens nothing: neither without the cookie, nor with one that somebody planted, nor with two.
func TestKeptFormNeedsItsKey(t *testing.T) {
	c := newConfirmer(t)
	id, _ := c.sent(c.ask("POST", "/desk", "mine=1"))
	c.confirm()
	own := c.form
	var planted formKey
	for name, cookie := range map[string]string{
		"none": "", "another": "__Host-authgate-form=" + planted.String(), "two": own + "; " + own, "not one": "__Host-authgate-form=x",
	} {
		c.form = cookie
		if a := c.sendOn(id, "/desk"); a.Code != 410 || len(c.got) > 0 {
			t.Errorf("%s: answered %d", name, a.Code)
		}
	}
	c.form = own
	c.reached(c.sendOn(id, "/desk"), "mine=1")
}

// A form for one address must not arrive at another one.
func TestKeptFormIsForItsAddress(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) {
		s.Rules[1].Paths = []string{"/desk/*"}
	})
	id, _ := c.sent(c.ask("POST", "/desk/a?x=1", "mine=1"))
	c.confirm()
	for _, to := range []string{"/desk/b?x=1", "/desk/a?x=2", "/desk/a", "/elsewhere"} {
		if a := c.sendOn(id, to); a.Code != 410 || len(c.got) > 0 {
			t.Errorf("%s: answered %d", to, a.Code)
		}
		if a := c.ask("POST", "/auth/confirm?return_to="+url.QueryEscape(to), formField+id); a.Code != 410 {
			t.Errorf("POST confirm to %s: %d", to, a.Code)
		}
	}
	c.reached(c.sendOn(id, "/desk/a?x=1"), "mine=1")
}

// Mallory's page has a browser send the id of a form that it keeps.
func TestKeptFormIsSentOnByThisOriginOnly(t *testing.T) {
	c := newConfirmer(t)
	id, _ := c.sent(c.ask("POST", "/desk", "mine=1"))
	c.confirm()
	for name, headers := range map[string][]string{
		"another site":           {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"a sibling":              {"Origin", "https://b.example.com", "Sec-Fetch-Site", "same-site"},
		"a sandboxed frame":      {"Origin", "null"},
		"metadata alone":         {"Origin", "", "Sec-Fetch-Site", "cross-site"},
		"nothing said":           {"Origin", "", "Sec-Fetch-Site", ""},
		"the address bar":        {"Origin", "", "Sec-Fetch-Site", "none"},
		"data of a first flight": {"Early-Data", "1"},
	} {
		for _, path := range []string{"/desk", "/auth/confirm?return_to=%2Fdesk"} {
			if a := c.sendOn(id, path, headers...); a.Code != 403 && a.Code != 425 || len(c.got) > 0 {
				t.Errorf("%s, to %s: answered %d", name, path, a.Code)
			}
		}
	}
	c.reached(c.sendOn(id, "/desk"), "mine=1")
}

// A page of a sibling host, whose browser sends the session cookie along, sends a form to an address that asks for a
// confirmation, and the victim confirms. What goes on must still be told from a form of this site, or the confirmation would
// launder it (cross-site request forgery).
func TestKeptFormStaysWhoseItWas(t *testing.T) {
	c := newConfirmer(t)
	sibling := []string{"Origin", "https://b.example.com", "Sec-Fetch-Site", "same-site", "Referer", "https://b.example.com/"}
	id, _ := c.sent(c.ask("POST", "/desk", "pay=mallory", sibling...))
	none, _ := c.sent(c.ask("POST", "/desk", "pay=mallory", "Origin", "", "Sec-Fetch-Site", "", "Referer", ""))
	c.confirm()
	c.reached(c.sendOn(id, "/desk"), "pay=mallory")
	for i := 0; i < len(sibling); i += 2 {
		if got := c.got[0].Header.Get(sibling[i]); got != sibling[i+1] {
			t.Errorf("%s: %q", sibling[i], got)
		}
	}
	c.reached(c.sendOn(none, "/desk", "Referer", home+"/auth/confirm"), "pay=mallory")
	for _, name := range []string{"Origin", "Sec-Fetch-Site", "Referer"} {
		if got := c.got[1].Header.Get(name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestKeptFormExpires(t *testing.T) {
	c := newConfirmer(t)
	id, _ := c.sent(c.ask("POST", "/desk", "mine=1"))
	late, _ := c.sent(c.ask("POST", "/desk", "mine=2"))
	c.now = c.now.Add(10*time.Minute - time.Second)
	c.confirm()
	c.reached(c.sendOn(id, "/desk"), "mine=1")
	c.now = c.now.Add(time.Second)
	if a := c.sendOn(late, "/desk"); a.Code != 410 || len(c.got) != 1 {
		t.Errorf("answered %d", a.Code)
	}
}

func TestFormThatIsTooLargeIsNotKept(t *testing.T) {
	var w watched
	c := newConfirmer(t, watching(&w))
	fits := strings.Repeat("x", maxForm)
	id, _ := c.sent(c.ask("POST", "/desk", fits))
	for name, length := range map[string]int64{"told": maxForm + 1, "not told": -1} {
		r := httptest.NewRequest("POST", home+"/desk", strings.NewReader(fits+"x"))
		for i, h := 0, append(browser(), c.jar()...); i < len(h); i += 2 {
			r.Header.Set(h[i], h[i+1])
		}
		r.ContentLength = length
		c.lost(c.hand(r), "too_large")
		// Else the browser, still sending, may show a broken connection.
		if rest, _ := io.ReadAll(r.Body); len(rest) > 0 && length > 0 {
			t.Errorf("%s: %d bytes are left unread", name, len(rest))
		}
	}
	c.lost(c.ask("POST", "/desk", "x", "Referer", home+"/"+strings.Repeat("r", maxFormHead)), "too_large")
	// Nobody can be led back to an address that is too long.
	if a := c.ask("POST", "/desk?"+strings.Repeat("q", maxReturn), "x"); a.Header().Get("Location") != "/auth/confirm?return_to=%2F&within=60&lost=too_large" {
		t.Errorf("%d %v", a.Code, a.Header())
	}
	if len(w.forms()) != 1 {
		t.Errorf("%d stored", len(w.forms()))
	}
	c.confirm()
	c.reached(c.sendOn(id, "/desk"), fits)
}

// Nothing is lost in silence while the store is down, and what is kept is not spent.
func TestKeptFormWhileTheStoreIsDown(t *testing.T) {
	c := newConfirmer(t)
	id, _ := c.sent(c.ask("POST", "/desk", "mine=1"))
	c.faults.breakDown("CreateChallenge", "ConsumeChallenge")
	for range maxUserForms {
		c.lost(c.ask("POST", "/desk", "mine=2"), "unavailable")
	}
	c.faults.repair()
	c.confirm()
	c.faults.breakDown("ConsumeChallenge")
	if a := c.sendOn(id, "/desk"); a.Code != 503 || a.Header().Get("Retry-After") == "" || len(c.got) > 0 {
		t.Errorf("answered %d", a.Code)
	}
	c.faults.repair()
	c.reached(c.sendOn(id, "/desk"), "mine=1")
	// What could not be kept does not count against its sender.
	c.now = c.now.Add(2 * time.Minute)
	c.sent(c.ask("POST", "/desk", "mine=3"))
}

// Who sends and sends, or has many accounts, fills no store: sign-ins need it.
func TestKeptFormsAreFew(t *testing.T) {
	c := newConfirmer(t)
	for range maxUserForms {
		c.sent(c.ask("POST", "/desk", "x"))
	}
	c.lost(c.ask("POST", "/desk", "x"), "unavailable")
	own := c.session
	c.session = c.signInCookie(newSigner(9))[1]
	c.now = c.now.Add(2 * time.Minute)
	c.sent(c.ask("POST", "/desk", "x"))
	c.session, c.now = own, c.now.Add(8*time.Minute)
	c.sent(c.ask("POST", "/desk", "x"))

	var k keptForms
	now, until := c.now, c.now.Add(time.Minute)
	for i := range maxFormBytes / maxForm {
		if !k.add(fmt.Sprint(i), maxForm, now, until) {
			t.Fatalf("the form %d is one too many", i)
		}
	}
	if k.add("one more", 1, now, until) {
		t.Error("more is kept than may be")
	}
	k.drop("7", maxForm, until)
	if !k.add("one more", maxForm, now, until) {
		t.Error("what is not there any more counts")
	}
	if !k.add("later", maxForm, until, until.Add(time.Minute)) || len(k.all) != 1 || k.bytes != maxForm || len(k.of) != 1 {
		t.Errorf("what expired counts: %d, %d bytes, %d users", len(k.all), k.bytes, len(k.of))
	}
}

// Refusals that no confirmation lifts keep nothing.
func TestOnlyWhatCanBeConfirmedIsKept(t *testing.T) {
	var w watched
	c := newConfirmer(t, watching(&w), func(_ *RealmConfig, s *Site) {
		s.Rules[1].SignedIn, s.Rules[1].Roles = false, []string{"admin"}
	})
	if a := c.ask("POST", "/desk", "x"); a.Code != 403 {
		t.Errorf("answered %d", a.Code)
	}
	c.session = "a=b"
	if a := c.ask("POST", "/vault", "x"); a.Code != 303 || !strings.HasPrefix(a.Header().Get("Location"), "/auth/sign-in") {
		t.Errorf("signed out: %d %v", a.Code, a.Header())
	}
	if len(w.forms()) > 0 {
		t.Errorf("%d stored", len(w.forms()))
	}
}

// What is as long as the page's own form, or looks like it, and is not, goes through untouched.
func TestOtherRequestsAreLeftAsTheyAre(t *testing.T) {
	c := newConfirmer(t)
	id := strings.Repeat("A", formID)
	for name, tt := range map[string]struct{ method, body, kind string }{
		"another form":        {"POST", strings.Repeat("b", int(formSize)), formKind},
		"another field first": {"POST", "x" + formField + id[1:], formKind},
		"one byte more":       {"POST", formField + id + "A", formKind},
		"one byte less":       {"POST", formField + id[1:], formKind},
		"JSON":                {"POST", formField + id, "application/json"},
		"no kind":             {"POST", formField + id, ""},
		"PUT":                 {"PUT", formField + id, formKind},
	} {
		a := c.ask(tt.method, "/x", tt.body, "Content-Type", tt.kind)
		if a.Code != 418 {
			t.Errorf("%s: answered %d", name, a.Code)
			continue
		}
		c.reached(a, tt.body)
		if got := c.got[len(c.got)-1]; got.ContentLength != int64(len(tt.body)) || got.Header.Get("Content-Type") != tt.kind {
			t.Errorf("%s: %d bytes, %v", name, got.ContentLength, got.Header)
		}
	}
	// But never in place of a form that is not there.
	if a := c.sendOn(id, "/x"); a.Code != 410 {
		t.Errorf("answered %d", a.Code)
	}
}

// Below a cookie domain, the form and what lifts its refusal are of one site, and the key is in a cookie for all.
func TestKeptFormBelowACookieDomain(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	there := c.at(c.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com", Rules: c.gateway.site.Rules, Pages: c.pages}))
	id, page := there.sent(there.ask("POST", "/desk", "mine=1"))
	if !strings.HasPrefix(there.form, "__Secure-authgate-form=") || !strings.HasPrefix(page, "/auth/confirm?") {
		t.Errorf("%s, %s", there.form, page)
	}
	c.confirm() // at the first site, in another tab
	there.session = c.session
	if there.ask("GET", page, ""); !c.pages.last.Confirm.Proven || c.pages.last.Confirm.Form != id {
		t.Errorf("the page: %+v", c.pages.last.Confirm)
	}
	// The same path at the first site is another address.
	c.form = there.form
	if a := c.sendOn(id, "/desk"); a.Code != 410 {
		t.Errorf("at the first site: %d", a.Code)
	}
	there.reached(there.sendOn(id, "/desk"), "mine=1")
}

func TestFormCookieAttributes(t *testing.T) {
	for _, tt := range []struct{ origin, domain, want string }{
		{"https://app.example.com", "", "__Host-authgate-form=k; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"},
		{"https://app.example.com", "example.com", "__Secure-authgate-form=k; Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example.com; Max-Age=600"},
		{"http://localhost:8080", "", "authgate-form=k; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"},
	} {
		if got := form(t, tt.origin, tt.domain).setForm("k"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.origin, got, tt.want)
		}
	}
	f := form(t, "https://app.example.com", "")
	for line, want := range map[string]string{
		"a=b; __Host-authgate-form=k; c=d":                         "k",
		"__Host-authgate-form=k; a=b; __Host-authgate-form=l; c=d": "",
		"__Secure-authgate-form=k; authgate-form=l; a=b; c=d":      "",
		"a=b; __HOST-AUTHGATE-FORM=k; c=d":                         "",
	} {
		h := http.Header{"Cookie": {line}}
		if got := f.take(h).form; got != want || h.Get("Cookie") != "a=b; c=d" {
			t.Errorf("%s: %q, left %q", line, got, h["Cookie"])
		}
	}
	// Nor may a backend set it.
	h := http.Header{"Set-Cookie": {"__Host-authgate-form=x; Path=/", "a=b"}}
	if dropCookies(h, isOwnCookie); len(h["Set-Cookie"]) != 1 {
		t.Errorf("left %q", h["Set-Cookie"])
	}
}

// Ids and keys come from browsers, and what is stored might be of another version.
func FuzzKeptForm(f *testing.F) {
	key := formKey{1}
	at := place{home, "session", "/x"}
	id, salt, err := key.newID(strings.NewReader(strings.Repeat("r", formRandom)), at) // the same in each process
	if err != nil {
		f.Fatal(err)
	}
	plain, err := encodeForm(http.Header{"Content-Type": {formKind}}, []byte("a=b"))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := key.seal(salt, plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id, key.String(), sealed)
	f.Add(id+"\n", key.String()+"=", plain)
	f.Add("", "", []byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, someID, someKey string, stored []byte) {
		if _, ok := key.opens(someID, at); ok && someID != id {
			t.Errorf("%q opens", someID)
		}
		if k, ok := parseFormKey(someKey); ok && k.String() != someKey {
			t.Errorf("%q is a key", someKey)
		}
		if got, err := key.open(salt, stored); err == nil && !bytes.Equal(got, plain) {
			t.Errorf("%q opens", stored)
		}
		kept, body, err := decodeForm(stored)
		if err != nil {
			return
		}
		again, err := encodeForm(kept, body)
		if err != nil {
			return
		}
		if _, same, err := decodeForm(again); err != nil || !bytes.Equal(same, body) {
			t.Errorf("%q comes back as %q, %v", body, same, err)
		}
	})
}
