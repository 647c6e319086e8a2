package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func refresh(t testing.TB, s *Sessions, token string) string {
	t.Helper()
	_, next, err := s.Refreshed(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// invalid says that a token is refused, and whether its session is ended by that.
func invalid(t *testing.T, s *Sessions, token string, reused bool) {
	t.Helper()
	got, next, err := s.Refreshed(t.Context(), token)
	if !errors.Is(err, ErrInvalidGrant) || next != "" || got.ID != "" {
		t.Errorf("Refreshed = %+v, %q, %v; want %v", got, next, err, ErrInvalidGrant)
	}
	if errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("Refreshed: a verdict and none: %v", err)
	}
	if errors.Is(err, ErrReused) != reused {
		t.Errorf("Refreshed: %v; reused: %v", err, reused)
	}
}

func TestRefreshRotates(t *testing.T) {
	s, store, c := setup(t)
	opened, first := open(t, s, false)
	token, seen := first, map[string]bool{first: true}
	for range 5 {
		c.move(time.Hour)
		got, next, err := s.Refreshed(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if seen[next] || len(next) != 90 {
			t.Fatalf("successor %q", next)
		}
		if got.ID != opened.ID || !got.LastSeen.Equal(c.Now()) || !got.IdleUntil.Equal(c.Now().Add(24*time.Hour)) || !got.Until.Equal(opened.Until) {
			t.Errorf("session %+v", got)
		}
		if stored, err := store.Session(t.Context(), got.ID); err != nil || !reflect.DeepEqual(stored, got) {
			t.Errorf("stored %+v, %v", stored, err)
		}
		if id, ok := s.SessionID(next); !ok || id != opened.ID {
			t.Errorf("SessionID = %q, %v", id, ok)
		}
		token, seen[next] = next, true
	}
}

// A stolen refresh token is used after its owner used it: whoever comes second, thief or owner, ends the family, and
// neither goes on with what they have (RFC 9700 section 4.14.2).
func TestStolenTokenEndsTheFamily(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // of the first use
		older bool          // not the token just spent but the one before
	}{
		{"spent more than ten seconds ago", 10 * time.Second, false},
		{"spent long ago", time.Hour, false},
		{"older one, at once", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, store, c := setup(t)
			opened, stolen := open(t, s, false)
			_, bystander := open(t, s, false)
			current := refresh(t, s, stolen)
			if tt.older {
				current = refresh(t, s, current)
			}
			c.move(tt.after)
			invalid(t, s, stolen, true)
			if _, err := store.Session(t.Context(), opened.ID); !errors.Is(err, authcore.ErrSessionNotFound) {
				t.Errorf("the session is still there: %v", err)
			}
			invalid(t, s, current, false)
			invalid(t, s, stolen, false)
			refresh(t, s, bystander)
		})
	}
}

// The answer was lost, by a crash between commit and answer or on the way: the client tries the same token again and gets
// the same successor, from this instance or another one.
func TestLostAnswer(t *testing.T) {
	s, store, c := setup(t)
	opened, token := open(t, s, false)
	c.move(time.Hour)
	store.updateFails = errDown // it was written, and nobody knows
	_, next, err := s.Refreshed(t.Context(), token)
	if !errors.Is(err, authcore.ErrUnavailable) || next != "" {
		t.Fatalf("%q, %v", next, err)
	}
	store.updateFails = nil
	restarted := instance(store, c)
	c.move(5 * time.Second)
	again := refresh(t, restarted, token)
	c.move(5*time.Second - time.Microsecond)
	if same := refresh(t, s, token); same != again {
		t.Errorf("successors %q and %q", again, same)
	}
	stored, err := store.Session(t.Context(), opened.ID)
	if err != nil || !stored.IdleUntil.Equal(start.Add(25*time.Hour)) {
		t.Errorf("trying again moved the session on: %+v, %v", stored, err)
	}
	c.move(time.Hour)
	refresh(t, s, again)
}

// Twenty tabs refresh with one token at once, over several instances: one lineage, nobody is signed out.
func TestTwentyTabsAtOnce(t *testing.T) {
	for range 20 {
		s, store, c := setup(t)
		_, token := open(t, s, false)
		c.move(time.Hour)
		var (
			wg   sync.WaitGroup
			next [20]string
		)
		for n := range next {
			i := instance(store.Sessions, c)
			wg.Go(func() {
				_, answer, err := i.Refreshed(context.Background(), token)
				if err != nil {
					t.Error(err)
				}
				next[n] = answer
			})
		}
		wg.Wait()
		for _, n := range next {
			if n != next[0] {
				t.Fatalf("two successors: %q and %q", n, next[0])
			}
		}
		c.move(time.Hour)
		refresh(t, s, next[0])
	}
}

// Somebody who only knows the id of a session, which is public, cannot end it by showing a made-up token.
func TestWrongFamilyEndsNothing(t *testing.T) {
	s, _, c := setup(t)
	_, token := open(t, s, false)
	_, other := open(t, s, false)
	raw, foreign := mustDecode(t, token), mustDecode(t, other)
	next := refresh(t, s, token)
	c.move(time.Hour)
	invalid(t, s, "agr_"+encode(raw[:16], make([]byte, 48)), false)
	invalid(t, s, "agr_"+encode(raw[:16], foreign[16:]), false)
	invalid(t, s, "agr_"+encode(raw[:16], make([]byte, 16), raw[32:]), false)
	invalid(t, s, "agr_"+encode(raw[:16], foreign[16:32], mustDecode(t, next)[32:]), false)
	refresh(t, s, next)
}

