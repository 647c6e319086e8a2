package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

const (
	shop = "https://shop.example.org"
	blog = "https://blog.example.net"
)

// domains are several sites of one house: home has the sign-in, and shop and blog have it there.
type domains struct {
	*house
	sites map[string]*house // by origin
}

func buildDomains(t testing.TB, change ...func(*RealmConfig, *Site)) *domains {
	t.Helper()
	h := build(t, change...)
	d := &domains{h, map[string]*house{home: h}}
	for _, origin := range []string{shop, blog} {
		d.sites[origin] = h.neighbour(Site{Origin: origin, SignInAt: home, Pages: plainPages{}, Rules: []policy.Rule{
			{Anyone: true, Paths: []string{"/public/*"}},
			{SignedIn: true, Paths: []string{"/safe/*"}, Within: 2 * time.Minute},
			{SignedIn: true, Paths: []string{"/*"}},
		}})
	}
	return d
}

// wanderer is a browser: it keeps cookies by host, and goes where it is redirected.
type wanderer struct {
	*domains
	cookies map[string]map[string]string // by origin and name
	went    []string                     // every URL that it asked for
	last    string
}

func (d *domains) browser() *wanderer {
	return &wanderer{domains: d, cookies: map[string]map[string]string{}}
}

// ask sends one request and keeps the cookies of the answer.
func (b *wanderer) ask(method, to, body string, headers ...string) answer {
	b.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.t.Fatal(err)
	}
	origin := u.Scheme + "://" + u.Host
	site := b.sites[origin]
	if site == nil {
		b.t.Fatalf("the browser was sent to %s", to)
	}
	r := httptest.NewRequest(method, to, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	for name, value := range b.cookies[origin] {
		r.Header.Add("Cookie", name+"="+value)
	}
	b.went = append(b.went, to)
	a := site.serve(r)
	for _, c := range a.Result().Cookies() {
		if b.cookies[origin] == nil {
			b.cookies[origin] = map[string]string{}
		}
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies[origin], c.Name)
		} else {
			b.cookies[origin][c.Name] = c.Value
		}
	}
	return a
}

// step answers where the answer to a navigation sends the browser, "" where it is a page.
func (b *wanderer) step(to string) (answer, string) {
	b.t.Helper()
	a := b.ask("GET", to, "")
	next := a.Header().Get("Location")
	if a.Code < 300 || a.Code >= 400 || next == "" {
		return a, ""
	}
	base, _ := url.Parse(to)
	there, err := base.Parse(next)
	if err != nil {
		b.t.Fatal(err)
	}
	return a, there.String()
}

// visit goes to a place and wherever that leads.
func (b *wanderer) visit(to string) answer {
	b.t.Helper()
	for range 12 {
		a, next := b.step(to)
		if next == "" {
			b.last = to
			return a
		}
		to = next
	}
	b.t.Fatalf("the browser goes round in circles: %q", b.went)
	return answer{}
}

// until goes to a place and stops before the first one that has this in its URL.
func (b *wanderer) until(to, part string) string {
	b.t.Helper()
	for range 12 {
		_, next := b.step(to)
		if next == "" {
			b.t.Fatalf("%q was not on the way: %q", part, b.went)
		}
		if strings.Contains(next, part) {
			return next
		}
		to = next
	}
	b.t.Fatalf("%q was not on the way: %q", part, b.went)
	return ""
}

