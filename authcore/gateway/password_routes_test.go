package gateway

import (
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

func TestProgramRegistersWithPassword(t *testing.T) {
	h := build(t, passwordsOn)
	h.do("POST", "password/register", fmt.Sprintf(`{"email":"Alice@Example.COM","password":%q,"name":" Alice "}`, alicesPassword)).accepted()
	m := h.mail(authcore.MailConfirm, alice)
	if m.Origin != home || m.Client != "192.0.2.1" || !strings.HasPrefix(m.Link, home+"/auth/activate#") {
		t.Errorf("mail: %+v", m)
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials") // not yet
	var v signedInView
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, keyOf(m))).ok(&v)
	if v.User.Email != alice || v.User.Username != alice || v.User.Name != "Alice" || !slices.Equal(v.User.Methods, []authcore.Method{authcore.Password}) {
		t.Errorf("user: %+v", v.User)
	}
	if h.signedInAs(v.bearer()) == "" {
		t.Error("not signed in")
	}
	var again signedInView
	h.knock("ALICE@example.com", alicesPassword, "").ok(&again)
	if again.User.ID != v.User.ID || again.RefreshToken == "" {
		t.Errorf("signed in as %+v", again)
	}
	r := h.backend(again.bearer())
	if r == nil || r.Header.Get("Remote-Email") != alice || r.Header.Get("Remote-User") != alice || r.Header.Get("X-Authgate-Methods") != "password" {
		t.Errorf("backend: %v", r)
	}
	if n := h.told("password ok"); n != 2 {
		t.Errorf("%d sign-ins were told", n)
	}
}

func TestBrowserSignsInWithPassword(t *testing.T) {
	h := build(t, passwordsOn)
	var v signedInView
	a := h.enrol(alice, alicesPassword, withCookie+`,"return_to":"https://evil.example/"`).ok(&v)
	if v.ReturnTo != "/" || v.AccessToken != "" || len(a.cookies()) != 2 || h.signedInAs(a.jar(sessionCookie)) != v.User.ID {
		t.Errorf("activated: %+v, %q", v, a.Header()["Set-Cookie"])
	}
	h.now = h.now.Add(time.Minute)
	a = h.knock(alice, alicesPassword, withCookie+`,"return_to":"/reports?q=1"`).ok(&v)
	if v.ReturnTo != "/reports?q=1" || len(a.cookies()) != 2 || h.signedInAs(a.jar(sessionCookie)) != v.User.ID {
		t.Errorf("signed in: %+v, %q", v, a.Header()["Set-Cookie"])
	}
	// It stays known when it signs out.
	out := h.do("POST", "sign-out", "", a.jar(sessionCookie, deviceCookie)...).done().cookies()
	if _, touched := out[deviceCookie]; touched || len(out) != 1 {
		t.Errorf("sign-out sets %q", out)
	}
	// What is listed of it.
	h.knock(alice, alicesPassword, "").ok(&v)
	l := h.list(v.bearer()...).Credentials
	if len(l) != 1 || l[0].Kind != "password" || l[0].LastUsed != timestamp(h.now) || l[0].Wallet != "" || l[0].RPID != "" {
		t.Errorf("credentials: %+v", l)
	}
}

func TestMethodsThatAreOff(t *testing.T) {
	routes := []string{
		"password/register", "password/activate", "password/sign-in", "password/forgot", "password/reset", "password/change",
		"step-up/password/sign-in",
	}
	off := build(t)
	elsewhere := build(t, passwordsOn, func(_ *RealmConfig, s *Site) { s.Methods = []authcore.Method{authcore.Wallet} })
	mailOnly := build(t, func(c *RealmConfig, _ *Site) { c.Mail = &MailConfig{} })
	for _, h := range []*house{off, elsewhere, mailOnly} {
		for _, route := range routes {
			h.do("POST", route, `{}`).refused(404, "not_found")
		}
		for _, page := range []string{"register", "activate", "forgot", "reset"} {
			h.do("GET", page, "").refused(404, "not_found")
		}
	}
	for _, route := range []string{"email/request", "email/confirm"} {
		off.do("POST", route, `{}`).refused(404, "not_found")
		elsewhere.do("POST", route, `{}`).refused(401, "unauthenticated")
		mailOnly.do("POST", route, `{}`).refused(401, "unauthenticated")
	}
	off.do("GET", "email", "").refused(404, "not_found")
	if _, err := NewRealm(RealmConfig{Stores: off.realm.Stores, Challenges: off.realm.Challenges, Password: &PasswordConfig{}}); err == nil {
		t.Error("passwords were switched on without mail")
	}
	poor := off.realm.Stores
	poor.Outbox = nil
	if _, err := NewRealm(RealmConfig{Stores: poor, Challenges: off.realm.Challenges, Mail: &MailConfig{}}); err == nil {
		t.Error("mail was switched on without an outbox")
	}
	short := PasswordConfig{MinLength: 6}
	if _, err := NewRealm(RealmConfig{Stores: off.realm.Stores, Challenges: off.realm.Challenges, Mail: &MailConfig{}, Password: &short}); err == nil {
		t.Error("passwords of six characters were allowed")
	}
}

