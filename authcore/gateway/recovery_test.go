package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// recoveryOf makes a recovery link as the operator does, and answers its key.
func (h *house) recoveryOf(userID string) string {
	h.t.Helper()
	base, err := h.realm.Base("")
	if err != nil {
		h.t.Fatal(err)
	}
	link, expires, err := h.realm.Recover(h.t.Context(), operator, userID, base)
	key, ok := strings.CutPrefix(link, home+"/auth/recover#")
	if err != nil || !ok || len(key) != 32 || !expires.Equal(h.now.Add(24*time.Hour)) {
		h.t.Fatalf("%q, %v, %v", link, expires, err)
	}
	return key
}

// recoverWallet goes through both parts of a recovery with a wallet.
func (h *house) recoverWallet(s signer, key string) answer {
	h.t.Helper()
	var asked struct{ ChallengeMessage string }
	h.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q}`, key, s.address())).ok(&asked)
	return h.do("POST", "recover/challenge/sign", fmt.Sprintf(`{"key":%q,"challenge":%q,"signature":%q}`, key, asked.ChallengeMessage, s.sign(asked.ChallengeMessage)))
}

func everyMethod(c *RealmConfig, s *Site) { passkeysOn(c, s); passwordsOn(c, s) }

func TestRecoverWithAWallet(t *testing.T) {
	h := build(t, everyMethod)
	lost, found := newSigner(1), newSigner(2)
	old := h.signInTokens(lost)
	elsewhere := h.signInCookie(lost)
	key := h.recoveryOf(old.User.ID)
	var about struct {
		Username string
		Methods  []authcore.Method
	}
	for range 2 { // looking spends nothing
		h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, key)).ok(&about)
	}
	// The account has no address, so it can have no password.
	if about.Username != old.User.Username || !slices.Equal(about.Methods, []authcore.Method{authcore.Passkey, authcore.Wallet}) {
		t.Errorf("%+v", about)
	}
	h.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":%q}`, key, newPassword)).refused(409, "email_required")
	var v signedInView
	h.recoverWallet(found, key).ok(&v)
	if v.User.ID != old.User.ID || len(v.User.Wallets) != 2 || !slices.Contains(v.User.Wallets, found.address()) {
		t.Errorf("%+v", v.User)
	}
	h.do("GET", "session", "", old.bearer()...).refused(401, "unauthenticated")
	if h.signedInAs(elsewhere) != "" {
		t.Error("a session of before goes on")
	}
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, key)).refused(404, "key_not_found")
	if again := h.signInTokens(found); again.User.ID != old.User.ID {
		t.Errorf("%+v", again.User)
	}
}

func TestRecoverWithAPasskey(t *testing.T) {
	h := build(t, everyMethod)
	old := h.signInTokens(newSigner(1))
	key := h.recoveryOf(old.User.ID)
	begun := h.begin("recover/registration/request", fmt.Sprintf(`{"key":%q}`, key))
	a := new(passkeytest.Authenticator)
	body := h.created(a, begun, fmt.Sprintf(`,"key":%q,"name":"new phone"`, key))
	var v signedInView
	h.do("POST", "recover/registration/response", body).ok(&v)
	if v.User.ID != old.User.ID || !slices.Equal(v.User.Methods, []authcore.Method{authcore.Passkey}) {
		t.Errorf("%+v", v.User)
	}
	h.do("GET", "session", "", old.bearer()...).refused(401, "unauthenticated")
	h.do("POST", "recover/registration/response", body).refused(404, "key_not_found")
	h.touch(a, `{}`, "").ok(&v)
	if v.User.ID != old.User.ID {
		t.Errorf("%+v", v.User)
	}
}

