package gateway

import (
	"context"
	"encoding/base64"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// handedOver answers a browser that is signed in at home and at the shop.
func handedOver(t *testing.T) (*domains, *wanderer) {
	t.Helper()
	d := buildDomains(t)
	b := d.browser()
	b.visit(shop + "/cart")
	b.at(b.signIn(newSigner(1)), shop+"/cart")
	return d, b
}

// Who is signed in follows a link to the page to sign in on, which leads them on: to a path of this site, and nowhere else.
func TestSignInElsewhereIsNoOpenRedirect(t *testing.T) {
	_, b := handedOver(t)
	for to, want := range map[string]string{
		"/cart?x=y": "/cart?x=y", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "": "/",
	} {
		if _, next := b.step(shop + "/auth/sign-in?return_to=" + url.QueryEscape(to)); next != shop+want {
			t.Errorf("%q leads to %q", to, next)
		}
	}
}

// The bond is a cookie of one host: who came by another name of the site is led to its own before they get one.
func TestBondIsOfTheHostOfTheSite(t *testing.T) {
	d := buildDomains(t)
	r := httptest.NewRequest("GET", shop+"/auth/sign-in?return_to=/cart", nil)
	r.Host = "alias.example.org"
	a := d.sites[shop].serve(r)
	if to := a.Header().Get("Location"); to != shop+"/auth/sign-in?return_to=%2Fcart" || a.Header()["Set-Cookie"] != nil {
		t.Errorf("led to %q with %q", to, a.Header()["Set-Cookie"])
	}
}

// Who comes back without a code, and whose session is not there, is sent once more and then told, and not led to where they
// would be sent away from again.
func TestBackWithoutACode(t *testing.T) {
	d := buildDomains(t)
	back := "back=" + base64.RawURLEncoding.EncodeToString([]byte("/cart"))
	b := d.browser()
	if _, next := b.step(shop + "/auth/hand-off?" + back); next != shop+"/auth/sign-in?return_to=%2Fcart&again" {
		t.Errorf("led to %q", next)
	}
	if a, next := b.step(shop + "/auth/hand-off?" + back + "&again"); a.Code != 400 || !strings.Contains(a.Body.String(), "code=hand_off_failed") {
		t.Errorf("%d, led to %q", a.Code, next)
	}
}

// While the store cannot say who somebody is nobody is taken for signed out, and sent round: at home nor at the site.
func TestHandOffOfWhomNobodyCanTell(t *testing.T) {
	d, b := handedOver(t)
	ask := b.until(blog+"/x", home)
	d.now = d.now.Add(d.realm.AccessToken)
	d.faults.breakDown("Session")
	for _, to := range []string{ask, shop + "/auth/sign-in?return_to=/cart", shop + "/auth/hand-off?back=Lw"} {
		if a, next := b.step(to); a.Code != 503 {
			t.Errorf("%s: %d, led to %q", to, a.Code, next)
		}
	}
}

// The access token at home says for minutes more that somebody is signed in whose session has ended in the store, or expired,
// or is another site's by now: nothing is handed over, and they are asked to sign in.
func TestNothingIsHandedOverFromWhatHasEnded(t *testing.T) {
	for name, end := range map[string]func(d *domains, session string) error{
		"ended": func(d *domains, session string) error { return d.store.EndSession(t.Context(), session) },
		"expired": func(d *domains, session string) error {
			s, err := d.store.Session(t.Context(), session)
			s.IdleUntil = d.now
			if err == nil {
				err = d.store.UpdateSession(t.Context(), s)
			}
			return err
		},
		"of another site": func(d *domains, session string) error {
			s, err := d.store.Session(t.Context(), session)
			s.Origin = "https://app.example.com:8443"
			if err == nil {
				err = d.store.UpdateSession(t.Context(), s)
			}
			return err
		},
	} {
		d := buildDomains(t)
		b := d.browser()
		b.visit(home + "/auth/sign-in")
		b.signIn(newSigner(1))
		_, session := b.who(home)
		if err := end(d, session); err != nil {
			t.Fatal(err)
		}
		a := b.visit(shop + "/cart")
		if a.Code != 200 || !strings.HasPrefix(b.last, home+"/auth/sign-in?") || strings.Contains(strings.Join(b.went, " "), "code=") {
			t.Errorf("%s: at %s with %d, went %q", name, b.last, a.Code, b.went)
		}
	}
}

// Whoever was an owner of a contract wallet has an access token at home from just before its hour is over, and is no owner any
// more: the contract is asked before anything is handed over, which would be good for another hour elsewhere.
func TestNothingIsHandedOverOfAContractThatSaysNo(t *testing.T) {
	for name, c := range map[string]struct {
		owner signer // by then
		want  string
	}{
		"the same owner": {newSigner(1), shop + "/cart"},
		"another owner":  {newSigner(2), home + "/auth/sign-in?"},
	} {
		chain := newChain(t)
		d := buildDomains(t, withChain(t, chain))
		chain.own(safe, newSigner(1))
		b := d.browser()
		cookie, value, _ := strings.Cut(d.contractCookie(safe, newSigner(1))[1], "=")
		b.cookies[home] = map[string]string{cookie: value}
		d.now = d.now.Add(58 * time.Minute)
		if user, _ := b.who(home); user == "" {
			t.Fatalf("%s: signed out before the hour is over", name)
		}
		chain.own(safe, c.owner)
		d.now = d.now.Add(3 * time.Minute)
		if b.visit(shop + "/cart"); !strings.HasPrefix(b.last, c.want) {
			t.Errorf("%s: at %s, went %q", name, b.last, b.went)
		}
		if handed := strings.Contains(strings.Join(b.went, " "), "code="); handed != (c.want == shop+"/cart") {
			t.Errorf("%s: went %q", name, b.went)
		}
	}
}

// A code is as hard to guess as a secret, and of each user only so many are kept, from whichever addresses they come.
func TestCodeIsASecretOfItsUser(t *testing.T) {
	noted := &notingChallenges{}
	d := buildDomains(t, func(c *RealmConfig, _ *Site) {
		noted.Challenges = c.Challenges.Challenges
		c.Challenges.Challenges = noted
	})
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	user, _ := b.who(home)
	u, err := url.Parse(b.until(shop+"/cart", "code="))
	if err != nil || !isBond(u.Query().Get("code")) {
		t.Errorf("the code is %q, %v", u.Query().Get("code"), err)
	}
	c := noted.last
	if c.Client != "user "+user || c.Binding != (authcore.Binding{Purpose: authcore.PurposeHandOff, Origin: shop}) || c.ID != authcore.HashSecret(u.Query().Get("code")) {
		t.Errorf("kept %+v", c)
	}
}

// notingChallenges notes the last challenge that was kept.
type notingChallenges struct {
	authcore.Challenges
	last authcore.Challenge
}

func (n *notingChallenges) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	n.last = c
	return n.Challenges.CreateChallenge(ctx, c, now)
}

