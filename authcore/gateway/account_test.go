package gateway

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

func invited(c *RealmConfig, _ *Site) { c.OpenRegistration = false }

func TestRegistrationClosed(t *testing.T) {
	h := build(t, invited)
	s := newSigner(1)
	h.present(s, "").refused(403, "registration_closed")
	h.present(s, `,"invite":"agi_whatever"`).refused(404, "invite_not_found")
	if _, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, s.address()); err == nil {
		t.Error("an account was opened")
	}
}

func TestGrantedWalletMayRegister(t *testing.T) {
	s := newSigner(1)
	h := build(t, invited, func(c *RealmConfig, _ *Site) { c.Grants = []Grant{{Role: "admin", To: []string{s.address()}}} })
	if u := h.signInTokens(s).User; !slices.Equal(u.Roles, []string{"admin"}) {
		t.Errorf("user: %+v", u)
	}
	h.present(newSigner(2), "").refused(403, "registration_closed")
}

func TestWhoHasAnAccountSignsInWhereRegistrationIsClosed(t *testing.T) {
	h := build(t)
	before := h.signInTokens(newSigner(1)).User.ID
	h.realm.OpenRegistration = false
	if h.signInTokens(newSigner(1)).User.ID != before {
		t.Error("another account")
	}
}

// Two tabs, two first sign-ins with the same wallet at the same moment: one account, and both are in it.
func TestFirstSignInsAtOnceOpenOneAccount(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	s := newSigner(1)
	bodies := make([]string, 20)
	for i := range bodies {
		bodies[i] = solution(s, h.challenge(s), "")
	}
	answers := make([]answer, len(bodies))
	var wg sync.WaitGroup
	for i, body := range bodies {
		wg.Go(func() { answers[i] = h.do("POST", "challenge/sign", body) })
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, a := range answers {
		var v signedInView
		a.ok(&v)
		ids[v.User.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("accounts: %v", ids)
	}
}

// Between the look for a credential and the opening of an account somebody else, on another instance, opens one with it.
func TestSomebodyElseWasFirst(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	h.faults.before("Transact", func() error {
		h.faults.repair()
		return h.store.CreateUser(t.Context(), authcore.User{ID: "first", Username: "alice"},
			authcore.Credential{ID: "c", UserID: "first", Kind: authcore.Wallet, Key: s.address()})
	})
	if u := h.signInTokens(s).User; u.ID != "first" {
		t.Errorf("user: %+v", u)
	}
}

func TestUseOfACredentialThatChangesMeanwhile(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	h.signInTokens(s)
	// Another sign-in has just noted its use: that is no reason to refuse this one.
	h.faults.before("UpdateCredential", func() error { return authcore.ErrConflict })
	h.signInTokens(s)
	// Its owner has just unlinked it: from then on it opens nothing.
	h.faults.before("UpdateCredential", func() error { return authcore.ErrCredentialNotFound })
	h.present(s, "").refused(403, "registration_closed")
}

func TestDisabledUserCannotSignIn(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	tokens := h.signInTokens(s)
	h.disable(tokens.User.ID)
	h.present(s, "").refused(403, "account_disabled")
	h.present(s, `,"session":"cookie"`).refused(403, "account_disabled")
}

func (h *house) disable(id string) {
	h.t.Helper()
	u, err := h.store.User(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	u.Disabled = true
	if err := h.store.UpdateUser(h.t.Context(), u); err != nil {
		h.t.Fatal(err)
	}
}

// The name of a deleted account is never given again; its owner is let in all the same, as somebody new.
func TestWalletOfADeletedAccountOpensAnotherOne(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	before := h.signInTokens(s).User
	if err := h.store.DeleteUser(t.Context(), before.ID); err != nil {
		t.Fatal(err)
	}
	after := h.signInTokens(s).User
	if after.ID == before.ID || after.Username == before.Username {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if again := h.signInTokens(s).User; again.ID != after.ID {
		t.Errorf("the second time %+v", again)
	}
}

func TestSignInNotesTheUseOfTheCredential(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	h.signInTokens(s)
	h.now = h.now.Add(time.Hour)
	h.signInTokens(s)
	c, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, s.address())
	if err != nil || !c.LastUsed.Equal(h.now) || !c.Created.Equal(h.now.Add(-time.Hour)) {
		t.Errorf("credential = %+v, %v", c, err)
	}
}

func TestLinkAWallet(t *testing.T) {
	h := build(t, invited, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: "staff", To: []string{newSigner(1).address()}}}
	})
	first, second := newSigner(1), newSigner(2)
	cookie := h.signInCookie(first)
	owner := h.signedInAs(cookie)
	var got signedInView
	h.present(second, "", cookie...).ok(&got)
	wallets := got.User.Wallets
	if slices.Sort(wallets); got.User.ID != owner || len(wallets) != 2 {
		t.Errorf("user: %+v", got.User)
	}
	if u := h.signInTokens(second).User; u.ID != owner || !slices.Equal(u.Roles, []string{"staff"}) {
		t.Errorf("signed in with the linked wallet: %+v", u)
	}
}