// signIn signs in on the page of home that the browser is on, and goes on.
func (b *wanderer) signIn(s signer) answer {
	b.t.Helper()
	u, err := url.Parse(b.last)
	if err != nil || u.Path != "/auth/sign-in" && u.Path != "/auth/confirm" {
		b.t.Fatalf("not on the page to sign in but on %q", b.last)
	}
	origin, prefix, more := u.Scheme+"://"+u.Host, "", `,"session":"cookie","return_to":`+fmt.Sprintf("%q", u.Query().Get("return_to"))
	if u.Path == "/auth/confirm" {
		prefix, more = "step-up/", ""
	}
	var asked struct{ ChallengeMessage string }
	json := []string{"Content-Type", "application/json", "Accept", "application/json", "Origin", origin}
	b.ask("POST", origin+"/auth/"+prefix+"challenge/create", fmt.Sprintf(`{"address":%q}`, s.address()), json...).ok(&asked)
	var v signedInView
	b.ask("POST", origin+"/auth/"+prefix+"challenge/sign", solution(s, asked.ChallengeMessage, more), json...).ok(&v)
	if prefix != "" {
		v.ReturnTo = u.Query().Get("return_to")
	}
	return b.visit(origin + v.ReturnTo)
}

// who answers the user and the session on a site, "" where nobody is signed in.
func (b *wanderer) who(origin string) (user, session string) {
	b.t.Helper()
	a := b.ask("GET", origin+"/auth/session", "", "Accept", "application/json")
	if a.Code == http.StatusUnauthorized {
		return "", ""
	}
	var v struct {
		User    userView
		Session sessionView
	}
	a.ok(&v)
	return v.User.ID, v.Session.ID
}

func (b *wanderer) at(a answer, want string) {
	b.t.Helper()
	if b.last != want || a.Code != http.StatusTeapot {
		b.t.Fatalf("at %s with %d %s, want the backend at %s; went %q", b.last, a.Code, a.Body, want, b.went)
	}
}

func TestOneAccountOnSeveralDomains(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	if a := b.visit(shop + "/cart?item=7&item=8"); !strings.HasPrefix(b.last, home+"/auth/sign-in?") || a.Code != 200 {
		t.Fatalf("at %s with %d", b.last, a.Code)
	}
	b.at(b.signIn(newSigner(1)), shop+"/cart?item=7&item=8")
	user, session := b.who(shop)
	atHome, of := b.who(home)
	if user == "" || user != atHome || session == of {
		t.Fatalf("%q in session %q at the site, %q in %q at home", user, session, atHome, of)
	}
	// Nothing is asked a second time, and what was proven at home is what is proven here.
	d.now = d.now.Add(90 * time.Second)
	went := len(b.went)
	b.at(b.visit(blog+"/safe/post"), blog+"/safe/post")
	if n := len(b.went) - went; n != 5 { // the place, sign-in, home, back, the place
		t.Errorf("went %q", b.went[went:])
	}
	if again, _ := b.who(blog); again != user {
		t.Errorf("%q, want %q", again, user)
	}
	for origin, jar := range b.cookies {
		if jar["__Host-authgate"] == "" || origin != home && len(jar) != 1 {
			t.Errorf("cookies of %s: %v", origin, jar)
		}
	}
	// A program is told to sign in, and not led anywhere.
	d.sites[shop].do("GET", "session", "").refused(401, "unauthenticated")
}

func TestSignInAt(t *testing.T) {
	h := build(t)
	for _, c := range []struct {
		name, want string
		site       Site
	}{
		{"this site itself", "is this very site", Site{Origin: shop, SignInAt: "https://SHOP.example.org:443/"}},
		{"no origin", "is not a URL", Site{Origin: shop, SignInAt: "https://a b"}},
		{"more than an origin", "has more than scheme, host and port", Site{Origin: shop, SignInAt: home + "/auth"}},
		{"plain http", "is plain http", Site{Origin: shop, SignInAt: "http://app.example.com"}},
		{"http at home", "https and http do not mix", Site{Origin: shop, SignInAt: "http://localhost"}},
		{"http here", "https and http do not mix", Site{Origin: "http://localhost", SignInAt: home}},
		{"the same host", "cookies know no ports", Site{Origin: home + ":8443", SignInAt: home}},
		{"methods", "no sign-in of its own then", Site{Origin: shop, SignInAt: home, Methods: []authcore.Method{authcore.Wallet}}},
	} {
		_, err := New(h.realm, c.site)
		if !errors.Is(err, ErrSignInAt) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "gateway: sign_in_at ") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := New(h.realm, Site{Origin: "http://shop.localhost", SignInAt: "http://localhost:8080"}); err != nil {
		t.Error(err)
	}
}