func TestPasswordRefusals(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	for _, c := range []struct{ name, route, body string }{
		{"no address", "password/register", `{"password":"tramway copper lantern"}`},
		{"no password", "password/register", `{"email":"carol@example.com"}`},
		{"password that is no string", "password/register", `{"email":"carol@example.com","password":1}`},
		{"twice", "password/sign-in", `{"email":"alice@example.com","password":"a","password":"b"}`},
		{"twice but for case", "password/sign-in", `{"email":"alice@example.com","Email":"bob@example.com","password":"a"}`},
		{"name that cannot be shown", "password/register", `{"email":"carol@example.com","password":"tramway copper lantern","name":"a\u202eb"}`},
		{"no key", "password/activate", `{}`},
		{"receipt that is no string", "password/activate", `{"key":"x","receipt":7}`},
		{"session of another kind", "password/activate", `{"key":"x","session":"token"}`},
		{"no password", "password/sign-in", `{"email":"alice@example.com"}`},
		{"no address", "password/forgot", `{}`},
		{"no password", "password/reset", `{"key":"x"}`},
		{"no password", "password/change", `{}`},
		{"no password", "step-up/password/sign-in", `{}`},
		{"no address", "email/request", `{}`},
		{"no key", "email/confirm", `{"key":null}`},
	} {
		t.Run(c.route+" "+c.name, func(t *testing.T) {
			a := h.do("POST", c.route, c.body, v.bearer()...)
			a.t = t
			a.refused(400, "invalid_request")
		})
	}
	for _, c := range []struct {
		body   string
		code   string
		reason string
	}{
		{`{"email":"alice","password":"tramway copper lantern"}`, "invalid_email", ""},
		{`{"email":"a@b.example\nBcc: x@y.example","password":"tramway copper lantern"}`, "invalid_email", ""},
		{`{"email":"carol@example.com","password":"short"}`, "weak_password", "too_short"},
		{`{"email":"carol@example.com","password":"` + strings.Repeat("tramway ", 200) + `"}`, "weak_password", "too_long"},
		{`{"email":"carol@example.com","password":"password123456789"}`, "weak_password", "common"},
		{`{"email":"carol@mail.test","password":"app.example.com1"}`, "weak_password", "site"},
	} {
		a := h.do("POST", "password/register", c.body).refused(400, c.code)
		if got := strings.Contains(a.Body.String(), `"reason":"`+c.reason+`"`); got != (c.reason != "") {
			t.Errorf("%s: %s", c.body, a.Body)
		}
	}
	h.do("POST", "password/forgot", `{"email":"alice@"}`).refused(400, "invalid_email")
	h.do("POST", "email/request", `{"email":"@example.com"}`, v.bearer()...).refused(400, "invalid_email")
	h.do("POST", "password/change", `{"password":"short"}`, v.bearer()...).refused(400, "weak_password")
	if mails := h.mails(); len(mails) > 0 {
		t.Errorf("mails were written: %+v", mails)
	}
	// What looks odd and is fine.
	h.do("POST", "password/register", `{"email":"o'brien+x@bücher.example","password":"`+strings.Repeat("x y zzy!", 8)+`q"}`).accepted()
	h.mail(authcore.MailConfirm, "o'brien+x@xn--bcher-kva.example")
}

