package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// outbox answers the mails as they are stored.
func (h *house) outbox() []authcore.SealedMail {
	h.t.Helper()
	mails, err := h.store.Stores().Outbox.ClaimMails(h.t.Context(), 100, h.now, h.now)
	if err != nil {
		h.t.Fatal(err)
	}
	return mails
}

// Whoever has a copy of the store has neither the addresses nor the keys that wait in it; and cannot make one mail pass
// for another.
func TestSealedMailTellsNothing(t *testing.T) {
	h := build(t, passwordsOn)
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, alice, alicesPassword)).accepted()
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, bob, bobsPassword)).accepted()
	stored := h.outbox()
	if len(stored) != 2 || stored[0].ID == stored[1].ID || len(stored[0].ID) < 32 {
		t.Fatalf("%+v", stored)
	}
	opened, err := h.realm.OpenMail(t.Context(), stored[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{alice, bob, "confirm", home, keyOf(opened), "192.0.2.1"} {
		if bytes.Contains(stored[0].Sealed, []byte(secret)) {
			t.Errorf("%q is in it", secret)
		}
	}
	for i := range stored[0].Sealed {
		damaged := stored[0]
		damaged.Sealed = bytes.Clone(damaged.Sealed)
		damaged.Sealed[i] ^= 1
		if _, err := h.realm.OpenMail(t.Context(), damaged); err == nil {
			t.Errorf("opened with byte %d changed", i)
		} else if errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("byte %d: %v: it would be tried for ever", i, err)
		}
		damaged.Sealed = stored[0].Sealed[:i]
		if _, err := h.realm.OpenMail(t.Context(), damaged); err == nil {
			t.Errorf("opened when cut to %d bytes", i)
		}
	}
	// The length of a key's id that, with what stands before it, is no byte any more: who sends mails must not die of it.
	for _, length := range []byte{254, 255} {
		damaged := stored[0]
		damaged.Sealed = append(bytes.Clone(damaged.Sealed), make([]byte, 256)...)
		damaged.Sealed[1] = length
		if _, err := h.realm.OpenMail(t.Context(), damaged); err == nil {
			t.Errorf("opened with an id of %d bytes", length)
		}
	}
	swapped := stored[0]
	swapped.ID = stored[1].ID
	if _, err := h.realm.OpenMail(t.Context(), swapped); err == nil {
		t.Error("one mail passes for another")
	}
	// Another instance, which made neither key nor mail, opens it.
	other, err := NewRealm(h.realm.RealmConfig)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.OpenMail(t.Context(), stored[0]); err != nil || again != opened {
		t.Errorf("%+v, %v", again, err)
	}
}

// The key changes between the writing and the sending of a mail, which may be days later while no mail server answers.
func TestMailOutlivesItsKey(t *testing.T) {
	h := build(t, passwordsOn)
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, alice, alicesPassword)).accepted()
	stored := h.outbox()[0]
	for range 33 {
		h.now = h.now.Add(24 * time.Hour)
		if err := h.realm.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h.now.Sub(stored.Created) == 30*24*time.Hour {
			h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, bob, alicesPassword)).accepted()
		}
	}
	opened, err := h.realm.OpenMail(t.Context(), stored)
	if err != nil || opened.To != alice {
		t.Errorf("%+v, %v", opened, err)
	}
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, "carol@example.com", alicesPassword)).accepted()
	for _, m := range h.outbox() {
		if m.Created.Equal(h.now) && bytes.Equal(m.Sealed[:20], stored.Sealed[:20]) {
			t.Error("a new mail is sealed with the old key")
		}
	}
}

// Who sends mails is told once there is one, after it is certain that it is stored, and not for nothing.
func TestWakeAfterAMail(t *testing.T) {
	woken := 0
	var h *house
	h = build(t, passwordsOn, func(c *RealmConfig, _ *Site) {
		c.Mail.Wake = func() {
			woken++
			if len(h.outbox()) == 0 {
				t.Error("woken before the mail is there")
			}
		}
	})
	register := fmt.Sprintf(`{"email":%q,"password":%q}`, alice, alicesPassword)
	h.do("POST", "password/register", register).accepted()
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	h.do("POST", "password/register", `{"email":"alice@example.com","password":"short"}`).refused(400, "weak_password")
	h.faults.breakDown("AddMail")
	h.do("POST", "password/register", register).refused(503, "unavailable")
	if woken != 1 {
		t.Errorf("woken %d times for nothing", woken-1)
	}
	h.faults.repair()
	h.do("POST", "password/forgot", `{"email":"nobody@example.com"}`).accepted()
	if h.told("mail confirm") < 1 || h.told("mail decoy") != 1 {
		t.Errorf("observer: %q", h.seen.told)
	}
}