// Login CSRF by a browser that has no bond at all: a code that was asked for with the hash of nothing is no one's.
func TestCodeForNoBond(t *testing.T) {
	d := buildDomains(t)
	attacker, victim := d.browser(), d.browser()
	attacker.visit(home + "/auth/sign-in")
	attacker.signIn(newSigner(2))
	_, code := attacker.step(home + "/auth/hand-off?" + handOff{to: shop, bond: hashBond(""), back: "Lw"}.query())
	if !strings.Contains(code, "code=") {
		t.Fatalf("led to %q", code)
	}
	victim.step(code)
	if user, _ := victim.who(shop); user != "" {
		t.Errorf("signed in as %q", user)
	}
}

// Session fixation among sessions of one user: what comes from one sign-in at home is not put into a session from another one,
// which somebody else may hold; that one is over in this browser, and ends.
func TestHandOffAdoptsOnlyWhatCameFromThere(t *testing.T) {
	d, first := handedOver(t)
	_, planted := first.who(shop)
	second := d.browser()
	second.visit(home + "/auth/sign-in")
	second.signIn(newSigner(1))
	code := second.until(shop+"/cart", "code=")
	second.cookies[shop]["__Host-authgate"] = first.cookies[shop]["__Host-authgate"]
	second.visit(code)
	if user, session := second.who(shop); user == "" || session == planted {
		t.Errorf("signed in as %q in session %q, planted was %q", user, session, planted)
	}
	if user, _ := first.who(shop); user != "" {
		t.Error("the session in its place goes on")
	}
}

// What was confirmed at home counts at the site at once, also in a request that was sent with the cookie of before.
func TestConfirmedAtHomeCountsForTheCookieOfBefore(t *testing.T) {
	d, b := handedOver(t)
	d.now = d.now.Add(3 * time.Minute)
	before := b.cookies[shop]["__Host-authgate"]
	b.visit(shop + "/safe/x")
	b.at(b.signIn(newSigner(1)), shop+"/safe/x")
	b.cookies[shop]["__Host-authgate"] = before
	if a, next := b.step(shop + "/safe/x"); a.Code != 418 {
		t.Errorf("%d, led to %q", a.Code, next)
	}
}

// A proof that would be too old on the way back is asked for anew, so that nobody goes round in circles.
func TestProofIsFreshEnoughForTheWayBack(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	ask := home + "/auth/hand-off?" + handOff{to: shop, bond: hashBond("x"), back: "Lw", within: 2 * time.Minute}.query()
	d.now = d.now.Add(80 * time.Second)
	if _, next := b.step(ask); !strings.Contains(next, "code=") {
		t.Errorf("after 80 seconds led to %q", next)
	}
	d.now = d.now.Add(20 * time.Second)
	if _, next := b.step(ask); !strings.HasPrefix(next, home+"/auth/confirm?") {
		t.Errorf("after 100 seconds led to %q", next)
	}
}
