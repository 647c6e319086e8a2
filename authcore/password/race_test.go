package password

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// instances are houses that work on the same stores: one, or two as of two processes on one file.
func instances(t *testing.T) map[string][]*house {
	t.Helper()
	store := memstore.New()
	stores, attempts := store.Stores(), store.ChallengeStores().Attempts
	all := map[string][]*house{"memory": {newHouseOn(t, stores, attempts), newHouseOn(t, stores, attempts)}}
	path := filepath.Join(t.TempDir(), "authgate.db")
	for range 2 {
		s, err := sqlitestore.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		all["two on one file"] = append(all["two on one file"], newHouseOn(t, s.Stores(), s.ChallengeStores().Attempts))
	}
	return all
}

// together runs f many times at once, in turns on each house, and answers how many of them got nil.
func together(houses []*house, n int, f func(*house) error, unexpected func(error), expected ...error) int64 {
	var all sync.WaitGroup
	var done atomic.Int64
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			err := f(houses[i%len(houses)])
			if err == nil {
				done.Add(1)
				return
			}
			for _, e := range expected {
				if errors.Is(err, e) {
					return
				}
			}
			unexpected(err)
		})
	}
	close(start)
	all.Wait()
	return done.Load()
}

// Attack: many guesses sent at the same moment, to several instances, so that all are judged before the first one is
// counted. The right one, which is among them, is judged only if it is one of the first five.
func TestParallelGuessesGetNoExtraTries(t *testing.T) {
	for name, houses := range instances(t) {
		t.Run(name, func(t *testing.T) {
			u := houses[0].account(t, alice, right)
			const guesses = 60
			var hashed, judged atomic.Int64
			for _, h := range houses {
				h.Hasher.Parallel, h.Hasher.Queue, h.Hasher.Wait = 8, guesses, time.Minute
			}
			got := together(houses, guesses, func(h *house) error {
				hashed.Add(1)
				err := h.signIn(t, "Alice@Example.com", wrong)
				if !errors.Is(err, ErrSuspended) {
					judged.Add(1)
				}
				return err
			}, func(err error) { t.Error(err) }, ErrInvalidCredentials)
			// The fifth wrong one says that it began the suspension.
			if got != 0 || judged.Load() != 4 {
				t.Errorf("%d let in, %d of %d told apart from a suspended try", got, judged.Load(), hashed.Load())
			}
			for _, h := range houses {
				if err := h.signIn(t, alice, right); !errors.Is(err, ErrSuspended) {
					t.Error(err)
				}
				if until, err := h.Suspended(t.Context(), u.ID); err != nil || !until.Equal(h.now.Add(15*time.Minute)) {
					t.Error(until, err)
				}
			}
			houses[0].mail(t, authcore.MailSuspended, alice)
		})
	}
}

// Attack: the same key at the same moment, on several instances: one account, one new password.
func TestAKeyCountsOnceUnderParallelTries(t *testing.T) {
	for name, houses := range instances(t) {
		t.Run(name, func(t *testing.T) {
			k := houses[0].pending(t, alice, right)
			unexpected := func(err error) { t.Error(err) }
			n := together(houses, 20, func(h *house) error {
				_, err := h.Activate(t.Context(), Activating{Key: k})
				return err
			}, unexpected, authcore.ErrConfirmationNotFound)
			if n != 1 {
				t.Errorf("activated %d times", n)
			}
			k = houses[0].forgot(t, alice)
			n = together(houses, 20, func(h *house) error {
				_, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: second})
				return err
			}, unexpected, authcore.ErrConfirmationNotFound)
			if n != 1 {
				t.Errorf("reset %d times", n)
			}
			houses[0].mail(t, authcore.MailPasswordChanged, alice)
		})
	}
}

// Twenty tabs of one user sign in at once: all are let in.
func TestManySignInsOfOneUserAtOnce(t *testing.T) {
	for name, houses := range instances(t) {
		t.Run(name, func(t *testing.T) {
			houses[0].account(t, alice, right)
			proof, err := houses[0].SignIn(t.Context(), Try{Email: alice, Password: right})
			if err != nil {
				t.Fatal(err)
			}
			// Five at a time: more at the same moment than the lockout allows are more than it can tell from guesses.
			for range 4 {
				n := together(houses, 5, func(h *house) error {
					_, err := h.SignIn(t.Context(), Try{Email: alice, Password: right, Device: proof.Device})
					return err
				}, func(err error) { t.Error(err) })
				if n != 5 {
					t.Errorf("%d of 5 were let in", n)
				}
			}
		})
	}
}

// The whole way on two instances of one file: what one wrote the other one reads.
func TestOneInstanceGoesOnWhereTheOtherStopped(t *testing.T) {
	houses := instances(t)["two on one file"]
	one, other := houses[0], houses[1]
	u, err := other.Activate(t.Context(), Activating{Key: one.pending(t, alice, right)})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := one.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.SignIn(t.Context(), Try{Email: alice, Password: right, Device: proof.Device}); err != nil || again != proof {
		t.Error(again, err)
	}
	other.session(t, u.ID, "s1")
	if _, ended, err := one.Reset(t.Context(), Resetting{Key: other.forgot(t, alice), Password: second}); err != nil || len(ended) != 1 {
		t.Error(ended, err)
	}
	other.mail(t, authcore.MailPasswordChanged, alice)
	if u := other.changeEmail(t, u.ID, "alice@new.example"); u.Username != "alice@new.example" {
		t.Errorf("%+v", u)
	}
	one.mail(t, authcore.MailEmailChanged, alice)
	if err := one.signIn(t, "alice@new.example", second); err != nil {
		t.Error(err)
	}
	if again := one.account(t, alice, right); again.Username != alice+"."+again.ID[:8] {
		t.Errorf("%+v", again)
	}
}