// Whether an address has an account, waits to be confirmed or is suspended is nobody's business but of who reads its
// mail. One answer, to the last byte of its headers.
func TestFourRefusalsAreOneAnswer(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	h.asked("pending@example.com", alicesPassword)
	h.present(newSigner(1), "").ok(new(signedInView))
	wrong := h.knock(alice, "not "+alicesPassword, "").refused(401, "invalid_credentials")
	if strings.Contains(wrong.Body.String(), "alice") || wrong.Header().Get("Set-Cookie") != "" {
		t.Errorf("%v %s", wrong.Header(), wrong.Body)
	}
	h.knock("nobody@example.com", alicesPassword, "").sameAs(wrong, "unknown")
	h.knock("pending@example.com", alicesPassword, "").sameAs(wrong, "pending")
	h.knock("no address", alicesPassword, "").sameAs(wrong, "no address")
	h.knock(alice, "", "").sameAs(wrong, "empty")
	h.knock(alice, strings.Repeat("x", 4000), "").sameAs(wrong, "endless")
	for range 5 {
		h.knock(alice, "not "+alicesPassword, "").sameAs(wrong, "one of many")
		h.knock("nobody@example.com", alicesPassword, "").sameAs(wrong, "one of many, unknown")
	}
	h.knock(alice, alicesPassword, "").sameAs(wrong, "suspended")
	h.knock("nobody@example.com", alicesPassword, "").sameAs(wrong, "unknown and suspended")
	if h.told("suspended") != 1 {
		t.Errorf("observer was told %q", h.seen.told)
	}
	m := h.mail(authcore.MailSuspended, alice)
	if !m.Until.Equal(h.now.Add(15*time.Minute)) || m.Link != "" && !strings.HasPrefix(m.Link, home) {
		t.Errorf("mail: %+v", m)
	}
	// The operator sees it and lifts it.
	u, err := h.store.Stores().Users.UserByEmail(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if until, err := h.realm.Suspended(t.Context(), u.ID); err != nil || !until.Equal(m.Until) {
		t.Errorf("suspended until %v, %v", until, err)
	}
	if err := h.realm.Lift(t.Context(), authcore.Trace{Actor: authcore.Operator}, u.ID); err != nil {
		t.Fatal(err)
	}
	h.knock(alice, alicesPassword, "").ok(new(signedInView))
}

// Registering, and asking for a new password, tells nobody who has an account here.
func TestEnumerationByRegistering(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	body := func(email string) string { return fmt.Sprintf(`{"email":%q,"password":%q}`, email, bobsPassword) }
	free := h.do("POST", "password/register", body("free@example.com")).accepted()
	h.do("POST", "password/register", body("free@example.com")).sameAs(free, "pending")
	h.do("POST", "password/register", body(alice)).sameAs(free, "an account")
	if got := h.kinds(); !slices.Equal(got, []string{"confirm free@example.com", "confirm free@example.com", "registered alice@example.com"}) {
		t.Errorf("mails: %q", got)
	}
	h.knock(alice, bobsPassword, "").refused(401, "invalid_credentials")

	closed := build(t, passwordsOn, invited)
	grantless := closed.do("POST", "password/register", body("free@example.com")).refused(403, "registration_closed")
	u := authcore.User{ID: "old", Username: "old", Email: alice}
	c := authcore.Credential{ID: "c", UserID: "old", Kind: authcore.Wallet, Key: newSigner(3).address()}
	if err := closed.store.Stores().Users.CreateUser(t.Context(), u, c); err != nil {
		t.Fatal(err)
	}
	closed.do("POST", "password/register", body(alice)).sameAs(grantless, "an account, closed")
}

func TestEnumerationByForgetting(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	wallet := h.signInTokens(newSigner(1))
	h.moveTo("wallet@example.com", wallet.bearer()...)
	none := h.do("POST", "password/forgot", `{"email":"nobody@example.com"}`).accepted()
	h.do("POST", "password/forgot", `{"email":"alice@example.com"}`).sameAs(none, "an account")
	h.do("POST", "password/forgot", `{"email":"wallet@example.com"}`).sameAs(none, "an account without password")
	if got := h.kinds(); !slices.Equal(got, []string{"no_password wallet@example.com", "reset alice@example.com"}) {
		t.Errorf("mails: %q", got)
	}
}

func TestEnumerationByChangingTheAddress(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	b := h.person(bob, bobsPassword)
	free := h.do("POST", "email/request", `{"email":"free@example.com"}`, b.bearer()...).accepted()
	h.mail(authcore.MailConfirmEmail, "free@example.com")
	h.do("POST", "email/request", `{"email":"alice@example.com"}`, b.bearer()...).sameAs(free, "somebody's")
	if m := h.mail(authcore.MailRegistered, alice); keyOf(m) != "" && strings.Contains(m.Link, "/email#") {
		t.Errorf("the owner is mailed a key to the account of another: %+v", m)
	}
}

// Host header poisoning: a link in a mail with the host that somebody wrote into the request hands the key over to them.
func TestLinksNameTheConfiguredOrigin(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	for _, c := range []struct{ route, body, page string }{
		{"password/register", `{"email":"carol@example.com","password":"tramway copper lantern"}`, "activate"},
		{"password/forgot", `{"email":"alice@example.com"}`, "reset"},
		{"email/request", `{"email":"new@example.com"}`, "email"},
	} {
		r := h.request("POST", c.route, c.body, append(v.bearer(), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
			"Forwarded", "host=evil.example", "X-Original-Host", "evil.example")...)
		r.Host, r.URL.Host = "evil.example", "evil.example"
		h.serve(r).accepted()
		mails := h.mails()
		if len(mails) != 1 || !strings.HasPrefix(mails[0].Link, home+"/auth/"+c.page+"#") || mails[0].Origin != home {
			t.Errorf("%s: %+v", c.route, mails)
		}
	}
}

// What stands in the path or query of a link is in logs, histories and Referer headers, and is fetched by scanners.
func TestMailedKeyIsInTheFragmentAlone(t *testing.T) {
	h := build(t, passwordsOn)
	keys := []string{h.asked(alice, alicesPassword)}
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, keys[0])).ok(new(signedInView))
	h.do("POST", "password/forgot", `{"email":"alice@example.com"}`).accepted()
	m := h.mail(authcore.MailReset, alice)
	u, err := url.Parse(m.Link)
	if err != nil || u.RawQuery != "" || u.Path != "/auth/reset" || len(u.Fragment) < 22 || u.User != nil {
		t.Errorf("link: %q", m.Link)
	}
	h.reset(u.Fragment, newPassword, "").ok(new(signedInView))
	for _, secret := range append(keys, u.Fragment, alicesPassword, newPassword, "alice@") {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// Mail scanners and previews open every link, and some run its page. Only pressing the button counts.
func TestOpeningAPageChangesNothing(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(bob, bobsPassword)
	activate, reset := h.asked(alice, alicesPassword), h.forgot(bob)
	h.do("POST", "email/request", `{"email":"new@example.com"}`, v.bearer()...).accepted()
	email := keyOf(h.mail(authcore.MailConfirmEmail, "new@example.com"))
	for page, key := range map[string]string{"activate": activate, "reset": reset, "email": email} {
		for _, method := range []string{"GET", "HEAD"} {
			a := h.do(method, page+"?key="+key, "", v.bearer()...)
			if a.Code != 200 || strings.Contains(a.Body.String(), key) || len(a.Header()["Set-Cookie"]) > 0 || a.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %v %s", method, page, a.Code, a.Header(), a.Body)
			}
		}
	}
	for _, route := range []string{"password/activate", "password/reset", "email/confirm"} {
		if a := h.do("GET", route+"?key="+activate, "", v.bearer()...); a.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", route, a.Code)
		}
	}
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, activate)).ok(new(signedInView))
	h.reset(reset, newPassword, "").ok(&v)
}

