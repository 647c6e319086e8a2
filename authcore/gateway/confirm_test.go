package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// confirmer is somebody with a wallet and a passkey, signed in with the wallet a while ago in a browser, before a backend
// that keeps what it is sent.
type confirmer struct {
	*house
	pages   *seenPages
	device  *passkeytest.Authenticator
	session string // the cookie
	form    string // the cookie, once there is one
	got     []*http.Request
	bodies  []string
}

func newConfirmer(t testing.TB, change ...func(*RealmConfig, *Site)) *confirmer {
	t.Helper()
	c := &confirmer{pages: new(seenPages), device: new(passkeytest.Authenticator)}
	c.house = build(t, append([]func(*RealmConfig, *Site){passkeysOn, strict, func(_ *RealmConfig, s *Site) { s.Pages = c.pages }}, change...)...)
	_, cookie := c.account(c.device)
	c.session = cookie[1]
	return c
}

// at answers the same browser at another site.
func (c *confirmer) at(h *house) *confirmer {
	there := *c
	there.house = h
	return &there
}

// jar is the header with the cookies of the browser.
func (c *confirmer) jar() []string {
	if c.form == "" {
		return []string{"Cookie", c.session}
	}
	return []string{"Cookie", c.session + "; " + c.form}
}

// ask has the browser open a page, or send a form of this site.
func (c *confirmer) ask(method, path, body string, headers ...string) answer {
	c.t.Helper()
	r := httptest.NewRequest(method, c.gateway.origin.text+path, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	all := append([]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}, c.jar()...)
	if method == "POST" {
		all = append(all, "Origin", c.gateway.origin.text, "Sec-Fetch-Site", "same-origin", "Content-Type", formKind)
	}
	for i := 0; i < len(all); i += 2 {
		r.Header.Set(all[i], all[i+1])
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return c.hand(r)
}

// hand gives a request to the gateway; the backend answers 418.
func (c *confirmer) hand(r *http.Request) answer {
	c.t.Helper()
	if r.TLS != nil {
		r.TLS.HandshakeComplete = true
	}
	w := httptest.NewRecorder()
	c.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			c.t.Error(err)
		}
		c.got, c.bodies = append(c.got, r), append(c.bodies, string(b))
		w.WriteHeader(http.StatusTeapot)
	})).ServeHTTP(w, r)
	a := answer{c.t, w}
	for name, value := range a.cookies() {
		switch {
		case strings.HasSuffix(name, formSuffix):
			c.form = name + "=" + value
		case isAmong(sessionCookies, name):
			c.session = name + "=" + value
		}
	}
	return a
}

// confirm steps up with the passkey.
func (c *confirmer) confirm() {
	c.t.Helper()
	a := c.prove(c.device, "Cookie", c.session)
	a.ok(new(steppedUpView))
	for name, value := range a.cookies() {
		c.session = name + "=" + value
	}
}