// A transaction that lost against another one is tried again, and may have no mail to write then.
func TestWakeForWhatWasStored(t *testing.T) {
	woken := false
	tx := mailing{Transactions: again{}, wake: func() { woken = true }}
	first := true
	err := tx.Transact(t.Context(), func(s authcore.Stores) error {
		if first {
			first = false
			return s.Outbox.AddMail(t.Context(), authcore.SealedMail{})
		}
		return nil
	})
	if err != nil || woken {
		t.Errorf("woken: %v, %v", woken, err)
	}
}

// again is transactions that are all tried twice, on an outbox that takes anything.
type again struct{ authcore.Outbox }

func (a again) Transact(_ context.Context, f func(authcore.Stores) error) error {
	_ = f(authcore.Stores{Outbox: a})
	return f(authcore.Stores{Outbox: a})
}

func (again) AddMail(context.Context, authcore.SealedMail) error { return nil }

// One client has mails sent to address after address, or the same one: a mailbox is filled, and the sender of the site is
// a spammer to everybody.
func TestMailsOfOneClientAreLimited(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	v := h.person("first@example.com", alicesPassword)
	h.now = h.now.Add(time.Hour)
	h.knock("first@example.com", alicesPassword, "").ok(&v)
	// What has no mail sent does not count: who mistypes, or would take this from all others behind one address.
	for range 10 {
		h.do("POST", "password/register", `{"email":"one@example.com","password":"short"}`).refused(400, "weak_password")
		h.do("POST", "password/register", fmt.Sprintf(`{"email":"one","password":%q}`, bobsPassword)).refused(400, "invalid_email")
		h.do("POST", "password/forgot", `{"email":"one"}`).refused(400, "invalid_email")
		h.do("POST", "email/request", `{"email":"one"}`, v.bearer()...).refused(400, "invalid_email")
	}
	for i := range 10 {
		h.do("POST", "password/register", fmt.Sprintf(`{"email":"user%d@example.com","password":%q}`, i, bobsPassword)).accepted()
		h.do("POST", "password/forgot", fmt.Sprintf(`{"email":"user%d@example.com"}`, i)).accepted()
	}
	h.mails()
	for route, body := range map[string]string{
		"password/register": fmt.Sprintf(`{"email":"one@example.com","password":%q}`, bobsPassword),
		"password/forgot":   `{"email":"first@example.com"}`,
		"email/request":     `{"email":"more@example.com"}`,
	} {
		a := h.do("POST", route, body, v.bearer()...).refused(429, "too_many_requests")
		if a.Header().Get("Retry-After") != "3600" {
			t.Errorf("%s: Retry-After %q", route, a.Header()["Retry-After"])
		}
	}
	if mails := h.mails(); len(mails) > 0 {
		t.Errorf("%+v", mails)
	}
	// Signing in is none of it, nor are other clients.
	h.knock("first@example.com", alicesPassword, "").ok(&v)
	if a := h.from("192.0.2.2:1000", "POST", "password/forgot", `{"email":"first@example.com"}`); a.Code != http.StatusAccepted {
		t.Errorf("another client: %d", a.Code)
	}
	h.now = h.now.Add(time.Hour)
	h.do("POST", "password/forgot", `{"email":"first@example.com"}`).accepted()
}