// A site without a sign-in of its own has no route by which anybody could sign in, or change an account, all the same.
func TestAwaySiteHasNoSignIn(t *testing.T) {
	d := buildDomains(t, passwordsOn)
	var there []string
	for path, to := range d.sites[shop].gateway.routes {
		for method, do := range map[string]serve{"GET": to.get, "POST": to.post, "PATCH": to.patch, "DELETE": to.delete} {
			if do != nil {
				there = append(there, method+" "+path)
			}
		}
	}
	allowed := []string{
		"GET sign-in", "GET hand-off", "POST sign-out", "GET session", "GET jwks.json", "GET health/live", "GET health/ready", "GET assets/*",
		"GET account", "GET account/*", "GET admin", "GET admin/*", "GET confirm", "POST confirm", "GET authgate.js", "GET back",
	}
	for _, one := range there {
		if !slices.Contains(allowed, one) && !strings.HasPrefix(one, "GET verify") {
			t.Errorf("%s is there", one)
		}
	}
	b := d.browser()
	b.visit(shop + "/x")
	b.signIn(newSigner(1))
	for from, to := range map[string]string{"account": "account", "account/sessions": "account/sessions", "admin/user?id=7": "admin/user"} {
		if _, next := b.step(shop + "/auth/" + from); next != home+"/auth/"+to {
			t.Errorf("%s leads to %s", from, next)
		}
	}
}

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