// sent checks that a form was kept, and answers the id of it and where the page to confirm on is.
func (c *confirmer) sent(a answer) (id, page string) {
	c.t.Helper()
	if a.Code != http.StatusSeeOther {
		c.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	page = a.Header().Get("Location")
	u, err := url.Parse(page)
	if err != nil {
		c.t.Fatal(err)
	}
	if id = u.Query().Get("form"); id == "" {
		c.t.Fatalf("nothing is kept: %s", page)
	}
	return id, page
}

// lost checks that a form was not kept, and that the page is told why.
func (c *confirmer) lost(a answer, why string) {
	c.t.Helper()
	to := a.Header().Get("Location")
	if a.Code != http.StatusSeeOther || !strings.HasSuffix(to, "&lost="+why) || strings.Contains(to, "form=") {
		c.t.Fatalf("answered %d to %s, want lost=%s", a.Code, to, why)
	}
}

// sendOn is what the page does once its user has confirmed, but for the way by POST confirm.
func (c *confirmer) sendOn(id, path string, headers ...string) answer {
	c.t.Helper()
	return c.ask("POST", path, formField+id, headers...)
}

func (c *confirmer) reached(a answer, body string) {
	c.t.Helper()
	if a.Code != http.StatusTeapot {
		c.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	if got := c.bodies[len(c.bodies)-1]; got != body {
		c.t.Fatalf("the backend got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(body), body)
	}
}

func TestStepUpSaysWhatIsMissing(t *testing.T) {
	c := newConfirmer(t)
	for _, tt := range []struct{ path, want string }{
		{"/vault", `"with":["passkey"],"within":60}`},
		{"/desk", `"code":"step_up_required","detail":"This needs a fresh or stronger sign-in.","within":60}`},
	} {
		a := c.visit(tt.path, c.jar()).refused(401, "step_up_required")
		if !strings.HasSuffix(strings.TrimSpace(a.Body.String()), tt.want) {
			t.Errorf("%s: %s", tt.path, a.Body)
		}
	}
	c.now = c.now.Add(10 * time.Minute)
	a := c.do("POST", "registration/request", `{}`, c.jar()...).refused(401, "step_up_required")
	if !strings.Contains(a.Body.String(), `"within":300`) || strings.Contains(a.Body.String(), `"with"`) {
		t.Errorf("a change of the account: %s", a.Body)
	}
}

func TestWhoLacksEvidenceIsSentToConfirm(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		status             int
		to                 string
	}{
		{"page", "GET", "/vault?a=b&c=%2F", nil, 302, "/auth/confirm?return_to=%2Fvault%3Fa%3Db%26c%3D%252F&with=passkey&within=60"},
		{"head", "HEAD", "/vault", nil, 302, "/auth/confirm?return_to=%2Fvault&with=passkey&within=60"},
		{"what is only to be fresh", "GET", "/desk", nil, 302, "/auth/confirm?return_to=%2Fdesk&within=60"},
		{"fetch", "GET", "/vault", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 401, ""},
		{"image", "GET", "/vault", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 401, ""},
		{"a method that no form has", "PUT", "/vault", nil, 401, ""},
	} {
		a := c.ask(tt.method, tt.path, "", tt.headers...)
		if a.Code != tt.status || a.Header().Get("Location") != tt.to {
			t.Errorf("%s: %d to %q, want %d to %q", tt.name, a.Code, a.Header().Get("Location"), tt.status, tt.to)
		}
		if a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", tt.name, a.Header())
		}
	}
	// Wallets and passkeys work on the origin only.
	r := httptest.NewRequest("GET", "https://www.example.com/vault", http.NoBody)
	for i, h := 0, append([]string{"Accept", "text/html"}, c.jar()...); i < len(h); i += 2 {
		r.Header.Set(h[i], h[i+1])
	}
	if a := c.hand(r); a.Header().Get("Location") != home+"/auth/confirm?return_to=%2Fauth%2Fback%3Fto%3Dhttps%253A%252F%252Fwww.example.com%252Fvault&with=passkey&within=60" {
		t.Errorf("on another host: %d %v", a.Code, a.Header())
	}
	// What is asked for is the session's, which a program continues by tokens.
	tokens := c.signInTokens(newSigner(1))
	c.now = c.now.Add(2 * time.Minute)
	r = httptest.NewRequest("GET", home+"/vault", http.NoBody)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Authorization", tokens.bearer()[1])
	if a := c.hand(r); a.Code != 401 {
		t.Errorf("a bearer token: %d %v", a.Code, a.Header())
	}
	if len(c.got) > 0 {
		t.Error("the backend was asked")
	}
}

func TestWithoutPagesNobodyIsSentToConfirm(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) { s.Pages = nil })
	c.ask("GET", "/vault", "").refused(401, "step_up_required")
	c.ask("GET", "/auth/confirm", "").refused(404, "not_found")
}

// Whoever has several sessions confirmed in one of them only: the others are left open elsewhere, perhaps with somebody else.
func TestStepUpLiftsNoOtherSession(t *testing.T) {
	c := newConfirmer(t)
	other := c.signInCookie(newSigner(1))
	tokens := c.signInTokens(newSigner(1))
	c.now = c.now.Add(2 * time.Minute)
	c.confirm()
	if a := c.visit("/vault", c.jar()); a.Code != 418 {
		t.Fatalf("answered %d", a.Code)
	}
	for _, path := range []string{"/vault", "/desk"} {
		c.visit(path, other).refused(401, "step_up_required")
		c.visit(path, tokens.bearer()).refused(401, "step_up_required")
	}
	var next signedInView
	c.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken)).ok(&next)
	c.visit("/vault", next.bearer()).refused(401, "step_up_required")
	c.now = c.now.Add(6 * time.Minute) // the access token in the cookie is renewed
	c.confirm()
	c.visit("/vault", other).refused(401, "step_up_required")
}