// Many clients have mails sent to one address.
func TestMailsToOneAddressAreLimited(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	h.now = h.now.Add(time.Hour)
	for i := range 8 {
		a := h.from(fmt.Sprintf("192.0.2.%d:1000", i+10), "POST", "password/forgot", `{"email":"Alice@example.com"}`)
		if a.Code != http.StatusAccepted {
			t.Errorf("answered %d", a.Code)
		}
	}
	mails := h.mails()
	if len(mails) != 5 {
		t.Fatalf("%d mails", len(mails))
	}
	// The key of the newest mail is still good: nobody is kept from recovering.
	good := 0
	for _, m := range mails {
		if h.reset(keyOf(m), newPassword, "").Code == 200 {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d keys were good", good)
	}
}

// Who comes to a session that was left open makes a token, which outlives it: the owner hears of it, and hears of it if and
// only if it was made.
func TestOwnerIsToldOfATokenMade(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	h.mails()
	h.faults.breakDown("AddMail")
	h.do("POST", "tokens", `{"name":"script"}`, v.bearer()...).refused(503, "unavailable")
	h.faults.repair()
	if all, err := h.realm.Tokens(t.Context(), v.User.ID); err != nil || len(all) != 0 {
		t.Errorf("made without a word: %+v, %v", all, err)
	}
	h.do("POST", "tokens", `{"name":"script","paths":[]}`, v.bearer()...).refused(400, "invalid_token")
	if mails := h.mails(); len(mails) != 0 {
		t.Errorf("told of what was not made: %+v", mails)
	}
	made := h.newToken(append(v.bearer(), "User-Agent", "Browser/1.0\u202e <b>"), `,"expires_in":3600`)
	m := h.mail(authcore.MailTokenCreated, alice)
	if m.Label != "script" || !m.Until.Equal(h.now.Add(time.Hour)) || m.Origin != home || m.Client != "192.0.2.1" || m.UserAgent != "Browser/1.0 <b>" ||
		!m.Time.Equal(h.now) || m.Link != "" || strings.Contains(fmt.Sprint(m), made.Token) {
		t.Errorf("%+v", m)
	}
	h.newToken(v.bearer(), "")
	if m := h.mail(authcore.MailTokenCreated, alice); !m.Until.IsZero() {
		t.Errorf("good for ever: %+v", m)
	}
}

// Whoever takes an account over adds a way in, or removes the owner's: the owner hears of it, and hears of it if and only
// if it happened.
func TestOwnerIsToldOfSignInMethods(t *testing.T) {
	h := build(t, passwordsOn, passkeysOn)
	v := h.person(alice, alicesPassword)
	agent := []string{"User-Agent", "Browser/1.0\u202e <b>"}
	h.present(newSigner(1), "", append(v.bearer(), agent...)...).ok(new(signedInView))
	m := h.mail(authcore.MailMethodAdded, alice)
	if m.Method != authcore.Wallet || m.Label != newSigner(1).address() || m.Origin != home || m.Client != "192.0.2.1" || m.UserAgent != "Browser/1.0 <b>" ||
		!m.Time.Equal(h.now) || m.Link != "" {
		t.Errorf("%+v", m)
	}
	h.present(newSigner(1), "", v.bearer()...).ok(new(signedInView)) // used, not added
	var a passkeytest.Authenticator
	h.register(&a, `{}`, `,"name":"Phone"`, v.bearer()...).ok(new(map[string]any))
	if m := h.mail(authcore.MailMethodAdded, alice); m.Method != authcore.Passkey || m.Label != "Phone" {
		t.Errorf("%+v", m)
	}
	key := h.forgot(alice)
	for kind, label := range map[authcore.Method]string{authcore.Passkey: "Phone", authcore.Wallet: newSigner(1).address()} {
		id := h.idOf(kind, v.bearer()...)
		h.faults.breakDown("AddMail")
		h.do("DELETE", "credentials/"+id, "", v.bearer()...).refused(503, "unavailable")
		h.faults.repair()
		if h.idOf(kind, v.bearer()...) != id {
			t.Errorf("%s is gone without a word", kind)
		}
		h.do("DELETE", "credentials/"+id, "", v.bearer()...).done()
		if m := h.mail(authcore.MailMethodRemoved, alice); m.Method != kind || m.Label != label {
			t.Errorf("%+v", m)
		}
		if kind == authcore.Wallet {
			h.refresh(v.RefreshToken).ok(&v)
		}
	}
	h.do("DELETE", "credentials/"+h.idOf(authcore.Password, v.bearer()...), "", v.bearer()...).refused(409, "last_credential")
	if len(h.mails()) > 0 {
		t.Error("told of what did not happen")
	}
	// The password goes the same way, and no key of before brings one back.
	h.present(newSigner(2), "", v.bearer()...).ok(new(signedInView))
	h.mails()
	h.do("DELETE", "credentials/"+h.idOf(authcore.Password, v.bearer()...), "", v.bearer()...).done()
	if m := h.mail(authcore.MailMethodRemoved, alice); m.Method != authcore.Password {
		t.Errorf("%+v", m)
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	h.reset(key, newPassword, "").refused(404, "key_not_found")

	h.faults.breakDown("AddMail")
	h.present(newSigner(3), "", v.bearer()...).refused(503, "unavailable")
	h.faults.repair()
	if _, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, newSigner(3).address()); err == nil {
		t.Error("a wallet was linked without a word")
	}
}

// The owner removes the password since somebody has a key that was mailed to set a new one, at the moment in which that
// key is used: it must not bring a password back.
func TestRemovedPasswordStaysRemoved(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	h.present(newSigner(1), "", v.bearer()...).ok(new(signedInView))
	h.mails()
	key := h.forgot(alice)
	h.faults.before("Transact", func() error {
		h.faults.repair()
		h.do("DELETE", "credentials/"+h.idOf(authcore.Password, v.bearer()...), "", v.bearer()...).done()
		return nil
	})
	h.reset(key, newPassword, "").refused(404, "key_not_found")
	if id := h.idOf(authcore.Password, v.bearer()...); id != "" {
		t.Error("there is a password again")
	}
}

// Where there is no address, or no mail, nobody is told and all works.
func TestMethodsOfWhoHasNoAddress(t *testing.T) {
	for _, c := range []struct {
		name, email string
		change      func(*RealmConfig, *Site)
	}{
		{"no address", "", passwordsOn},
		{"mail switched off since", alice, func(*RealmConfig, *Site) {}},
	} {
		h := build(t, c.change, passkeysOn)
		v := h.signInTokens(newSigner(1))
		u, err := h.store.User(t.Context(), v.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		u.Email = c.email
		if err := h.store.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		h.present(newSigner(2), "", v.bearer()...).ok(&v)
		h.do("DELETE", "credentials/"+h.idOf(authcore.Wallet, v.bearer()...), "", v.bearer()...).done()
		if len(h.mails()) > 0 {
			t.Errorf("%s: mails", c.name)
		}
	}
}

func TestPagesOfPasswords(t *testing.T) {
	h := build(t, passwordsOn, invited, func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{alice}}}
		s.Pages = fullPages{}
	})
	cookie := h.enrol(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(sessionCookie)
	for _, page := range []string{"sign-in", "register", "forgot", "activate", "reset", "email", "account"} {
		a := h.do("GET", page, "", cookie...)
		want := fmt.Sprintf("%s open=false grant=true mail=true least=12 methods=[wallet password]", page)
		if a.Code != 200 || a.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", page, a.Code, a.Body, want)
		}
		if isForm := page == "sign-in" || page == "register" || page == "forgot"; isForm {
			h.do("POST", page, `{}`, cookie...).refused(415, "unsupported_media_type")
		} else {
			h.do("POST", page, `{}`, cookie...).refused(405, "method_not_allowed")
		}
		if page != "account" && h.do("GET", page, "").Code != 200 {
			t.Errorf("%s: not shown to who is signed out", page)
		}
	}
	for _, c := range []struct {
		change func(*RealmConfig, *Site)
		want   string
	}{
		{func(*RealmConfig, *Site) {}, "open=true grant=false mail=true least=12"},
		{func(c *RealmConfig, _ *Site) { c.OpenRegistration, c.Password.MinLength = false, 15 }, "open=false grant=false mail=true least=15"},
		{func(c *RealmConfig, _ *Site) { c.Password = nil }, "open=true grant=false mail=true least=0"},
		{func(c *RealmConfig, _ *Site) { c.Password, c.Mail = nil, nil }, "open=true grant=false mail=false least=0"},
	} {
		h := build(t, passwordsOn, c.change, func(_ *RealmConfig, s *Site) { s.Pages = fullPages{} })
		if a := h.do("GET", "sign-in", ""); !strings.Contains(a.Body.String(), c.want) {
			t.Errorf("%q, want %q", a.Body, c.want)
		}
	}
	for _, page := range []string{"register", "forgot", "activate", "reset", "sign-in"} {
		if got := h.gateway.safeReturn("/auth/" + page); got != "/" {
			t.Errorf("one returns to %s after signing in", page)
		}
	}
	if got := h.gateway.safeReturn("/auth/email"); got != "/auth/email" {
		t.Errorf("one does not return to confirm an address, but to %s", got)
	}
}

// fullPages tell what a page is filled with for passwords.
type fullPages struct{ plainPages }

func (fullPages) ServePage(w http.ResponseWriter, _ *http.Request, p Page) error {
	w.WriteHeader(p.Status)
	fmt.Fprintf(w, "%s open=%v grant=%v mail=%v least=%d methods=%v", p.Name, p.Registration, p.ByGrant, p.Mail, p.MinLength, p.Methods)
	return nil
}
