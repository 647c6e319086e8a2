package gateway

import (
	"fmt"
	"testing"
	"time"
)

// skewed is another instance on the stores of h whose clock is ahead by skew.
func (h *house) skewed(skew time.Duration) *house {
	h.t.Helper()
	other := *h
	c := h.realm.RealmConfig
	now := c.Now
	c.Now, c.State = func() time.Time { return now().Add(skew) }, NewState()
	var err error
	if other.realm, err = NewRealm(c); err != nil {
		h.t.Fatal(err)
	}
	other.realm.State.born.Store(h.realm.State.born.Load() + int64(skew.Seconds()))
	if other.gateway, err = New(other.realm, h.gateway.site); err != nil {
		h.t.Fatal(err)
	}
	return &other
}

// The clock of one instance is wrong. Within a minute nobody notices. Beyond, its access tokens are not believed by others
// and theirs not by it, so that none lives longer than it should; browsers, whose sessions are in the store, are
// signed in on both all the same, and what ends on one ends on the other.
func TestClockOfOneInstanceIsWrong(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, -50 * time.Second, 50 * time.Second, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			a, _, w := instances(t)
			b := a.skewed(skew)
			b.realm.Listen(t.Context())
			within := skew.Abs() <= time.Minute
			for name, to := range map[string]struct{ from, at *house }{"right to wrong": {a, b}, "wrong to right": {b, a}} {
				program, browser := to.from.signInTokens(newSigner(1)), to.from.signInCookie(newSigner(2))
				if got := to.at.signedInAs(program.bearer()) != ""; got != within {
					t.Errorf("%s: a program is signed in: %v, want %v", name, got, within)
				}
				if to.at.signedInAs(browser) == "" {
					t.Errorf("%s: a browser is signed out", name)
				}
				if program.ExpiresIn <= 0 || program.ExpiresIn > 300 {
					t.Errorf("%s: expires_in %d", name, program.ExpiresIn)
				}
				// The program gets tokens that are good where it refreshes.
				var next signedInView
				to.at.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, program.RefreshToken)).ok(&next)
				if to.at.signedInAs(next.bearer()) == "" || next.ExpiresIn <= 0 || next.ExpiresIn > 300 {
					t.Errorf("%s: refreshed for %d s, and signed in as %q", name, next.ExpiresIn, to.at.signedInAs(next.bearer()))
				}
				to.at.do("POST", "sign-out", "", next.bearer()...)
				to.at.do("POST", "sign-out", "", browser...)
				for place, h := range map[string]*house{"right": a, "wrong": b} {
					if h.signedInAs(program.bearer()) != "" || h.signedInAs(next.bearer()) != "" || h.signedInAs(browser) != "" {
						t.Errorf("%s: signed in on the %s one after sign-out", name, place)
					}
				}
			}
			if len(w.to) != 3 {
				t.Errorf("%d listen", len(w.to))
			}
			// A token of the clock that is ahead lives as long as any, and no longer, also where the clock is put right.
			late := b.signInTokens(newSigner(3))
			a.now = a.now.Add(max(skew, 0) + a.realm.AccessToken)
			if a.signedInAs(late.bearer()) != "" || b.signedInAs(late.bearer()) != "" {
				t.Error("a token outlives its time")
			}
		})
	}
}

// A challenge counts once, whatever the clocks of the instances say; where they are right it lives no longer for one that is
// wrong.
func TestChallengesUnderWrongClocks(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, -30 * time.Second, 30 * time.Second, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			a, _, _ := instances(t)
			b := a.skewed(skew)
			me := newSigner(1)
			body := func(message string) string {
				return fmt.Sprintf(`{"challenge":%q,"signature":%q}`, message, me.sign(message))
			}
			message := a.challenge(me)
			first := b.do("POST", "challenge/sign", body(message)).Code
			if good := first == 200; good != (skew < time.Minute) {
				t.Errorf("answered %d", first)
			}
			if again := a.do("POST", "challenge/sign", body(message)).Code; again == 200 {
				t.Error("counts a second time")
			}
			message = b.challenge(me)
			a.now = a.now.Add(max(skew, 0) + time.Minute)
			if code := a.do("POST", "challenge/sign", body(message)).Code; code == 200 {
				t.Error("lives longer than a minute")
			}
		})
	}
}