func TestConfirmPage(t *testing.T) {
	c := newConfirmer(t)
	passkeys, wallets := []authcore.Method{authcore.Passkey}, []authcore.Method{authcore.Wallet}
	both := []authcore.Method{authcore.Passkey, authcore.Wallet}
	show := func(query string) *Page {
		t.Helper()
		c.pages.last = nil
		if a := c.ask("GET", "/auth/confirm"+query, ""); a.Code != 200 || c.pages.last == nil || c.pages.last.Name != "confirm" {
			t.Fatalf("%s: answered %d %v: %s", query, a.Code, a.Header(), a.Body)
		}
		return c.pages.last
	}
	for _, tt := range []struct {
		query, returnTo string
		methods         []authcore.Method
		want            Confirm
	}{
		{"?return_to=%2Fvault%3Fa&with=passkey&within=60", "/vault?a", passkeys, Confirm{With: passkeys, Within: time.Minute, Again: "/auth/confirm?return_to=%2Fvault%3Fa&with=passkey&within=60"}},
		{"?within=60", "/", both, Confirm{Within: time.Minute, Again: "/auth/confirm?return_to=%2F&within=60"}},
		{"?with=wallet,passkey", "/", both, Confirm{With: both, Proven: true, Again: "/auth/confirm?return_to=%2F&with=passkey,wallet"}},
		{"", "/", both, Confirm{Again: "/auth/confirm?return_to=%2F"}},
		{"?lost=too_large&within=60", "/", both, Confirm{Within: time.Minute, Lost: "too_large", Again: "/auth/confirm?return_to=%2F&within=60&lost=too_large"}},
		// What somebody else made of it leads nowhere, and says nothing that is not so.
		{"?return_to=https%3A%2F%2Fevil.example%2F&with=moon,passkey,&within=-1&lost=%3Cb%3E", "/", passkeys, Confirm{With: passkeys, Lost: "unavailable", Again: "/auth/confirm?return_to=%2F&with=passkey&lost=unavailable"}},
		{"?return_to=%2Fauth%2Fconfirm%3Fwith%3Dpasskey", "/", both, Confirm{Again: "/auth/confirm?return_to=%2F"}},
		{"?form=" + strings.Repeat("A", formID), "/", both, Confirm{Lost: "gone", Again: "/auth/confirm?return_to=%2F&form=" + strings.Repeat("A", formID)}},
		{"?form=%26lost%3Dx", "/", both, Confirm{Lost: "gone", Again: "/auth/confirm?return_to=%2F&lost=gone"}},
		{"?within=99999999999999", "/", both, Confirm{Within: 10 * 365 * 24 * time.Hour, Proven: true, Again: "/auth/confirm?return_to=%2F&within=315360000"}},
	} {
		p := show(tt.query)
		if p.ReturnTo != tt.returnTo || !slices.Equal(p.Methods, tt.methods) || !reflect.DeepEqual(*p.Confirm, tt.want) {
			t.Errorf("%s:\n got %s %v %+v\nwant %s %v %+v", tt.query, p.ReturnTo, p.Methods, *p.Confirm, tt.returnTo, tt.methods, tt.want)
		}
	}
	c.confirm()
	if p := show("?with=passkey&within=60"); !p.Confirm.Proven {
		t.Errorf("after the confirmation: %+v", p.Confirm)
	}

	// An account without what is asked for is told so, once that is certain.
	c.session = c.signInCookie(newSigner(7))[1]
	if p := show("?with=passkey"); len(p.Methods) > 0 || !p.Confirm.Absent || !slices.Equal(p.Confirm.Lacking, passkeys) {
		t.Errorf("no passkey: %v %+v", p.Methods, p.Confirm)
	}
	if p := show("?within=60"); !slices.Equal(p.Methods, wallets) || p.Confirm.Absent {
		t.Errorf("a wallet: %v %+v", p.Methods, p.Confirm)
	}
	if p := show("?with=password"); len(p.Methods) > 0 || !p.Confirm.Absent || len(p.Confirm.Lacking) > 0 {
		t.Errorf("what the site does not offer: %v %+v", p.Methods, p.Confirm)
	}
	c.faults.breakDown("CredentialsOf")
	if p := show("?with=passkey"); !slices.Equal(p.Methods, passkeys) || p.Confirm.Absent {
		t.Errorf("while nobody knows: %v %+v", p.Methods, p.Confirm)
	}
	c.faults.repair()

	c.session = "a=b"
	if a := c.ask("GET", "/auth/confirm?with=passkey", ""); a.Code != 302 || a.Header().Get("Location") != "/auth/sign-in?return_to=%2Fauth%2Fconfirm%3Fwith%3Dpasskey" {
		t.Errorf("signed out: %d %v", a.Code, a.Header())
	}
}

// A passkey of another relying party is no way to confirm here.
func TestConfirmPageKnowsWhosePasskeysAre(t *testing.T) {
	c := newConfirmer(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	there := c.at(c.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com", Rules: c.gateway.site.Rules, Pages: c.pages}))
	if a := there.ask("GET", "/auth/confirm?with=passkey", ""); a.Code != 200 || !c.pages.last.Confirm.Absent {
		t.Errorf("%d %+v", a.Code, c.pages.last)
	}
}

// The address of the page is anybody's to write. Whatever it says, the page leads nowhere but to this origin, and writes its
// own address so that it says the same.
func FuzzConfirmation(f *testing.F) {
	g := build(f, passkeysOn).gateway
	for _, seed := range []string{
		"", "return_to=%2Fx&with=passkey&within=60&form=a&lost=gone", "return_to=//evil.example", "with=passkey,,wallet&within=1e9",
		"within=9223372036854775807", "return_to=/auth/confirm?return_to=/auth/confirm", "return_to=%5C%5Cevil&lost=%0d%0a", "form=%26lost%3Dx", "return_to=/Auth/Confirm0", "return_to=/auth/./CONFIRM/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		c := g.readConfirmation(q)
		to, err := url.Parse(c.returnTo)
		if err != nil || c.returnTo != g.safeReturn(c.returnTo) || strings.EqualFold(path.Clean(to.Path), "/auth/confirm") {
			t.Errorf("leads to %q (%v)", c.returnTo, err)
		}
		u, err := url.Parse("/auth/" + c.String())
		if err != nil {
			t.Fatal(err)
		}
		if again := g.readConfirmation(u.Query()); !reflect.DeepEqual(again, c) {
			t.Errorf("%q: %+v, then %+v", query, c, again)
		}
	})
}
