package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Login CSRF: somebody signs in with an account of their own, keeps the code and has another one's browser open it, whose
// owner then enters what is secret into that account. The other browser has no bond, or another one.
func TestCodeSignsNobodyElseIn(t *testing.T) {
	d := buildDomains(t)
	attacker, victim := d.browser(), d.browser()
	attacker.visit(home + "/auth/sign-in")
	attacker.signIn(newSigner(2))
	planted := func() string {
		delete(attacker.cookies, shop)
		return attacker.until(shop+"/cart", "code=")
	}
	evil, _ := attacker.who(home)

	victim.visit(planted()) // without a bond
	if user, _ := victim.who(shop); user != "" {
		t.Fatalf("without a bond: signed in as %q, the attacker is %q", user, evil)
	}
	victim = d.browser()
	victim.until(shop+"/cart", home) // with one of its own
	victim.visit(planted())
	if user, _ := victim.who(shop); user != "" {
		t.Fatalf("with another bond: signed in as %q, the attacker is %q", user, evil)
	}
	// Who is signed in stays who they are.
	victim = d.browser()
	victim.visit(shop + "/cart")
	victim.signIn(newSigner(1))
	before, session := victim.who(shop)
	victim.visit(planted())
	if user, now := victim.who(shop); user != before || now != session {
		t.Fatalf("signed in as %q, was %q", user, before)
	}
	// Two cookies of the name: one was planted.
	r := httptest.NewRequest("GET", planted(), nil)
	bond := attacker.cookies[shop]["__Host-authgate-hand-off"]
	r.Header.Set("Cookie", "__Host-authgate-hand-off="+bond+"; __Host-authgate-hand-off="+strings.Repeat("A", 43))
	if a := d.sites[shop].serve(r); slices.ContainsFunc(a.Result().Cookies(), func(c *http.Cookie) bool { return c.Name == "__Host-authgate" && c.MaxAge > 0 }) {
		t.Error("two bonds: signed in")
	}
}

// A code that leaks, by a log or over a shoulder, is worth nothing in another browser, also one that the thief has sent to
// the same site before. And it is spent by the try.
func TestStolenCode(t *testing.T) {
	d := buildDomains(t)
	victim, thief := d.browser(), d.browser()
	victim.visit(home + "/auth/sign-in")
	victim.signIn(newSigner(1))
	code := victim.until(shop+"/cart", "code=")
	thief.until(shop+"/cart", home)
	thief.visit(code)
	if user, _ := thief.who(shop); user != "" {
		t.Fatalf("the thief is signed in as %q", user)
	}
	victim.step(code)
	if user, _ := victim.who(shop); user != "" {
		t.Error("the code was good after the thief's try")
	}
	// The thief has the victim ask home for a code for the thief's bond, and waits for it at the site.
	ask := thief.until(shop+"/cart", home)
	code = victim.until(ask, "code=")
	victim.visit(code)
	thief.visit(code)
	if user, _ := thief.who(shop); user != "" {
		t.Errorf("the thief is signed in as %q", user)
	}
}