// A token of the right family that never was: made from an old one, it shows that an old one leaked.
func TestMadeUpTokenOfTheFamilyEndsIt(t *testing.T) {
	s, _, _ := setup(t)
	_, token := open(t, s, false)
	raw := mustDecode(t, token)
	invalid(t, s, "agr_"+encode(raw[:32], make([]byte, 32)), true)
	invalid(t, s, token, false)
}

// From the successor and all that is stored the token before cannot be told, and from what is stored alone no successor:
// the salt is new each time.
func TestSaltIsNewEachTime(t *testing.T) {
	s, _, c := setup(t)
	_, token := open(t, s, false)
	seen := map[[32]byte]bool{{}: true}
	for range 5 {
		c.move(time.Minute)
		got, next, err := s.Refreshed(t.Context(), token)
		if err != nil || seen[got.Refresh.Salt] {
			t.Fatalf("salt %x, %v", got.Refresh.Salt, err)
		}
		seen[got.Refresh.Salt], token = true, next
	}
}

// The successor is derived from the token, which the store does not have, and the salt, which the client does not have.
func TestSuccessorNeedsTokenAndSalt(t *testing.T) {
	s, _, _ := setup(t)
	_, token := open(t, s, false)
	got, next, err := s.Refreshed(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	raw := mustDecode(t, token)
	mac := hmac.New(sha256.New, got.Refresh.Salt[:])
	mac.Write(raw[32:])
	if want := "agr_" + encode(raw[:32], mac.Sum(nil)); next != want {
		t.Errorf("successor %q, want %q", next, want)
	}
}

// Refresh tokens live 24 hours from each refresh, and no longer than the session.
func TestRefreshTokenExpires(t *testing.T) {
	t.Run("unused", func(t *testing.T) {
		s, store, c := setup(t)
		opened, token := open(t, s, false)
		c.move(24*time.Hour - time.Microsecond)
		token = refresh(t, s, token)
		c.move(24 * time.Hour)
		invalid(t, s, token, false)
		if _, err := store.Session(t.Context(), opened.ID); err != nil {
			t.Errorf("expired is not reused: %v", err)
		}
	})
	t.Run("absolute", func(t *testing.T) {
		s, _, c := setup(t)
		opened, token := open(t, s, false)
		for c.move(23 * time.Hour); c.Now().Before(opened.Until); c.move(23 * time.Hour) {
			got, next, err := s.Refreshed(t.Context(), token)
			if err != nil || got.IdleUntil.After(opened.Until) {
				t.Fatalf("%v: %+v, %v", c.Now(), got, err)
			}
			token = next
		}
		invalid(t, s, token, false)
	})
	t.Run("in the grace of ten seconds", func(t *testing.T) {
		s, _, c := setup(t)
		s.Absolute = time.Hour
		_, token := open(t, s, false)
		c.move(time.Hour - time.Second)
		refresh(t, s, token)
		c.move(time.Second)
		invalid(t, s, token, false)
	})
	t.Run("configured", func(t *testing.T) {
		s, _, _ := setup(t)
		s.Refresh, s.Idle = time.Hour, time.Minute
		if opened, _ := open(t, s, false); !opened.IdleUntil.Equal(start.Add(time.Hour)) {
			t.Errorf("opened %+v", opened)
		}
	})
}

// The session is ended while a refresh is on its way: the refresh fails, the session does not come back.
func TestRefreshOfEndedSession(t *testing.T) {
	s, store, c := setup(t)
	opened, token := open(t, s, false)
	c.move(time.Minute)
	store.beforeUpdate = func() {
		if err := s.End(t.Context(), opened.ID); err != nil {
			t.Error(err)
		}
	}
	invalid(t, s, token, false)
	invalid(t, s, token, false)
}

// A step-up between read and write is no reason to lose it, or to fail.
func TestRefreshKeepsStepUp(t *testing.T) {
	s, store, c := setup(t)
	opened, token := open(t, s, false)
	c.move(time.Minute)
	store.beforeUpdate = func() {
		if _, err := s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Passkey}); err != nil {
			t.Error(err)
		}
	}
	got, next, err := s.Refreshed(t.Context(), token)
	if err != nil || len(got.Methods) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	refresh(t, s, next)
}

// Reuse was seen and the store goes down before the family is ended: nobody is told that it was, and the next use ends it.
func TestReuseWhileStoreIsDown(t *testing.T) {
	s, store, c := setup(t)
	_, stolen := open(t, s, false)
	current := refresh(t, s, stolen)
	c.move(time.Minute)
	failing := &endFails{shaky: store}
	_, _, err := instance(failing, c).Refreshed(t.Context(), stolen)
	if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, ErrInvalidGrant) {
		t.Errorf("error %v", err)
	}
	invalid(t, s, stolen, true)
	invalid(t, s, current, false)
}

type endFails struct{ *shaky }

func (e *endFails) EndSession(context.Context, ...string) error { return errDown }

// A session that others change without end makes the refresh give up, as unavailable and not as a verdict.
func TestRefreshGivesUp(t *testing.T) {
	s, store, c := setup(t)
	_, token := open(t, s, false)
	contended := &alwaysFirst{shaky: store}
	_, _, err := instance(contended, c).Refreshed(t.Context(), token)
	if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, ErrInvalidGrant) || contended.tries > maxTries {
		t.Errorf("%d tries, error %v", contended.tries, err)
	}
	refresh(t, s, token)
}

type alwaysFirst struct {
	*shaky
	tries int
}

func (a *alwaysFirst) UpdateSession(context.Context, authcore.Session) error {
	a.tries++
	return authcore.ErrConflict
}

func BenchmarkRefreshed(b *testing.B) {
	s, _, c := setup(b)
	_, token := open(b, s, false)
	for b.Loop() {
		c.move(time.Millisecond)
		token = refresh(b, s, token)
	}
}
