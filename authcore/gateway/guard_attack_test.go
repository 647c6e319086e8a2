package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// changeSessions changes the open sessions of a user in the store only, as other instances do.
func (o *office) changeSessions(userID string, change func(*authcore.Session)) {
	o.t.Helper()
	sessions := o.store.Stores().Sessions
	open, err := sessions.SessionsOf(o.t.Context(), userID, o.now)
	if err != nil || len(open) == 0 {
		o.t.Fatal(open, err)
	}
	for _, s := range open {
		change(&s)
		if err := sessions.UpdateSession(o.t.Context(), s); err != nil {
			o.t.Fatal(err)
		}
	}
}

// The token is good, but by the store its session has run out, or is of another site.
func TestAdministrationLooksAtTheSession(t *testing.T) {
	for name, change := range map[string]func(o *office, s *authcore.Session){
		"run out":         func(o *office, s *authcore.Session) { s.IdleUntil = o.now.Add(-time.Second) },
		"of another site": func(_ *office, s *authcore.Session) { s.Origin = "https://other.example" },
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t)
			o.do("GET", "admin/users", "", o.asBoss...).ok(new(any))
			o.changeSessions(o.bossID, func(s *authcore.Session) { change(o, s) })
			o.do("GET", "admin/users", "", o.asBoss...).refused(401, "unauthenticated")
		})
	}
}

// The session runs out, or who is an administrator by what a wallet holds is disabled, while the body is on its way.
func TestWhatChangesWhileABodyArrives(t *testing.T) {
	o := openOffice(t)
	o.faults.before("Transact", func() error {
		o.changeSessions(o.bossID, func(s *authcore.Session) { s.IdleUntil = o.now.Add(-time.Second) })
		o.faults.before("Transact", func() error { return nil })
		return nil
	})
	o.do("POST", "admin/invites", `{}`, o.asBoss...).refused(401, "unauthenticated")

	l := newLedger(t)
	boss := newSigner(7)
	l.set(boss, true)
	h := build(t, grantedBy(t, l, false), func(c *RealmConfig, _ *Site) { c.Grants[0].Role = AdminRole })
	v := h.signInTokens(boss)
	h.faults.before("Transact", func() error {
		u, err := h.store.Stores().Users.User(t.Context(), v.User.ID)
		if err == nil && !u.Disabled {
			u.Disabled = true
			err = h.store.Stores().Users.UpdateUser(t.Context(), u)
		}
		return err
	})
	h.do("POST", "admin/invites", `{}`, v.bearer()...).refused(403, "forbidden")
}