// Many instances, many tabs: one code opens one session.
func TestCodeIsGoodOnce(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	code := b.until(shop+"/cart", "code=")
	other, err := NewRealm(d.realm.RealmConfig) // another instance on the same stores
	if err != nil {
		t.Fatal(err)
	}
	var gateways []*Gateway
	for _, realm := range []*Realm{d.realm, other} {
		if _, err := New(realm, Site{Origin: home}); err != nil {
			t.Fatal(err)
		}
		g, err := New(realm, Site{Origin: shop, SignInAt: home})
		if err != nil {
			t.Fatal(err)
		}
		gateways = append(gateways, g)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened := 0
	for i := range 16 {
		wg.Go(func() {
			r := httptest.NewRequest("GET", code, nil)
			r.Header.Set("Cookie", "__Host-authgate-hand-off="+b.cookies[shop]["__Host-authgate-hand-off"])
			w := httptest.NewRecorder()
			gateways[i%2].Handler(nil).ServeHTTP(w, r)
			for _, c := range w.Result().Cookies() {
				if c.Name == "__Host-authgate" && c.Value != "" {
					mu.Lock()
					opened++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if opened != 1 {
		t.Errorf("one code opened %d sessions", opened)
	}
}

func TestCodeExpires(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	code := b.until(shop+"/cart", "code=")
	d.now = d.now.Add(handOffTTL - time.Second)
	b.step(code)
	if user, _ := b.who(shop); user == "" {
		t.Fatal("not good for a minute")
	}
	b.cookies[shop] = nil
	code = b.until(shop+"/cart", "code=")
	d.now = d.now.Add(handOffTTL)
	b.step(code)
	if user, _ := b.who(shop); user != "" {
		t.Error("good after a minute")
	}
}

// Mix-up: a site shows another one the code that it was given, with the bond of the browser at that one.
func TestCodeIsForItsSite(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	code := b.until(shop+"/cart", "code=")
	b.cookies[blog] = map[string]string{"__Host-authgate-hand-off": b.cookies[shop]["__Host-authgate-hand-off"]}
	b.step(strings.Replace(code, shop, blog, 1))
	if user, _ := b.who(blog); user != "" {
		t.Error("a code for one site is good at another one")
	}
}

// A challenge that was issued for another purpose is no code, nor is a code the answer to such a challenge.
func TestCodeIsOfItsPurpose(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	_, session := b.who(home)
	b.until(shop+"/cart", home)
	bond := b.cookies[shop]["__Host-authgate-hand-off"]
	for i, purpose := range []authcore.Purpose{
		authcore.PurposeHandOff, authcore.PurposeWalletSignIn, authcore.PurposeKeySignIn, authcore.PurposePasskeyRegistration,
		authcore.PurposePasskeyAuthentication, authcore.PurposePasskeyStepUp, authcore.PurposeKeptForm,
	} {
		code := fmt.Sprintf("code-%d", i)
		err := d.realm.Challenges.Challenges.CreateChallenge(t.Context(), authcore.Challenge{
			ID: authcore.HashSecret(code), Binding: authcore.Binding{Purpose: purpose, Origin: shop},
			Data: fmt.Appendf(nil, `{"session":%q,"bond":%q}`, session, hashBond(bond)), Expires: d.now.Add(time.Minute),
		}, d.now)
		if err != nil {
			t.Fatal(err)
		}
		b.cookies[shop] = map[string]string{"__Host-authgate-hand-off": bond}
		b.step(shop + "/auth/hand-off?code=" + code + "&back=")
		if user, _ := b.who(shop); (user != "") != (purpose == authcore.PurposeHandOff) {
			t.Errorf("%s: signed in as %q", purpose, user)
		}
	}
}

// Home is no open redirect, and gives a code for nobody but the sites that say so.
func TestHandOffToStrangers(t *testing.T) {
	d := buildDomains(t)
	d.sites["https://other.example.org"] = d.neighbour(Site{Origin: "https://other.example.org", Pages: plainPages{}})
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	good := handOff{to: shop, bond: hashBond("x"), back: base64.RawURLEncoding.EncodeToString([]byte("/cart"))}
	if _, next := b.step(home + "/auth/hand-off?" + good.query()); !strings.HasPrefix(next, shop+"/auth/hand-off?code=") {
		t.Fatalf("a good one leads to %q", next)
	}
	changed := func(do func(*handOff)) string {
		h := good
		do(&h)
		return h.query()
	}
	for name, query := range map[string]string{
		"nothing":                   "",
		"a stranger":                changed(func(h *handOff) { h.to = "https://evil.example" }),
		"a site of its own sign-in": changed(func(h *handOff) { h.to = "https://other.example.org" }),
		"home itself":               changed(func(h *handOff) { h.to = home }),
		"a host that begins so":     changed(func(h *handOff) { h.to = shop + ".evil.example" }),
		"a user name":               changed(func(h *handOff) { h.to = shop + "@evil.example" }),
		"another port":              changed(func(h *handOff) { h.to = shop + ":8443" }),
		"another scheme":            changed(func(h *handOff) { h.to = "http://shop.example.org" }),
		"a path":                    changed(func(h *handOff) { h.to = shop + "/x" }),
		"upper case":                changed(func(h *handOff) { h.to = strings.ToUpper(shop) }),
		"no bond":                   changed(func(h *handOff) { h.bond = "" }),
		"a short bond":              changed(func(h *handOff) { h.bond = h.bond[:42] }),
		"a bond of other letters":   changed(func(h *handOff) { h.bond = strings.Repeat("+", 43) }),
		"back of other letters":     changed(func(h *handOff) { h.back = "/cart" }),
		"back with a line break":    changed(func(h *handOff) { h.back = "L2Nhcn%0A" }),
		"a reason of its own":       good.query() + "&lost=to+them",
		"back too long":             changed(func(h *handOff) { h.back = strings.Repeat("A", maxBack+1) }),
		"two sites":                 good.query() + "&to=https://evil.example",
		"something more":            good.query() + "&x=y",
		"a method of other letters": good.query() + "&with=%0a",
	} {
		if a, next := b.step(home + "/auth/hand-off?" + query); next != "" || a.Code != 400 || !strings.Contains(a.Body.String(), "code=hand_off_failed") {
			t.Errorf("%s: %d to %q: %s", name, a.Code, next, a.Body)
		}
	}
	// A script of a page, say of the backend at home, gets none.
	if a := b.ask("GET", home+"/auth/hand-off?"+good.query(), "", "Accept", "*/*", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"); a.Code != 400 {
		t.Errorf("a script: %d %s", a.Code, a.Header().Get("Location"))
	}
	// Nor does a program with an access token.
	token := d.signInTokens(newSigner(3)).AccessToken
	if a := d.browser().ask("GET", home+"/auth/hand-off?"+good.query(), "", "Authorization", "Bearer "+token); strings.Contains(a.Header().Get("Location"), "code=") {
		t.Error("a program is handed over")
	}
}

// Where a site takes somebody back to is a path of its own, whatever stood in the query on the way.
func TestBackIsOnTheSite(t *testing.T) {
	d := buildDomains(t)
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/\r\nX: y", "/auth/hand-off?code=x", "/auth/sign-in", "\xff"} {
		b := d.browser()
		b.visit(home + "/auth/sign-in")
		b.signIn(newSigner(1))
		code, _, _ := strings.Cut(b.until(shop+"/cart", "code="), "&back=")
		if _, next := b.step(code + "&back=" + base64.RawURLEncoding.EncodeToString([]byte(back))); next != shop+"/" {
			t.Errorf("%q leads to %q", back, next)
		}
	}
	b := d.browser()
	if _, next := b.step(shop + "/auth/sign-in?return_to=https%3A%2F%2Fevil.example"); !strings.HasPrefix(next, home) || strings.Contains(next, "evil") {
		t.Errorf("leaves to %q", next)
	}
}

// FuzzParseHandOff: what is read is written the same again, so that it has one reading only.
func FuzzParseHandOff(f *testing.F) {
	good := handOff{to: shop, bond: hashBond("x"), back: "Lw", with: []authcore.Method{authcore.Passkey}, within: time.Minute, again: true}
	for _, s := range []string{"", good.query(), "to=a&bond=b&back=c", "to=%", good.query() + "&to=x", good.query() + ";again"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		h, err := parseHandOff(query)
		if err != nil {
			return
		}
		if h.query() != query || !isBond(h.bond) || strings.ContainsAny(query, " \r\n\"<>\\") {
			t.Fatalf("%q is read as %+v", query, h)
		}
		again, err := parseHandOff(h.query())
		if err != nil || again.query() != query {
			t.Fatalf("%q: %+v, %v", query, again, err)
		}
	})
}