// Between the code and its use something can happen: the user is disabled, or deleted, or signs out.
func TestWhatHappensBeforeTheCodeIsSpent(t *testing.T) {
	for name, happen := range map[string]func(*domains, *wanderer, string){
		"disabled": func(d *domains, _ *wanderer, user string) {
			if err := d.realm.Disable(t.Context(), authcore.Trace{Actor: authcore.Operator}, user, true); err != nil {
				t.Fatal(err)
			}
		},
		"disabled behind its back": func(d *domains, _ *wanderer, user string) {
			u, err := d.store.Stores().Users.User(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			u.Disabled = true
			if err := d.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		},
		"signed out": func(_ *domains, b *wanderer, _ string) {
			b.ask("POST", home+"/auth/sign-out", "", "Accept", "*/*", "Origin", home)
		},
		"session ended elsewhere": func(d *domains, b *wanderer, _ string) {
			_, session := b.who(home)
			if err := d.store.Stores().Sessions.EndSession(t.Context(), session); err != nil {
				t.Fatal(err)
			}
		},
	} {
		d := buildDomains(t)
		b := d.browser()
		b.visit(home + "/auth/sign-in")
		b.signIn(newSigner(1))
		user, _ := b.who(home)
		code := b.until(shop+"/cart", "code=")
		happen(d, b, user)
		b.step(code)
		if got, _ := b.who(shop); got != "" {
			t.Errorf("%s: signed in as %q", name, got)
		}
	}
}

func TestSignOutOnOneDomainIsOnAll(t *testing.T) {
	for _, at := range []string{home, shop} {
		d := buildDomains(t)
		b := d.browser()
		b.visit(shop + "/cart")
		b.signIn(newSigner(1))
		b.visit(blog + "/post")
		stays := d.browser() // the same user on another device
		stays.visit(blog + "/post")
		stays.signIn(newSigner(1))
		if a := b.ask("POST", at+"/auth/sign-out", "", "Accept", "*/*", "Origin", at); a.Code != 204 {
			t.Fatalf("sign-out at %s: %d %s", at, a.Code, a.Body)
		}
		for _, origin := range []string{home, shop, blog} {
			if user, _ := b.who(origin); user != "" {
				t.Errorf("signed out at %s and still signed in at %s", at, origin)
			}
		}
		if user, _ := stays.who(blog); user == "" {
			t.Errorf("signed out at %s, and on another device too", at)
		}
		b.visit(shop + "/cart")
		if !strings.HasPrefix(b.last, home+"/auth/sign-in?") {
			t.Errorf("signed out at %s, and in again at %s", at, b.last)
		}
	}
}

// Each way in which a session at home ends, ends those that came from it: on this instance at once, on one that hears nothing
// when the access token is renewed.
func TestHandedOverSessionsEndWithTheirs(t *testing.T) {
	for name, end := range map[string]func(*domains, *wanderer, string, string){
		"by an administrator": func(d *domains, _ *wanderer, user, session string) {
			if err := d.realm.EndSession(t.Context(), authcore.Trace{Actor: authcore.Operator}, user, session); err != nil {
				t.Fatal(err)
			}
		},
		"by another sign-in in its place": func(_ *domains, b *wanderer, _, _ string) {
			b.last = home + "/auth/sign-in?return_to=/"
			b.signIn(newSigner(2))
		},
	} {
		d := buildDomains(t)
		b := d.browser()
		b.visit(shop + "/cart")
		b.signIn(newSigner(1))
		user, session := b.who(home)
		end(d, b, user, session)
		if got, _ := b.who(shop); got != "" {
			t.Errorf("%s: still signed in", name)
		}
	}
	d := buildDomains(t)
	b := d.browser()
	b.visit(shop + "/cart")
	b.signIn(newSigner(1))
	_, session := b.who(home)
	if err := d.store.Stores().Sessions.EndSession(t.Context(), session); err != nil { // on another instance, which told nobody
		t.Fatal(err)
	}
	if user, _ := b.who(shop); user == "" {
		t.Fatal("the access token is not good any more")
	}
	d.now = d.now.Add(d.realm.AccessToken)
	if user, _ := b.who(shop); user != "" {
		t.Error("renewed after the session at home has ended")
	}
}

// A sign-in is alive where it is used, on whichever domain, and over on all when it is over.
func TestUseOnOneDomainIsUseOfTheSignIn(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(shop + "/cart")
	b.signIn(newSigner(1))
	for range 14 { // 7 days of 12 hours, and the last in which it is over
		d.now = d.now.Add(11 * time.Hour)
		if user, _ := b.who(shop); user == "" {
			t.Fatalf("signed out at %v", d.now)
		}
	}
	if user, _ := b.who(home); user == "" {
		t.Error("signed out at home, while it was used at the site")
	}
	d.now = d.now.Add(15 * time.Hour)
	b.visit(shop + "/cart")
	if !strings.HasPrefix(b.last, home+"/auth/sign-in?") {
		t.Errorf("signed in for more than a week: at %s", b.last)
	}
}

// Session fixation: who has planted the cookie of a session before the hand-off does not share what comes after it.
func TestHandOffKeepsNoPlantedSession(t *testing.T) {
	d := buildDomains(t)
	attacker, victim := d.browser(), d.browser()
	attacker.visit(shop + "/cart")
	attacker.signIn(newSigner(2))
	evil, planted := attacker.who(shop)
	victim.visit(home + "/auth/sign-in")
	victim.signIn(newSigner(1))
	code := victim.until(shop+"/cart", "code=")
	victim.cookies[shop]["__Host-authgate"] = attacker.cookies[shop]["__Host-authgate"]
	victim.visit(code)
	user, session := victim.who(shop)
	if user == "" || user == evil || session == planted {
		t.Errorf("signed in as %q in session %q", user, session)
	}
	if got, _ := attacker.who(shop); got != "" && got != evil {
		t.Errorf("the attacker has become %q", got)
	}
}

// A rule that asks for a fresh sign-in has it confirmed at home; the session at the site stays the one it is, with what is
// bound to it, and that of another device learns nothing.
func TestConfirmAtHome(t *testing.T) {
	d := buildDomains(t)
	b, other := d.browser(), d.browser()
	for _, one := range []*wanderer{b, other} {
		one.visit(shop + "/cart")
		one.signIn(newSigner(1))
	}
	_, session := b.who(shop)
	d.now = d.now.Add(3 * time.Minute)
	b.visit(shop + "/safe/x?y=z")
	if !strings.HasPrefix(b.last, home+"/auth/confirm?") {
		t.Fatalf("at %s, went %q", b.last, b.went)
	}
	b.at(b.signIn(newSigner(1)), shop+"/safe/x?y=z")
	if _, now := b.who(shop); now != session {
		t.Errorf("session %q, was %q", now, session)
	}
	other.visit(shop + "/safe/x")
	if !strings.HasPrefix(other.last, home+"/auth/confirm?") {
		t.Errorf("the other device is at %s", other.last)
	}
	// The cookie from before learns of it too, on this instance at once.
	if a := b.ask("GET", shop+"/safe/x", ""); a.Code != http.StatusTeapot {
		t.Errorf("%d %s", a.Code, a.Header().Get("Location"))
	}
}

// Browsers that refuse the cookie, or where somebody took an hour, are told after one more try, and not sent in circles.
func TestHandOffWithoutTheCookie(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	to := b.until(shop+"/cart", "code=")
	for range 8 {
		delete(b.cookies, shop)
		a, next := b.step(to)
		if next == "" {
			if a.Code != 400 || !strings.Contains(a.Body.String(), "code=hand_off_failed") {
				t.Errorf("%d %s", a.Code, a.Body)
			}
			return
		}
		to = next
	}
	t.Errorf("went %q", b.went)
}

// Many tabs leave at once, and all arrive.
func TestManyTabsLeaveAtOnce(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	first, second := b.until(shop+"/a", home), b.until(shop+"/b", home)
	b.visit(first)
	b.at(b.signIn(newSigner(1)), shop+"/a")
	_, session := b.who(shop)
	b.at(b.visit(second), shop+"/b")
	if _, now := b.who(shop); now != session {
		t.Errorf("session %q, was %q", now, session)
	}
}

// Below one cookie domain the cookie is good on both sites, and nothing is handed over.
func TestHandOffBelowOneCookieDomain(t *testing.T) {
	d := buildDomains(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	const sibling = "https://docs.example.com"
	d.sites[sibling] = d.neighbour(Site{Origin: sibling, SignInAt: home, CookieDomain: "example.com", Pages: plainPages{}})
	b := d.browser()
	b.visit(sibling + "/page")
	a := b.last
	// The browser has one jar for both.
	b.cookies[sibling] = map[string]string{}
	u, _ := url.Parse(a)
	b.last = a
	shared := b.cookies[home]
	if shared == nil {
		shared = map[string]string{}
		b.cookies[home] = shared
	}
	b.cookies[sibling] = shared
	if u.Path != "/auth/sign-in" {
		t.Fatalf("at %s", a)
	}
	b.at(b.signIn(newSigner(1)), sibling+"/page")
	if _, session := b.who(sibling); session == "" || strings.Contains(strings.Join(b.went, " "), "code=") {
		t.Errorf("session %q, went %q", session, b.went)
	}
	b.ask("POST", sibling+"/auth/sign-out", "", "Accept", "*/*", "Origin", sibling)
	if user, _ := b.who(home); user != "" {
		t.Error("signed out at the sibling only")
	}
}

// A backend never sees the bond, and cannot set one.
func TestBackendSeesNoBond(t *testing.T) {
	d := buildDomains(t)
	r := httptest.NewRequest("GET", shop+"/public/x", nil)
	r.Header.Set("Cookie", "a=b; __Host-authgate-hand-off=secret; authgate-Hand-Off=other")
	w := httptest.NewRecorder()
	d.sites[shop].gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := r.Header.Get("Cookie"); c != "a=b" {
			t.Errorf("the backend sees %q", c)
		}
		w.Header().Add("Set-Cookie", "__Host-authgate-hand-off=planted; Path=/; Secure")
	})).ServeHTTP(w, r)
	if c := w.Header()["Set-Cookie"]; len(c) > 0 {
		t.Errorf("the backend has set %q", c)
	}
	d.sites[shop].gateway.cookie, _ = newCookieForm(d.sites[shop].gateway.origin, "example.org")
	if c := d.sites[shop].gateway.cookie.setBond("x"); strings.Contains(c, "Domain") || !strings.HasPrefix(c, "__Host-authgate-hand-off=x; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=") {
		t.Errorf("the bond is %q", c)
	}
}