func TestRecoverWithAPassword(t *testing.T) {
	h := build(t, everyMethod)
	old := h.person(alice, alicesPassword)
	reset := h.forgot(alice)
	key := h.recoveryOf(old.User.ID)
	if m := h.mail(authcore.MailRecovery, alice); m.Link != "" || strings.Contains(fmt.Sprint(m), key) || m.Origin != home {
		t.Errorf("the mail is %+v", m)
	}
	h.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":"short"}`, key)).refused(400, "weak_password")
	var v signedInView
	h.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":%q}`, key, newPassword)).ok(&v)
	if v.User.ID != old.User.ID {
		t.Errorf("%+v", v.User)
	}
	h.mail(authcore.MailPasswordChanged, alice)
	h.do("GET", "session", "", old.bearer()...).refused(401, "unauthenticated")
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	h.knock(alice, newPassword, "").ok(&v)
	if got := h.logged(authcore.EventRecoveryUsed); !slices.Equal(got, []string{"recovery_used password"}) {
		t.Errorf("the audit log tells %q", got)
	}
	// A link that was mailed before is good no more.
	h.reset(reset, bobsPassword, "").refused(404, "key_not_found")
	h.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":%q}`, key, bobsPassword)).refused(404, "key_not_found")
}

// A new link makes the one before good for nothing, and each is good for a day.
func TestOneRecoveryAtATime(t *testing.T) {
	h := build(t, everyMethod)
	id := h.signInTokens(newSigner(1)).User.ID
	older, newer := h.recoveryOf(id), h.recoveryOf(id)
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, older)).refused(404, "key_not_found")
	h.now = h.now.Add(24*time.Hour - time.Second)
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, newer)).ok(&struct{}{})
	h.now = h.now.Add(time.Second)
	for _, route := range []string{"check", "registration/request", "registration/response", "challenge/create", "challenge/sign", "password"} {
		h.do("POST", "recover/"+route, fmt.Sprintf(`{"key":%q}`, newer)).refused(412, "key_expired")
		h.do("POST", "recover/"+route, `{"key":"guess"}`).refused(404, "key_not_found")
	}
}

// Many who hold the link use it at the same moment: one gets in.
func TestRacingRecoveries(t *testing.T) {
	h := build(t, everyMethod)
	id := h.signInTokens(newSigner(200)).User.ID
	for round := range 5 {
		key := h.recoveryOf(id)
		const many = 8
		requests, answers := make([]*http.Request, many), make([]answer, many)
		for i := range many {
			s := newSigner(byte(1 + round*many + i))
			var asked struct{ ChallengeMessage string }
			h.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q}`, key, s.address())).ok(&asked)
			requests[i] = h.request("POST", "recover/challenge/sign", fmt.Sprintf(`{"key":%q,"challenge":%q,"signature":%q}`, key, asked.ChallengeMessage, s.sign(asked.ChallengeMessage)))
			h.now = h.now.Add(10 * time.Second) // of the rate limit
		}
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { answers[i] = h.serveAsIs(requests[i]) })
		}
		all.Wait()
		won := 0
		for _, a := range answers {
			if a.Code == http.StatusOK {
				won++
			} else if a.Code != http.StatusNotFound && a.Code != http.StatusPreconditionFailed {
				t.Errorf("%d %s", a.Code, a.Body)
			}
		}
		c, err := h.store.Stores().Credentials.CredentialsOf(t.Context(), id)
		if won != 1 || err != nil || len(c) != 2+round {
			t.Fatalf("%d came in, %d credentials, %v", won, len(c), err)
		}
	}
}

// What a recovery asked for completes that recovery and nothing else: no sign-in, and not the recovery of somebody else.
func TestCeremoniesOfARecoveryAreItsOwn(t *testing.T) {
	h := build(t, everyMethod)
	one, two := h.signInTokens(newSigner(1)), h.signInTokens(newSigner(2))
	mine, theirs := h.recoveryOf(one.User.ID), h.recoveryOf(two.User.ID)
	s := newSigner(3)
	ask := func() string {
		var asked struct{ ChallengeMessage string }
		h.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q}`, mine, s.address())).ok(&asked)
		return asked.ChallengeMessage
	}
	sign := func(route, m, more string, headers ...string) answer {
		return h.do("POST", route, fmt.Sprintf(`{"challenge":%q,"signature":%q%s}`, m, s.sign(m), more), headers...)
	}
	sign("challenge/sign", ask(), "").refused(404, "challenge_not_found")
	sign("challenge/sign", ask(), "", one.bearer()...).refused(404, "challenge_not_found")
	sign("recover/challenge/sign", ask(), fmt.Sprintf(`,"key":%q`, theirs)).refused(404, "challenge_not_found")
	sign("recover/challenge/sign", h.challenge(s), fmt.Sprintf(`,"key":%q`, mine)).refused(404, "challenge_not_found")
	begin := func() begunView { return h.begin("recover/registration/request", fmt.Sprintf(`{"key":%q}`, mine)) }
	a := new(passkeytest.Authenticator)
	h.do("POST", "registration/response", h.created(a, begin(), "")).refused(400, "challenge_not_found")
	h.do("POST", "registration/response", h.created(a, begin(), ""), one.bearer()...).refused(400, "challenge_not_found")
	h.do("POST", "recover/registration/response", h.created(a, begin(), fmt.Sprintf(`,"key":%q`, theirs))).refused(400, "challenge_not_found")
	h.do("POST", "recover/registration/response", h.created(a, h.begin("registration/request", `{}`), fmt.Sprintf(`,"key":%q`, mine))).refused(400, "challenge_not_found")
}

