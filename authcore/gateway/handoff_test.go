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
		"GET ", "GET account", "GET account/*", "GET admin", "GET admin/*", "GET confirm", "POST confirm", "GET authgate.js", "GET back",
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

// Whoever could not be taken over may begin anew, with where they wanted to go: a place on this site, whatever a link to the
// page says. Home leads nowhere: what came there named no site of the house.
func TestFailedHandOffIsBegunAgain(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	code := strings.Repeat("A", 43)
	back := base64.RawURLEncoding.EncodeToString
	for to, want := range map[string]string{
		"/cart?item=7&x=%2F":             "/cart?item=7&x=%2F",
		"//evil.example/":                "/",
		"https://evil.example/":          "/",
		"/\\evil.example/":               "/",
		"/\tx":                           "/",
		"/auth/hand-off?code=A&back=L3g": "/",
		"":                               "/",
	} {
		a, next := b.step(shop + "/auth/hand-off?code=" + code + "&back=" + back([]byte(to)) + "&again")
		if next != "" || a.Code != 400 || !strings.HasSuffix(a.Body.String(), " code=hand_off_failed again="+want) {
			t.Errorf("%q: %d %s", to, a.Code, a.Body)
		}
	}
	if a, _ := b.step(shop + "/auth/hand-off?code=" + code + "&back=!&again"); !strings.HasSuffix(a.Body.String(), " again=/") {
		t.Errorf("no place: %s", a.Body)
	}
	if a, _ := b.step(home + "/auth/hand-off?to=https%3A%2F%2Fevil.example&back=" + back([]byte("/x"))); a.Code != 400 || strings.Contains(a.Body.String(), "again=") {
		t.Errorf("home: %d %s", a.Code, a.Body)
	}
	b.at(b.visit(shop+"/auth/sign-in?return_to=%2Fcart"), shop+"/cart")
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