// A key counts once, for what it was mailed for, until it expires.
func TestMailedKeys(t *testing.T) {
	h := build(t, passwordsOn)
	activate := func(key string) answer {
		return h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, key))
	}
	activate("unknown").refused(404, "registration_not_found")
	activate("").refused(404, "registration_not_found")
	h.reset("unknown", newPassword, "").refused(404, "key_not_found")
	first := h.asked(alice, alicesPassword)
	h.reset(first, newPassword, "").refused(404, "key_not_found")
	second := h.asked(alice, alicesPassword)
	activate(first).refused(404, "registration_not_found") // a newer one was sent
	activate(second).ok(new(signedInView))
	activate(second).refused(404, "registration_not_found")
	late := h.asked(bob, bobsPassword)
	h.now = h.now.Add(7 * 24 * time.Hour)
	activate(late).refused(412, "registration_expired")
	h.mails()
	reset := h.forgot(alice)
	activate(reset).refused(404, "registration_not_found")
	h.reset(reset, "short", "").refused(400, "weak_password") // which does not spend it
	h.reset(reset, newPassword, "").ok(new(signedInView))
	h.reset(reset, newPassword, "").refused(404, "key_not_found")
	h.mail(authcore.MailPasswordChanged, alice)
	reset = h.forgot(alice)
	h.now = h.now.Add(time.Hour)
	h.reset(reset, newPassword, "").refused(412, "key_expired")

	// What expired goes, after a time in which who comes late is told so.
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.reset(reset, newPassword, "").refused(412, "key_expired")
	h.now = h.now.Add(24 * time.Hour)
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.reset(reset, newPassword, "").refused(404, "key_not_found")
	activate(late).refused(404, "registration_not_found")
}

// A stranger registers somebody's address with a password of his own. The owner opens the mail in another browser, which
// has no receipt of that registration: the stranger's password must not become that of the account.
func TestPreRegistrationGainsNothing(t *testing.T) {
	h := build(t, passwordsOn)
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q,"receipt":"strangers-browser"}`, alice, bobsPassword)).accepted()
	key := keyOf(h.mail(authcore.MailConfirm, alice))
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"receipt":""}`, key)).refused(403, "password_required")
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"receipt":"owners-browser"}`, key)).refused(403, "password_required")
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"receipt":"owners-browser","password":%q}`, key, alicesPassword)).ok(new(signedInView))
	h.knock(alice, bobsPassword, "").refused(401, "invalid_credentials")
	h.knock(alice, alicesPassword, "").ok(new(signedInView))

	// With the receipt of the same browser nothing more is asked.
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q,"receipt":"bobs-browser"}`, bob, bobsPassword)).accepted()
	key = keyOf(h.mail(authcore.MailConfirm, bob))
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"receipt":"bobs-browser"}`, key)).ok(new(signedInView))
	h.knock(bob, bobsPassword, "").ok(new(signedInView))
}