// The only other administrator has no way to sign in that is on: whoever can must stay. And of the ways to sign in of
// somebody the last that is on stays.
func TestWaysToSignInThatAreOffDoNotCount(t *testing.T) {
	o := openOffice(t)
	off := func(userID string) authcore.Credential {
		return authcore.Credential{ID: "off-" + userID, UserID: userID, Kind: authcore.Password, Key: userID, Created: o.now}
	}
	half := authcore.User{ID: "half", Username: "half", Roles: []string{AdminRole}, Created: o.now}
	if err := o.store.Stores().Users.CreateUser(t.Context(), half, off("half")); err != nil {
		t.Fatal(err)
	}
	if err := o.realm.Disable(t.Context(), operator, o.bossID, false); !errors.Is(err, ErrLastAdministrator) {
		t.Errorf("got error %v", err)
	}
	credentials := o.store.Stores().Credentials
	all, err := credentials.CredentialsOf(t.Context(), o.otherID)
	if err == nil {
		err = credentials.AddCredential(t.Context(), off(o.otherID))
	}
	if err != nil {
		t.Fatal(err)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/credentials/"+all[0].ID, "", o.asBoss...).refused(409, "last_credential")
}

// A wallet is taken away to which a role was granted: tokens of before tell of both.
func TestRemovedWalletTakesItsRoleAtOnce(t *testing.T) {
	second := newSigner(5)
	o := openOffice(t, func(c *RealmConfig, _ *Site) {
		c.Grants = append(c.Grants, Grant{Role: "editor", To: []string{second.address()}})
	})
	o.present(second, "", o.asOther...).ok(new(signedInView))
	o.now = o.now.Add(2 * time.Second)
	as := o.signInTokens(o.other).bearer()
	if got := o.reaches("/edit/x", as); got != http.StatusTeapot {
		t.Fatalf("answered %d", got)
	}
	c, err := o.store.Stores().Credentials.CredentialByKey(t.Context(), authcore.Wallet, second.address())
	if err != nil {
		t.Fatal(err)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/credentials/"+c.ID, "", o.asBoss...).done()
	if got := o.reaches("/edit/x", as); got == http.StatusTeapot {
		t.Error("the role still opens what it opened")
	}
}

// Backends know people by their usernames: a token with the one of before counts no more.
func TestRenamedUserHasNoTokenOfBefore(t *testing.T) {
	o := openOffice(t)
	o.do("PATCH", "profile", `{"username":"ann"}`, o.asOther...).ok(new(any))
	if got := o.reaches("/reports", o.asOther); got != http.StatusUnauthorized {
		t.Errorf("answered %d", got)
	}
}

// The session ended on another instance, of which this one has not heard: the token opens nothing of the account.
func TestOwnAccountLooksAtTheStore(t *testing.T) {
	o := openOffice(t)
	o.now = o.now.Add(time.Second)
	as := o.signInTokens(o.other).bearer()
	there := o.signInTokens(o.other)
	open, err := o.store.Stores().Sessions.SessionsOf(t.Context(), o.otherID, o.now)
	if err != nil {
		t.Fatal(err)
	}
	var mine struct{ Session sessionView }
	o.do("GET", "session", "", as...).ok(&mine)
	if err := o.store.Stores().Sessions.EndSession(t.Context(), mine.Session.ID); err != nil {
		t.Fatal(err)
	}
	for _, one := range [][3]string{
		{"GET", "sessions", ""},
		{"DELETE", "sessions", ""},
		{"DELETE", "sessions/" + open[0].ID, ""},
		{"PATCH", "profile", `{"name":"Mallory"}`},
		{"PATCH", "profile", `{"username":"mallory"}`},
		{"GET", "events", ""},
	} {
		o.do(one[0], one[1], one[2], as...).refused(401, "unauthenticated")
	}
	if got := o.reaches("/reports", there.bearer()); got != http.StatusTeapot {
		t.Errorf("another session ended: %d", got)
	}
}

// waiting stores what is mailed or handed out to change how somebody signs in, and answers which of it is there still.
func (h *house) waiting(userID string) (still func() []authcore.ConfirmationPurpose) {
	h.t.Helper()
	all := []authcore.ConfirmationPurpose{authcore.ConfirmReset, authcore.ConfirmEmail, authcore.ConfirmRecovery}
	confirmations := h.store.Stores().Confirmations
	hash := func(p authcore.ConfirmationPurpose) [32]byte {
		return authcore.HashSecret("key of " + string(p) + userID)
	}
	for _, p := range all[:2] {
		c := authcore.Confirmation{KeyHash: hash(p), Purpose: p, Subject: userID, Data: []byte("{}"), Created: h.now, Expires: h.now.Add(time.Hour)}
		if err := confirmations.ReplaceConfirmation(h.t.Context(), c); err != nil {
			h.t.Fatal(err)
		}
	}
	recovery := authcore.HashSecret(h.recoveryOf(userID))
	return func() (left []authcore.ConfirmationPurpose) {
		for _, p := range all {
			key := hash(p)
			if p == authcore.ConfirmRecovery {
				key = recovery
			}
			if _, err := confirmations.Confirmation(h.t.Context(), p, key); err == nil {
				left = append(left, p)
			}
		}
		return left
	}
}

// Who was disabled, and is enabled again later, or deleted, must find nothing that was handed out before.
func TestDisabledUsersHaveNoLinksLeft(t *testing.T) {
	o := openOffice(t)
	still := o.waiting(o.otherID)
	if got := still(); len(got) != 3 {
		t.Fatalf("%q", got)
	}
	o.do("POST", "admin/users/"+o.otherID+"/disable", "", o.asBoss...).done()
	if got := still(); len(got) > 0 {
		t.Errorf("after it was disabled there is %q", got)
	}
	o.do("POST", "admin/users/"+o.otherID+"/enable", "", o.asBoss...).done()
	still = o.waiting(o.otherID)
	o.do("DELETE", "admin/users/"+o.otherID, "", o.asBoss...).done()
	if got := still(); len(got) > 0 {
		t.Errorf("after it was deleted there is %q", got)
	}
}

// Whoever had the mailbox, or the session, before the recovery has asked for a key: it is good no more. And the link is
// spent by somebody else between the check and the change.
func TestRecoveryLeavesNothingThatWasAskedForBefore(t *testing.T) {
	o := openOffice(t)
	still := o.waiting(o.otherID)
	key := o.recoveryOf(o.otherID)
	o.recoverWallet(newSigner(6), key).ok(new(signedInView))
	if got := still(); len(got) > 0 {
		t.Errorf("there is %q", got)
	}
	key = o.recoveryOf(o.otherID)
	message := ""
	{
		var asked struct{ ChallengeMessage string }
		o.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q}`, key, newSigner(9).address())).ok(&asked)
		message = asked.ChallengeMessage
	}
	o.faults.before("Transact", func() error {
		_, _ = o.store.Stores().Confirmations.ConsumeConfirmation(t.Context(), authcore.ConfirmRecovery, authcore.HashSecret(key), o.now)
		return nil
	})
	o.do("POST", "recover/challenge/sign", fmt.Sprintf(`{"key":%q,"challenge":%q,"signature":%q}`, key, message, newSigner(9).sign(message))).refused(404, "key_not_found")
	if _, err := o.store.Stores().Credentials.CredentialByKey(t.Context(), authcore.Wallet, newSigner(9).address()); err == nil {
		t.Error("the wallet is linked all the same")
	}
}

// More roles than anybody needs, and questions about the log that no page asks.
func TestInvitesAndQuestionsAreBounded(t *testing.T) {
	o := openOffice(t)
	roles := make([]string, mostRoles+1)
	for i := range roles {
		roles[i] = `"r` + strconv.Itoa(i) + `"`
	}
	o.do("POST", "admin/invites", `{"roles":[`+strings.Join(roles, ",")+`]}`, o.asBoss...).refused(400, "invalid_invite")
	o.do("GET", "admin/events?"+strings.Repeat("kind=sign_in&", 51), "", o.asBoss...).refused(400, "invalid_request")
}

// A flood of refused sign-ins comes from everywhere: what is written of one minute is bounded all the same.
func TestRefusalsFromEverywhereAreBounded(t *testing.T) {
	var r refusals
	now := time.Unix(1e9, 0)
	wrote := 0
	for i := range 3 * refusalsInAll {
		if write, _ := r.count(refusalKey{client: strconv.Itoa(i)}, refusal{}, now); write {
			wrote++
		}
	}
	if wrote != refusalsInAll || r.beyond != 2*refusalsInAll || len(r.kinds) > refusalsInAll || len(r.client) > refusalsInAll {
		t.Errorf("wrote %d, %d beyond, %d kinds, %d clients", wrote, r.beyond, len(r.kinds), len(r.client))
	}
	_, past := r.count(refusalKey{client: "later"}, refusal{}, now.Add(refusalWindow))
	if past == nil || past.beyond != 2*refusalsInAll {
		t.Error("what was beyond is forgotten")
	}
}

// endElsewhere ends the open sessions of a user in the store only, as other instances do.
func (h *house) endElsewhere(userID string) {
	h.t.Helper()
	open, err := h.store.SessionsOf(h.t.Context(), userID, h.now)
	if err != nil || len(open) == 0 {
		h.t.Fatal(open, err)
	}
	for _, s := range open {
		if err := h.store.EndSession(h.t.Context(), s.ID); err != nil {
			h.t.Fatal(err)
		}
	}
}

// The session ended on another instance, of which this one has not heard. A spelling of the path that also reads as one
// below another rule let the access token count, and what came back went into shared caches.
func TestAttackStrictRuleUnderAnotherSpelling(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Anyone: true, Paths: []string{"/public/*"}},
			{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
		}
	})
	me := h.signInCookie(newSigner(1))
	id := h.signedInAs(me)
	get := func(target string) answer {
		r := h.request("GET", "", "", me...)
		u, err := url.ParseRequestURI(home + target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, target
		return h.serve(r)
	}
	if a := get("/public/x"); a.Code != http.StatusTeapot || a.Header().Get("Cache-Control") != "" {
		t.Errorf("what is for everybody: answered %d, Cache-Control %q", a.Code, a.Header().Get("Cache-Control"))
	}
	if a := get("/public/..%2fx"); a.Code != http.StatusTeapot || a.Header().Get("Cache-Control") != "private" {
		t.Errorf("answered %d, Cache-Control %q", a.Code, a.Header().Get("Cache-Control"))
	}
	spellings := []string{
		"/strict/x", "/public/..%2fstrict/x", "/public/%2e%2e/strict/x", "/public/..;/strict/x", "//h/strict/x", "/x/%2e%2e/strict/y", "/strict/..%2fpublic/x",
	}
	for _, target := range spellings {
		if a := get(target); a.Code != http.StatusTeapot {
			t.Errorf("%s: answered %d while the session lives", target, a.Code)
		}
	}
	h.endElsewhere(id)
	for _, target := range spellings {
		get(target).refused(401, "unauthenticated")
	}
	if a := get("/public/x"); a.Code != http.StatusTeapot {
		t.Errorf("another rule asks the store: %d", a.Code)
	}
}