// Who signs in by a form, without scripts, is redirected through a hand-off: the policy of the page must let the browser.
func TestFormsMayEndInAHandOff(t *testing.T) {
	d := buildDomains(t)
	for origin, want := range map[string]string{
		home: "form-action 'self' " + blog + " " + shop + ";", shop: "form-action 'self' " + home + ";",
	} {
		a := d.browser().ask("GET", origin+"/auth/health/live", "")
		if got := a.Header().Get("Content-Security-Policy"); !strings.Contains(got, want) {
			t.Errorf("%s: %q", origin, got)
		}
	}
	if got := build(t).do("GET", "health/live", "").Header().Get("Content-Security-Policy"); got != contentPolicy {
		t.Errorf("a site alone: %q", got)
	}
	below := build(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	want := "form-action 'self' https://*.example.com https://example.com;"
	if got := below.do("GET", "health/live", "").Header().Get("Content-Security-Policy"); !strings.Contains(got, want) {
		t.Errorf("below a cookie domain, where people are led back to other hosts: %q", got)
	}
}

// A store that is down hands nothing over, and signs nobody in.
func TestHandOffWhileAStoreIsDown(t *testing.T) {
	for _, method := range []string{"CreateChallenge", "ConsumeChallenge", "Session", "Transact", "User"} {
		d := buildDomains(t)
		b := d.browser()
		b.visit(home + "/auth/sign-in")
		b.signIn(newSigner(1))
		d.faults.breakDown(method)
		a := b.visit(shop + "/cart")
		if a.Code != 503 {
			t.Errorf("%s: %d at %s", method, a.Code, b.last)
		}
		d.faults.repair()
		if user, _ := b.who(shop); user != "" {
			t.Errorf("%s: signed in", method)
		}
	}
}

// A hand-off is in the audit log of the site, as a sign-in that another site vouches for.
func TestHandOffIsLogged(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(shop + "/cart")
	b.signIn(newSigner(1))
	user, session := b.who(shop)
	events, err := d.realm.Events(t.Context(), authcore.EventQuery{Subject: user, Kinds: []authcore.EventKind{authcore.EventSignIn}})
	if err != nil || len(events) != 2 {
		t.Fatal(events, err)
	}
	if e := events[0]; e.Origin != shop || e.SessionID != session || e.Actor != user || e.Code != "wallet" || e.Detail != "handed over by "+home {
		t.Errorf("%+v", e)
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

// notingPages notes what pages are filled with.
type notingPages struct {
	plainPages
	last *Page
}

func (n notingPages) ServePage(w http.ResponseWriter, r *http.Request, p Page) error {
	*n.last = p
	return n.plainPages.ServePage(w, r, p)
}

// Who signs in reads where that leads: a site that has its sign-in here, and no name that somebody has put into a link.
func TestSignInPageNamesTheSite(t *testing.T) {
	var last Page
	d := buildDomains(t, func(_ *RealmConfig, s *Site) { s.Pages = notingPages{last: &last} })
	b := d.browser()
	b.visit(shop + "/cart")
	if last.Name != "sign-in" || last.Beyond != shop {
		t.Errorf("%+v", last)
	}
	b.visit(strings.Replace(b.last, "shop.example.org", "evil.example.org", 1))
	if last.Name != "sign-in" || last.Beyond != "" {
		t.Errorf("%+v", last)
	}
}