// Session fixation: an attacker leaves a session of his own in a browser. Whoever confirms, or sets a new password, in it
// gets a new session, and the one that was planted ends.
func TestPlantedSessionIsReplaced(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(bob, bobsPassword)
	activate := h.asked(alice, alicesPassword)
	for _, c := range []struct {
		name string
		do   func(planted []string) answer
	}{
		{"activate", func(planted []string) answer {
			return h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q%s}`, activate, withCookie), planted...)
		}},
		{"sign-in", func(planted []string) answer { return h.knock(bob, bobsPassword, withCookie, planted...) }},
		{"reset", func(planted []string) answer {
			return h.reset(h.forgot(bob), newPassword, withCookie, planted...)
		}},
	} {
		planted := h.signInCookie(newSigner(9))
		attacker := h.signedInAs(planted)
		now := c.do(planted).ok(new(signedInView)).jar(sessionCookie)
		if now[1] == planted[1] || h.signedInAs(now) == attacker || h.signedInAs(now) == "" {
			t.Errorf("%s: signed in as the attacker", c.name)
		}
		if h.signedInAs(planted) != "" {
			t.Errorf("%s: the planted session lives", c.name)
		}
	}
}

// Whoever recovers an account has lost it to somebody, maybe: all that others hold of it is void at once, streams and
// access tokens that have minutes to go included.
func TestResetEndsAllSessionsAtOnce(t *testing.T) {
	h := build(t, passwordsOn)
	thief := h.person(alice, alicesPassword)
	cookie := h.knock(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(sessionCookie)
	other := h.person(bob, bobsPassword)
	if h.signedInAs(thief.bearer()) == "" || h.signedInAs(cookie) == "" {
		t.Fatal("not signed in")
	}
	var v struct{ Session sessionView }
	h.do("GET", "session", "", thief.bearer()...).ok(&v)
	cut := false
	open := &stream{
		gateway: h.gateway, ticket: &ticket{identity: &authcore.Identity{SessionID: v.Session.ID}},
		writer: httptest.NewRecorder(), cancel: func() { cut = true },
	}
	h.realm.State.streams[v.Session.ID] = map[*stream]struct{}{open: {}}
	key := h.forgot(alice)
	var mine signedInView
	h.reset(key, newPassword, "").ok(&mine)
	h.mail(authcore.MailPasswordChanged, alice)
	if h.signedInAs(thief.bearer()) != "" || h.signedInAs(cookie) != "" {
		t.Error("what was stolen is still good")
	}
	h.refresh(thief.RefreshToken).refused(401, "invalid_grant")
	if !cut {
		t.Error("a stream goes on")
	}
	if h.signedInAs(mine.bearer()) == "" || h.signedInAs(other.bearer()) == "" {
		t.Error("somebody else was signed out")
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
}

// Somebody who knows the old password signs in at the very moment in which the owner sets a new one: the password was
// compared already, and the session is opened after all others were ended.
func TestSignInThatOverlapsAReset(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	key := h.forgot(alice)
	h.faults.before("Transact", func() error {
		h.faults.repair()
		h.reset(key, newPassword, "").ok(new(signedInView))
		return nil
	})
	a := h.knock(alice, alicesPassword, withCookie).refused(401, "invalid_credentials")
	if len(a.Header()["Set-Cookie"]) > 0 {
		t.Errorf("%q", a.Header()["Set-Cookie"])
	}
	u, err := h.store.Stores().Users.UserByEmail(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if open, err := h.store.SessionsOf(t.Context(), u.ID, h.now); err != nil || len(open) != 1 {
		t.Errorf("%d sessions are open, want that of the reset: %v", len(open), err)
	}
}

func TestChangeOfPassword(t *testing.T) {
	h := build(t, passwordsOn)
	old := h.person(alice, alicesPassword)
	mine := h.knock(alice, alicesPassword, withCookie).ok(new(signedInView))
	cookie := mine.jar(sessionCookie)
	change := fmt.Sprintf(`{"password":%q}`, newPassword)
	key := h.forgot(alice)
	h.do("POST", "password/change", change).refused(401, "unauthenticated")
	a := h.do("POST", "password/change", change, cookie...).done()
	h.mail(authcore.MailPasswordChanged, alice)
	if h.signedInAs(old.bearer()) != "" {
		t.Error("another session goes on")
	}
	if h.signedInAs(cookie) == "" {
		t.Error("signed out")
	}
	// The browser stays known, by a token that goes with the new password.
	if d := a.cookies()[deviceCookie]; d == "" || d == mine.cookies()[deviceCookie] {
		t.Errorf("device cookie: %q", a.Header()["Set-Cookie"])
	}
	h.reset(key, bobsPassword, "").refused(404, "key_not_found") // mailed before, it may be in other hands
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	h.knock(alice, newPassword, "").ok(new(signedInView))
}

// A session that was left open is not enough to take an account over for good.
func TestChangesNeedAFreshSignIn(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	h.now = h.now.Add(h.realm.Fresh)
	h.refresh(v.RefreshToken).ok(&v)
	h.do("POST", "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()...).refused(401, "step_up_required")
	h.do("POST", "email/request", `{"email":"evil@example.com"}`, v.bearer()...).refused(401, "step_up_required")
	h.knock(alice, alicesPassword, "").ok(new(signedInView))
	if mails := h.mails(); len(mails) > 0 {
		t.Errorf("%+v", mails)
	}
}

// A first password needs an address that is confirmed: it is what one signs in with.
func TestFirstPasswordOfAWalletAccount(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.signInTokens(newSigner(1))
	change := fmt.Sprintf(`{"password":%q}`, alicesPassword)
	h.do("POST", "password/change", change, v.bearer()...).refused(409, "email_required")
	h.moveTo(alice, v.bearer()...)
	h.refresh(v.RefreshToken).ok(&v)
	h.do("POST", "password/change", change, v.bearer()...).done()
	h.mail(authcore.MailPasswordChanged, alice)
	var again signedInView
	h.knock(alice, alicesPassword, "").ok(&again)
	if again.User.ID != v.User.ID || again.User.Username != newSigner(1).address() {
		t.Errorf("%+v", again.User)
	}
}

func TestStepUpWithPassword(t *testing.T) {
	h := build(t, passwordsOn, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{SignedIn: true, Paths: []string{"/desk"}, With: []authcore.Method{authcore.Password}, Within: time.Minute}}
	})
	v, cookie := h.person(alice, alicesPassword), h.knock(alice, alicesPassword, withCookie).ok(new(signedInView)).jar(sessionCookie)
	h.person(bob, bobsPassword)
	h.now = h.now.Add(2 * time.Minute)
	h.visit("/desk", v.bearer()).refused(401, "step_up_required")
	h.visit("/desk", cookie).refused(401, "step_up_required")
	prove := func(secret string, headers []string) answer {
		return h.do("POST", "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, secret), headers...)
	}
	prove(alicesPassword, nil).refused(401, "unauthenticated")
	prove("not "+alicesPassword, cookie).refused(401, "invalid_credentials")
	// The password of somebody else proves somebody else.
	prove(bobsPassword, cookie).refused(401, "invalid_credentials")
	h.visit("/desk", cookie).refused(401, "step_up_required")
	a := prove(alicesPassword, cookie).ok(new(steppedUpView))
	if h.visit("/desk", a.jar(sessionCookie)).Code != 418 {
		t.Error("not stepped up")
	}
	// It lifts the session at hand and no other.
	h.visit("/desk", v.bearer()).refused(401, "step_up_required")
	var up steppedUpView
	prove(alicesPassword, v.bearer()).ok(&up)
	if h.visit("/desk", []string{"Authorization", "Bearer " + up.AccessToken}).Code != 418 {
		t.Error("not stepped up")
	}
}

// A stolen session is a place to guess the password at; the tries count as those of the door do.
func TestStepUpIsNoPlaceToGuess(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	for range 5 {
		h.do("POST", "step-up/password/sign-in", `{"password":"a guess of many"}`, v.bearer()...).refused(401, "invalid_credentials")
	}
	h.do("POST", "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, alicesPassword), v.bearer()...).refused(401, "invalid_credentials")
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	// The session ended on another instance, of which this one has not heard.
	var s struct{ Session sessionView }
	h.do("GET", "session", "", v.bearer()...).ok(&s)
	if err := h.store.EndSession(t.Context(), s.Session.ID); err != nil {
		t.Fatal(err)
	}
	h.do("POST", "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, alicesPassword), v.bearer()...).refused(401, "unauthenticated")
}

// What is right about a disabled account only its owner is told, and nobody signs in to it, whichever way.
func TestDisabledAccountAndPasswords(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	key := h.forgot(alice)
	u, err := h.store.User(t.Context(), v.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	u.Disabled = true
	if err := h.store.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	h.knock(alice, "not "+alicesPassword, "").refused(401, "invalid_credentials")
	h.do("POST", "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()...).refused(403, "account_disabled")
	h.do("POST", "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()...).refused(403, "account_disabled")
	for _, a := range []answer{h.knock(alice, alicesPassword, withCookie), h.reset(key, newPassword, withCookie)} {
		if a.refused(403, "account_disabled"); len(a.Header()["Set-Cookie"]) > 0 {
			t.Errorf("%q", a.Header()["Set-Cookie"])
		}
	}
}

// Under invite, whoever was given a role may open an account, once the address is confirmed, and nobody else.
func TestGrantedAddressMayRegister(t *testing.T) {
	h := build(t, passwordsOn, invited, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{"Alice@EXAMPLE.com"}}}
	})
	// Who was is told to nobody but them.
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, bob, bobsPassword)).accepted()
	if got := h.mails(); len(got) > 0 {
		t.Errorf("mails %+v", got)
	}
	v := h.person(alice, alicesPassword)
	if !slices.Equal(v.User.Roles, []string{"admin"}) {
		t.Errorf("roles %q", v.User.Roles)
	}
	if len(h.mails()) > 0 {
		t.Error("bob got mail")
	}
	for _, to := range []string{"alice@", "a b@example.com", "alice@192.0.2.1", `"alice"@example.com`} {
		if _, err := NewRealm(RealmConfig{Stores: h.realm.Stores, Challenges: h.realm.Challenges, Grants: []Grant{{Role: "admin", To: []string{to}}}}); err == nil {
			t.Errorf("a grant to %q was accepted", to)
		}
	}
}

// A flood of sign-ins: who finds too many before him is told to come again, and is not told that the password is wrong.
func TestBusyHasher(t *testing.T) {
	hasher := cheap()
	hasher.Parallel, hasher.Wait = 1, time.Millisecond
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.Password.Hasher = hasher })
	v := h.person(alice, alicesPassword)
	key := h.forgot(alice)
	hold := holding{entered: make(chan struct{}), leave: make(chan struct{})}
	hasher.Rand = hold
	done := make(chan error)
	go func() {
		_, err := hasher.Hash(t.Context(), alicesPassword)
		done <- err
	}()
	<-hold.entered
	for name, a := range map[string]answer{
		"sign-in":  h.knock(alice, alicesPassword, ""),
		"unknown":  h.knock("nobody@example.com", alicesPassword, ""),
		"register": h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, bob, bobsPassword)),
		"reset":    h.reset(key, newPassword, ""),
		"change":   h.do("POST", "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()...),
		"step-up":  h.do("POST", "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, alicesPassword), v.bearer()...),
	} {
		if a.refused(503, "unavailable").Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	// Signed-in users are not held up.
	if h.signedInAs(v.bearer()) == "" {
		t.Error("signed out")
	}
	close(hold.leave)
	if err := <-done; err == nil {
		t.Error("hashed without salt")
	}
	hasher.Rand = nil
	if len(h.mails()) > 0 || strings.Contains(h.log.String(), "sign-in refused") {
		t.Errorf("being busy counts as a refusal: %s", h.log)
	}
	h.reset(key, newPassword, "").ok(new(signedInView)) // nothing was spent
}

// holding is random bytes that do not come.
type holding struct{ entered, leave chan struct{} }

func (h holding) Read([]byte) (int, error) {
	close(h.entered)
	<-h.leave
	return 0, errors.New("no random bytes")
}

// A store that is down refuses, and what was not stored is not acknowledged. Once it is back, the same request works.
func TestPasswordsWhileTheStoreIsDown(t *testing.T) {
	h := build(t, passwordsOn)
	v := h.person(alice, alicesPassword)
	activate, reset := h.asked(bob, bobsPassword), h.forgot(alice)
	for _, broken := range []string{"Transact", "CountAttempt", "AddMail", "Session", "User", "CreateUser", "CountLockout", "CredentialByKey"} {
		h.faults.repair()
		h.faults.breakDown(broken)
		for _, c := range []struct {
			breaks        []string
			route, body   string
			authorization []string
		}{
			{[]string{"Transact", "CountAttempt", "AddMail"}, "password/register", fmt.Sprintf(`{"email":"carol@example.com","password":%q}`, bobsPassword), nil},
			{[]string{"Transact", "CountAttempt", "CreateUser"}, "password/activate", fmt.Sprintf(`{"key":%q}`, activate), nil},
			{[]string{"CountAttempt", "CountLockout", "CredentialByKey"}, "password/sign-in", fmt.Sprintf(`{"email":%q,"password":%q}`, alice, alicesPassword), nil},
			{[]string{"Transact", "CountAttempt", "AddMail"}, "password/forgot", fmt.Sprintf(`{"email":%q}`, alice), nil},
			{[]string{"Transact", "CountAttempt", "AddMail"}, "password/reset", fmt.Sprintf(`{"key":%q,"password":%q}`, reset, newPassword), nil},
			{[]string{"Transact", "CountAttempt", "AddMail", "Session", "User"}, "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()},
			{[]string{"CountAttempt", "CountLockout", "Session", "User", "CredentialByKey"}, "step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, alicesPassword), v.bearer()},
			{[]string{"Transact", "CountAttempt", "AddMail", "Session", "User"}, "email/request", `{"email":"new@example.com"}`, v.bearer()},
		} {
			if !slices.Contains(c.breaks, broken) {
				continue
			}
			a := h.do("POST", c.route, c.body, c.authorization...)
			if a.refused(503, "unavailable"); a.Header().Get("Retry-After") == "" || strings.Contains(a.Body.String(), "10.9.8.7") {
				t.Errorf("%s without %s: %v %s", c.route, broken, a.Header(), a.Body)
			}
		}
	}
	h.faults.repair()
	if mails := h.mails(); len(mails) > 0 {
		t.Errorf("mails were written: %+v", mails)
	}
	if strings.Contains(h.log.String(), "sign-in refused") {
		t.Error("an outage counts as a refused sign-in")
	}
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, activate)).ok(new(signedInView))
	h.knock(alice, alicesPassword, "").ok(new(signedInView))
	h.reset(reset, newPassword, "").ok(new(signedInView))
}

// Guessing passwords and keys is counted with all other tries to sign in.
func TestPasswordRoutesAreRateLimited(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Count: 1, Window: 10 * time.Second} })
	message := h.challenge(newSigner(1))
	h.now = h.now.Add(10 * time.Second)
	var v signedInView
	h.do("POST", "challenge/sign", solution(newSigner(1), message, "")).ok(&v)
	h.from("192.0.2.7:1", "POST", "challenge/create", `{}`).ok(new(map[string]any))
	for _, route := range stateChanging {
		if strings.HasPrefix(route, "challenge/") || route == "token/refresh" || route == "sign-out" {
			continue
		}
		r := h.request("POST", route, `{}`, v.bearer()...)
		r.RemoteAddr = "192.0.2.7:2"
		h.serve(r).refused(429, "too_many_requests")
	}
}

// Who somebody is cannot be told while the store is down. To sign in all the same would leave the session that is to be
// replaced as it is.
func TestPasswordSignInOfWhoCannotBeToldApart(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(bob, bobsPassword)
	activate, reset := h.asked(alice, alicesPassword), h.forgot(bob)
	planted := h.signInCookie(newSigner(1))
	h.now = h.now.Add(6 * time.Minute)
	h.faults.breakDown("Session")
	h.knock(bob, bobsPassword, withCookie, planted...).refused(503, "unavailable")
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, activate), planted...).refused(503, "unavailable")
	h.reset(reset, newPassword, withCookie, planted...).refused(503, "unavailable")
	h.do("GET", "reset", "", planted...).refused(503, "unavailable")
	h.faults.repair()
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, activate), planted...).ok(new(signedInView))
	h.reset(reset, newPassword, withCookie, planted...).ok(new(signedInView))
}

// Programs that shut out clients who guess read one line of the log for each refused sign-in, whatever the method. What
// was typed is not in it.
func TestRefusedSignInsAreInTheLog(t *testing.T) {
	h := build(t, passwordsOn, passkeysOn)
	v := h.person(alice, alicesPassword)
	h.log.Reset()
	line := func(method, code string) string {
		return fmt.Sprintf(`level=WARN msg="sign-in refused" code=%s method=%s client=192.0.2.1`, code, method)
	}
	for _, c := range []struct{ route, body, method, code string }{
		{"password/sign-in", fmt.Sprintf(`{"email":"nobody@example.com","password":%q}`, alicesPassword), "password", "invalid_credentials"},
		{"password/activate", `{"key":"tramway-key"}`, "password", "registration_not_found"},
		{"password/reset", fmt.Sprintf(`{"key":"tramway-key","password":%q}`, newPassword), "password", "key_not_found"},
		{"step-up/password/sign-in", fmt.Sprintf(`{"password":%q}`, newPassword), "password", "invalid_credentials"},
		{"challenge/sign", solution(newSigner(1), "tramway message", ""), "wallet", "invalid_message"},
		{"authentication/response", `{"challengeID":"tramway-id","credential":{}}`, "passkey", "challenge_not_found"},
	} {
		h.log.Reset()
		var headers []string
		if strings.HasPrefix(c.route, "step-up/") {
			headers = v.bearer()
		}
		a := h.do("POST", c.route, c.body, headers...)
		if !strings.Contains(a.Body.String(), c.code) {
			t.Errorf("%s: %s", c.route, a.Body)
		}
		log := h.log.String()
		if n := strings.Count(log, "sign-in refused"); n != 1 || !strings.Contains(log, line(c.method, c.code)+"\n") {
			t.Errorf("%s: %s", c.route, log)
		}
		for _, secret := range []string{"tramway", "nobody", "quarry", "alice"} {
			if strings.Contains(log, secret) {
				t.Errorf("%s: the log has %q: %s", c.route, secret, log)
			}
		}
	}
	// Whoever is asked for more, or chooses another password, guesses nothing.
	h.log.Reset()
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, bob, bobsPassword)).accepted()
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"receipt":""}`, keyOf(h.mail(authcore.MailConfirm, bob)))).refused(403, "password_required")
	h.reset(h.forgot(alice), "short", "").refused(400, "weak_password")
	h.now = h.now.Add(10 * time.Second)
	h.knock(alice, alicesPassword, "").ok(new(signedInView))
	if strings.Contains(h.log.String(), "sign-in refused") {
		t.Errorf("%s", h.log)
	}
}
