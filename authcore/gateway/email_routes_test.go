package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

func TestChangeOfAddress(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	cookie := h.knock(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(sessionCookie)
	const next = "alice@new.example"
	h.do("POST", "email/request", fmt.Sprintf(`{"email":%q}`, next)).refused(401, "unauthenticated")
	h.do("POST", "email/request", fmt.Sprintf(`{"email":%q}`, "Alice@New.example"), v.bearer()...).accepted()
	m := h.mail(authcore.MailConfirmEmail, next)
	if !strings.HasPrefix(m.Link, home+"/auth/email#") {
		t.Errorf("link %q", m.Link)
	}
	// Nothing has changed yet.
	if r := h.backend(cookie); r.Header.Get("Remote-Email") != alice {
		t.Errorf("Remote-Email: %q", r.Header["Remote-Email"])
	}
	confirm := fmt.Sprintf(`{"key":%q}`, keyOf(m))
	h.do("POST", "email/confirm", confirm).refused(401, "unauthenticated")
	var changed struct{ User userView }
	h.do("POST", "email/confirm", confirm, v.bearer()...).ok(&changed)
	if changed.User.Email != next || changed.User.Username != next || changed.User.ID != v.User.ID {
		t.Errorf("user: %+v", changed.User)
	}
	if m := h.mail(authcore.MailEmailChanged, alice); m.Email != next {
		t.Errorf("mail to the old address: %+v", m)
	}
	h.do("POST", "email/confirm", confirm, cookie...).refused(404, "key_not_found")
	// Every session tells the new one from now on, at once.
	if h.signedInAs(v.bearer()) != "" {
		t.Error("an access token that tells the old address still counts")
	}
	h.refresh(v.RefreshToken).ok(&v)
	for _, headers := range [][]string{v.bearer(), cookie} {
		if r := h.backend(headers); r.Header.Get("Remote-Email") != next || r.Header.Get("Remote-User") != next {
			t.Errorf("backend: %q, %q", r.Header["Remote-Email"], r.Header["Remote-User"])
		}
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	h.knock(next, alicesPassword, "").ok(new(signedInView))
}

// A key that confirms an address is good for who asked for it. Somebody who gets hold of it, or gets a victim to open the
// link while signed in, must not bind the address to another account.
func TestConfirmationIsForWhoAskedForIt(t *testing.T) {
	h := build(t, passwordsOn)
	a, b := h.person(alice, alicesPassword), h.person(bob, bobsPassword)
	h.do("POST", "email/request", `{"email":"new@example.com"}`, a.bearer()...).accepted()
	confirm := fmt.Sprintf(`{"key":%q}`, keyOf(h.mail(authcore.MailConfirmEmail, "new@example.com")))
	h.do("POST", "email/confirm", confirm, b.bearer()...).refused(404, "key_not_found")
	h.do("POST", "email/confirm", `{"key":"unknown"}`, a.bearer()...).refused(404, "key_not_found")
	h.do("POST", "email/confirm", confirm, a.bearer()...).ok(new(map[string]any)) // it was not spent
	h.mail(authcore.MailEmailChanged, alice)

	h.refresh(a.RefreshToken).ok(&a)
	h.do("POST", "email/request", `{"email":"newer@example.com"}`, a.bearer()...).accepted()
	confirm = fmt.Sprintf(`{"key":%q}`, keyOf(h.mail(authcore.MailConfirmEmail, "newer@example.com")))
	h.now = h.now.Add(7 * 24 * time.Hour)
	h.knock("new@example.com", alicesPassword, "").ok(&a)
	h.do("POST", "email/confirm", confirm, a.bearer()...).refused(412, "key_expired")
}

// Somebody else proves to hold the mailbox in the meantime.
func TestAddressIsTakenInTheMeantime(t *testing.T) {
	h := build(t, passwordsOn)
	a := h.person(alice, alicesPassword)
	h.do("POST", "email/request", `{"email":"bob@example.com"}`, a.bearer()...).accepted()
	confirm := fmt.Sprintf(`{"key":%q}`, keyOf(h.mail(authcore.MailConfirmEmail, bob)))
	b := h.person(bob, bobsPassword)
	h.do("POST", "email/confirm", confirm, a.bearer()...).refused(409, "email_taken")
	if h.signedInAs(a.bearer()) != a.User.ID || h.signedInAs(b.bearer()) != b.User.ID {
		t.Error("somebody was signed out")
	}
}

// An address changes hands: its holder moves to another one, and who gets the mailbox registers. The new account is
// another one, in every respect, and what was mailed to the old holder opens nothing.
func TestAddressThatChangedHands(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.Grants = []Grant{{Role: "editor", To: []string{alice}}} })
	first := h.person(alice, alicesPassword)
	if !slices.Equal(first.User.Roles, []string{"editor"}) {
		t.Fatalf("roles: %q", first.User.Roles)
	}
	cookie := h.knock(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(sessionCookie)
	device := h.knock(alice, alicesPassword, withCookie).jar(deviceCookie)
	key := h.forgot(alice)
	h.moveTo("moved@example.com", first.bearer()...)
	h.mail(authcore.MailEmailChanged, alice)
	// What was granted to the address goes with it, at once.
	if r := h.backend(cookie); r.Header.Get("Remote-Groups") != "" || r.Header.Get("Remote-Email") != "moved@example.com" {
		t.Errorf("backend: %v", r.Header)
	}
	second := h.person(alice, bobsPassword)
	if second.User.ID == first.User.ID || second.User.Email != alice || second.User.Username == alice || !strings.HasPrefix(second.User.Username, alice+".") ||
		!slices.Equal(second.User.Roles, []string{"editor"}) {
		t.Errorf("second: %+v", second.User)
	}
	h.reset(key, newPassword, "").refused(404, "key_not_found")
	h.knock(alice, alicesPassword, "", device...).refused(401, "invalid_credentials")
	var v signedInView
	h.knock(alice, bobsPassword, "").ok(&v)
	if v.User.ID != second.User.ID {
		t.Error("the new holder is signed in to the old account")
	}
	h.knock("moved@example.com", alicesPassword, "").ok(&v)
	if v.User.ID != first.User.ID || v.User.Username != "moved@example.com" {
		t.Errorf("first: %+v", v.User)
	}
	h.refresh(first.RefreshToken).ok(&v)
	if v.User.ID != first.User.ID || v.User.Email != "moved@example.com" {
		t.Errorf("first: %+v", v.User)
	}
}

// Rules and headers count an address only once it is confirmed.
func TestUnconfirmedAddressGivesNothing(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{"admin@example.com"}}}
		s.Rules = []policy.Rule{{Users: []string{"admin@example.com"}, Paths: []string{"/lab"}}, {Roles: []string{"admin"}, Paths: []string{"/admin"}}}
	})
	v := h.signInTokens(newSigner(1))
	h.do("POST", "email/request", `{"email":"admin@example.com"}`, v.bearer()...).accepted()
	key := keyOf(h.mail(authcore.MailConfirmEmail, "admin@example.com"))
	for _, path := range []string{"/lab", "/admin"} {
		h.visit(path, v.bearer()).refused(403, "forbidden")
	}
	if r := h.backend(v.bearer()); r.Header["Remote-Email"] != nil {
		t.Errorf("Remote-Email: %q", r.Header["Remote-Email"])
	}
	h.do("POST", "email/confirm", fmt.Sprintf(`{"key":%q}`, key), v.bearer()...).ok(new(map[string]any))
	h.refresh(v.RefreshToken).ok(&v)
	for _, path := range []string{"/lab", "/admin"} {
		if a := h.visit(path, v.bearer()); a.Code != 418 {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	if len(h.mails()) > 0 {
		t.Error("somebody without an address was told")
	}
}

// A session that ended on another instance, of which this one has not heard, binds no address.
func TestEndedSessionConfirmsNothing(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	h.do("POST", "email/request", `{"email":"new@example.com"}`, v.bearer()...).accepted()
	key := keyOf(h.mail(authcore.MailConfirmEmail, "new@example.com"))
	var s struct{ Session sessionView }
	h.do("GET", "session", "", v.bearer()...).ok(&s)
	if err := h.store.EndSession(t.Context(), s.Session.ID); err != nil {
		t.Fatal(err)
	}
	for route, body := range map[string]string{
		"email/confirm": fmt.Sprintf(`{"key":%q}`, key), "email/request": `{"email":"newer@example.com"}`,
		"password/change": fmt.Sprintf(`{"password":%q}`, newPassword),
	} {
		a := h.do("POST", route, body, v.bearer()...)
		a.refused(401, "unauthenticated")
	}
	if len(h.mails()) > 0 {
		t.Error("mails were written")
	}
	h.knock(alice, alicesPassword, "").ok(&v)
	h.do("POST", "email/confirm", fmt.Sprintf(`{"key":%q}`, key), v.bearer()...).ok(new(map[string]any)) // it was not spent
}
