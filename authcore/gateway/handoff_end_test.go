package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

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

const (
	docs  = "https://docs.example.edu"
	www   = "https://www.example.edu" // with a sign-in of its own, below one cookie domain with docs
	forum = "https://forum.example.info"
)

// buildChained makes domains where docs has its sign-in at home and shares its cookie with www, where forum has its own; and a
// browser that was handed over from home to docs, and by www, which knows it by that, to forum.
func buildChained(t *testing.T, change ...func(*RealmConfig, *Site)) (*domains, *wanderer) {
	t.Helper()
	d := buildDomains(t, change...)
	d.sites[docs] = d.neighbour(Site{Origin: docs, SignInAt: home, CookieDomain: "example.edu", Pages: plainPages{}})
	d.sites[www] = d.neighbour(Site{Origin: www, CookieDomain: "example.edu", Pages: plainPages{}})
	d.sites[forum] = d.neighbour(Site{Origin: forum, SignInAt: www, Pages: plainPages{}})
	b := d.browser()
	shared := map[string]string{}
	b.cookies[docs], b.cookies[www] = shared, shared
	b.visit(docs + "/page")
	b.at(b.signIn(newSigner(1)), docs+"/page")
	b.at(b.visit(forum+"/post"), forum+"/post")
	return d, b
}

// What is handed over from what was handed over ends with the first at once, wherever somebody signs out, or is signed out.
func TestSignOutEndsWhatWasHandedOverFurther(t *testing.T) {
	for name, end := range map[string]func(d *domains, b *wanderer){
		"at home": func(_ *domains, b *wanderer) {
			b.ask("POST", home+"/auth/sign-out", "", "Accept", "*/*", "Origin", home)
		},
		"at docs": func(_ *domains, b *wanderer) {
			b.ask("POST", docs+"/auth/sign-out", "", "Accept", "*/*", "Origin", docs)
		},
		"at forum": func(_ *domains, b *wanderer) {
			b.ask("POST", forum+"/auth/sign-out", "", "Accept", "*/*", "Origin", forum)
		},
		"on a list": func(d *domains, b *wanderer) {
			user, session := b.who(home)
			if err := d.realm.EndSession(d.t.Context(), operatorTrace, user, session); err != nil {
				d.t.Error(err)
			}
		},
	} {
		for carried, notices := range map[string]*wire{"alone": nil, "with others": {}} {
			d, b := buildChained(t, func(c *RealmConfig, _ *Site) {
				if notices != nil {
					c.Challenges.Notices = notices
				}
			})
			other := d.twin()
			if notices != nil {
				other.realm.Listen(t.Context())
			}
			neighbour := other.neighbour(Site{Origin: forum, SignInAt: www})
			r := httptest.NewRequest("GET", forum+"/x", nil)
			r.Header.Set("Cookie", "__Host-authgate="+b.cookies[forum]["__Host-authgate"])
			if a := neighbour.serve(r.Clone(t.Context())); a.Code != http.StatusTeapot {
				t.Fatalf("another instance answered %d", a.Code)
			}
			end(d, b)
			for _, origin := range []string{home, docs, www, forum} {
				if user, _ := b.who(origin); user != "" {
					t.Errorf("%s, %s: still signed in at %s", name, carried, origin)
				}
			}
			if a := neighbour.serve(r); notices != nil && a.Code == http.StatusTeapot {
				t.Errorf("%s: still signed in on another instance", name)
			}
		}
	}
}

// A sign-in is alive where what was handed over from it is used, however far; where it has expired, that has, too.
func TestUseFurtherOnIsUseOfTheSignIn(t *testing.T) {
	d, b := buildChained(t)
	for range 14 {
		d.now = d.now.Add(11 * time.Hour)
		if user, _ := b.who(forum); user == "" {
			t.Fatalf("signed out at %v", d.now)
		}
	}
	if user, session := b.who(home); user == "" {
		t.Error("signed out at home, while it was used further on")
	} else if err := d.store.Stores().Sessions.EndSession(t.Context(), session); err != nil { // and nobody was told
		t.Fatal(err)
	}
	d.now = d.now.Add(d.realm.AccessToken)
	if user, _ := b.who(forum); user != "" {
		t.Error("renewed after the session at home has ended")
	}
}