// A browser is left open, and somebody walks up to link a wallet of his own and keep the account for good.
func TestLinkingNeedsAFreshSignIn(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	h.now = h.now.Add(5 * time.Minute)
	h.present(newSigner(2), "", cookie...).refused(401, "step_up_required")
	// The same wallet is nothing new, and makes the session fresh.
	fresh := h.signInCookie(newSigner(1), cookie...)
	h.present(newSigner(2), "", fresh...).ok(new(signedInView))
}

// A wallet that is linked already moves to no other account, not even by its owner's signature: he may have been led to
// sign (sign-in CSRF), and would find himself in an account that somebody else reads.
func TestWalletOfSomebodyElseIsNotLinked(t *testing.T) {
	h := build(t)
	owner := h.signInTokens(newSigner(1)).User.ID
	other := h.signInTokens(newSigner(2))
	h.present(newSigner(1), "", other.bearer()...).refused(409, "credential_in_use")
	if h.signInTokens(newSigner(1)).User.ID != owner {
		t.Error("the wallet changed its account")
	}
}

func TestDisabledUserCannotLink(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	h.disable(tokens.User.ID)
	h.present(newSigner(2), "", tokens.bearer()...).refused(403, "account_disabled")
	if _, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, newSigner(2).address()); err == nil {
		t.Error("the wallet was linked")
	}
}

func TestDeletedUserCannotLink(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	m := h.challenge(newSigner(2), tokens.bearer()...)
	if err := h.store.DeleteUser(t.Context(), tokens.User.ID); err != nil {
		t.Fatal(err)
	}
	h.do("POST", "challenge/sign", solution(newSigner(2), m, ""), tokens.bearer()...).refused(401, "unauthenticated")
}

// Somebody is an administrator by the configuration and stays one after that was taken back: an access token says it, and
// the process that reads the token is another one, or tried in vain to load the new configuration before.
func TestGrantTakenBackIsVoidAtOnce(t *testing.T) {
	admin, other := newSigner(1), newSigner(2)
	granted := func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{admin.address()}}}
		s.Rules = []policy.Rule{{Roles: []string{"admin"}, Paths: []string{"/reports"}}}
	}
	nobody := func(c *RealmConfig, s *Site) {
		granted(c, s)
		c.Grants[0].To = []string{other.address()}
	}
	// load is the realm and site of another configuration on the stores of h, after which sign-ins are tried there.
	load := func(h *house, state *State, change func(*RealmConfig, *Site)) *house {
		t.Helper()
		c, s := h.realm.RealmConfig, Site{Origin: home, Pages: plainPages{}}
		c.State = state
		change(&c, &s)
		realm, err := NewRealm(c)
		if err != nil {
			t.Fatal(err)
		}
		next := *h
		next.realm = realm
		return next.neighbour(s)
	}
	reach := func(h *house, headers []string) int {
		r := h.request("GET", "", "", headers...)
		r.URL.Path = "/reports"
		return h.serve(r).Code
	}
	for _, tt := range []struct {
		name string
		load func(*house) *house
	}{
		{"reload", func(h *house) *house { return load(h, h.realm.State, nobody) }},
		{"reload that failed once", func(h *house) *house {
			load(h, h.realm.State, nobody) // something else in it was wrong
			h.now = h.now.Add(2 * time.Second)
			return nil
		}},
		{"restart", func(h *house) *house { return load(h, NewState(), nobody) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, granted)
			next := tt.load(h)
			program, browser := h.signInTokens(admin).bearer(), h.signInCookie(admin)
			if reach(h, program) != http.StatusTeapot || reach(h, browser) != http.StatusTeapot {
				t.Fatal("the grant does not count")
			}
			if next == nil {
				next = load(h, h.realm.State, nobody)
			} else {
				h.now = h.now.Add(2 * time.Second)
			}
			if got := reach(next, program); got != http.StatusUnauthorized {
				t.Errorf("bearer: answered %d", got)
			}
			if got := reach(next, browser); got != http.StatusForbidden {
				t.Errorf("cookie: answered %d", got)
			}
			// Who signs in right now gets what counts right now.
			back := load(next, next.realm.State, granted)
			if got := reach(back, back.signInTokens(admin).bearer()); got != http.StatusTeapot {
				t.Errorf("granted again: answered %d", got)
			}
		})
	}
}
