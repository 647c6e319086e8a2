package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A recovery link was used with a contract wallet, which then gets another owner: the session of the recovery ends as that
// of any sign-in with it does. What a contract is asked on behalf of a client counts against that client.
func TestRecoveryWithAContractIsAskedAgain(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	key := h.recoveryOf(h.signInTokens(newSigner(3)).User.ID)
	var asked struct{ ChallengeMessage string }
	h.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q,"chainId":10}`, key, strings.ToLower(safe))).ok(&asked)
	body := fmt.Sprintf(`{"key":%q,"session":"cookie","challenge":%q,"signature":%q}`, key, asked.ChallengeMessage, newSigner(1).sign(asked.ChallengeMessage))
	pair, _ := h.do("POST", "recover/challenge/sign", body).ok(new(signedInView)).cookie()
	if h.signedInAs([]string{"Cookie", pair}) == "" {
		t.Fatal("not signed in")
	}
	c.own(safe, newSigner(2))
	h.now = h.now.Add(61 * time.Minute)
	if h.signedInAs([]string{"Cookie", pair}) != "" {
		t.Error("who is no owner any more goes on")
	}
}

// A role is taken away, or the user disabled, between the moment at which a sign-in or renewal reads the account and the one
// at which it signs the token: a chain that is slow to answer makes that seconds. The token must not tell of the role.
func TestRoleTakenAwayWhileATokenIsMade(t *testing.T) {
	o := openOffice(t)
	if _, err := o.realm.GrantRole(t.Context(), operator, o.otherID, "editor"); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(5 * time.Second)
	done := false
	o.faults.before("CredentialsOf", func() error {
		if done {
			return nil
		}
		done = true
		if err := o.realm.RevokeRole(t.Context(), operator, o.otherID, "editor", false); err != nil {
			t.Error(err)
		}
		o.now = o.now.Add(2 * time.Second) // and the rest takes a while
		return nil
	})
	v := o.signInTokens(o.other)
	if !done {
		t.Fatal("nothing was taken away")
	}
	if got := o.reaches("/edit/x", v.bearer()); got == http.StatusTeapot {
		t.Error("the role still opens what it opened")
	}
	var again signedInView
	o.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, v.RefreshToken)).ok(&again)
	if got := o.reaches("/reports", again.bearer()); got != http.StatusTeapot {
		t.Errorf("signed out: %d", got)
	}
	if got := o.reaches("/edit/x", again.bearer()); got != http.StatusForbidden {
		t.Errorf("answered %d", got)
	}
}