// A wallet of somebody else, and an account that is disabled or gone.
func TestRecoveryRefuses(t *testing.T) {
	h := build(t, everyMethod)
	one := h.signInTokens(newSigner(1))
	h.signInTokens(newSigner(2))
	key := h.recoveryOf(one.User.ID)
	h.recoverWallet(newSigner(2), key).refused(409, "credential_in_use")
	var v signedInView
	h.recoverWallet(newSigner(1), key).ok(&v) // the wallet that was not lost after all
	key = h.recoveryOf(one.User.ID)
	h.disable(one.User.ID)
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, key)).refused(403, "account_disabled")
	if err := h.store.Stores().Users.DeleteUser(t.Context(), one.User.ID); err != nil {
		t.Fatal(err)
	}
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, key)).refused(404, "key_not_found")
}

func TestAdministratorsRecover(t *testing.T) {
	h := build(t, everyMethod)
	_, invite := h.invite(NewInvite{Roles: []string{AdminRole}})
	var admin signedInView
	h.come(newSigner(1), invite).ok(&admin)
	lost := h.signInTokens(newSigner(2))
	var made struct{ Link, Expires string }
	h.do("POST", "admin/users/"+lost.User.ID+"/recover", "", admin.bearer()...).ok(&made)
	_, key, _ := strings.Cut(made.Link, "#")
	if made.Link != home+"/auth/recover#"+key || made.Expires != "2026-11-22T12:00:00Z" {
		t.Errorf("%+v", made)
	}
	h.do("POST", "admin/users/nobody/recover", "", admin.bearer()...).refused(404, "user_not_found")
	var v signedInView
	h.recoverWallet(newSigner(3), key).ok(&v)
	if v.User.ID != lost.User.ID {
		t.Errorf("%+v", v.User)
	}
}

// Whoever makes a passkey chooses its id, and may choose that of somebody else's: it is no passkey of the account that is
// recovered, and the link stays good.
func TestRecoveryTakesNoCredentialOfOthers(t *testing.T) {
	h := build(t, everyMethod)
	one, two := h.signInTokens(newSigner(1)), h.signInTokens(newSigner(2))
	key := h.recoveryOf(one.User.ID)
	u, waiting, err := h.realm.recovering(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := h.store.Stores().Credentials.CredentialsOf(t.Context(), two.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	c := theirs[0]
	c.ID, c.UserID = "new", u.ID
	if err := h.realm.recovered(t.Context(), u, waiting, c, authcore.Trace{}); !errors.Is(err, authcore.ErrCredentialInUse) {
		t.Errorf("got %v", err)
	}
	h.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, key)).ok(&struct{}{})
	h.do("GET", "session", "", one.bearer()...).ok(&struct{}{})
}
