package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var threeTries = authcore.Lockout{Tries: 3, Suspend: time.Minute, Forget: time.Hour}

// guess counts one try and demands the answer.
func (t *T) guess(key string, l authcore.Lockout, now time.Time, want int, reset time.Time) {
	t.Helper()
	got, err := t.ChallengeStores.Attempts.CountLockout(t.ctx, key, l, now)
	t.is(err, nil)
	same(t, got, authcore.Attempts{Count: want, Reset: reset})
}

// counted demands the count under a key.
func (t *T) counted(key string, now time.Time, want authcore.Attempts) {
	t.Helper()
	got, err := t.ChallengeStores.Attempts.Attempts(t.ctx, key, now)
	t.is(err, nil)
	if want.Count == 0 && !got.Reset.IsZero() {
		t.Fatalf("got %v, want nothing", got)
	}
	if want.Count != 0 || got.Count != 0 {
		same(t, got, want)
	}
}

var lockoutTests = []test{
	{"the last try begins the suspension, which no try prolongs", func(t *T) {
		l := threeTries
		t.guess("a", l, noon.In(elsewhere), 1, noon.Add(time.Hour))
		t.guess("a", l, noon.Add(time.Second), 2, noon.Add(time.Second+time.Hour))
		end := noon.Add(2*time.Second + time.Minute)
		t.guess("a", l, noon.Add(2*time.Second), 3, end)
		for _, now := range []time.Time{noon.Add(2 * time.Second), noon.Add(30 * time.Second), end.Add(-time.Microsecond)} {
			t.guess("a", l, now, 4, end)
			t.counted("a", now, authcore.Attempts{Count: 3, Reset: end})
		}
		// At its end counting begins anew, with all tries.
		t.guess("a", l, end, 1, end.Add(time.Hour))
		t.guess("a", l, end, 2, end.Add(time.Hour))
		t.guess("a", l, end, 3, end.Add(time.Minute))
		t.guess("a", l, end, 4, end.Add(time.Minute))
	}},
	{"tries are forgotten so long after the last one", func(t *T) {
		l := threeTries
		t.guess("a", l, noon, 1, noon.Add(time.Hour))
		last := noon.Add(time.Hour - time.Microsecond)
		t.guess("a", l, last, 2, last.Add(time.Hour))
		t.counted("a", last.Add(time.Hour-time.Microsecond), authcore.Attempts{Count: 2, Reset: last.Add(time.Hour)})
		t.counted("a", last.Add(time.Hour), authcore.Attempts{})
		t.guess("a", l, last.Add(time.Hour), 1, last.Add(2*time.Hour))
	}},
	{"one try may be all", func(t *T) {
		l := authcore.Lockout{Tries: 1, Suspend: time.Minute, Forget: time.Hour}
		t.guess("a", l, noon, 1, noon.Add(time.Minute))
		t.guess("a", l, noon.Add(time.Second), 2, noon.Add(time.Minute))
		t.guess("a", l, noon.Add(time.Minute), 1, noon.Add(2*time.Minute))
	}},
	// The clock of another instance is behind: for it, too, the account is suspended.
	{"a try from before the suspension is suspended", func(t *T) {
		l := threeTries
		for i := range 3 {
			t.guess("a", l, noon, i+1, noon.Add(map[bool]time.Duration{true: time.Minute, false: time.Hour}[i == 2]))
		}
		t.guess("a", l, noon.Add(-time.Hour), 4, noon.Add(time.Minute))
	}},
	// The configuration was changed: who is over the new number is suspended until the old time, who is not may go on.
	{"another lockout goes by the count there is", func(t *T) {
		five := authcore.Lockout{Tries: 5, Suspend: time.Minute, Forget: time.Hour}
		for i := range 4 {
			t.guess("a", five, noon, i+1, noon.Add(time.Hour))
		}
		t.guess("a", threeTries, noon.Add(time.Second), 4, noon.Add(time.Hour))
		t.guess("a", five, noon.Add(time.Second), 5, noon.Add(time.Second+time.Minute))
	}},
	{"keys are counted each for itself", func(t *T) {
		l := threeTries
		for i := range 3 {
			for _, key := range []string{"a", "A", "", "a ", "ü"} {
				t.guess(key, l, noon, i+1, noon.Add(map[bool]time.Duration{true: time.Minute, false: time.Hour}[i == 2]))
			}
		}
		t.guess("b", l, noon, 1, noon.Add(time.Hour))
		t.counted("c", noon, authcore.Attempts{})
	}},
	{"cleared, counting begins anew and nothing is suspended", func(t *T) {
		l := authcore.Lockout{Tries: 2, Suspend: time.Minute, Forget: time.Hour}
		for range 3 {
			t.guess("a", l, noon, 1, noon.Add(time.Hour))
			t.guess("a", l, noon, 2, noon.Add(time.Minute))
			t.guess("a", l, noon, 3, noon.Add(time.Minute))
			t.is(t.ChallengeStores.Attempts.ClearAttempts(t.ctx, "a"), nil)
			t.counted("a", noon, authcore.Attempts{})
		}
	}},
	{"looking counts nothing", func(t *T) {
		t.try("window", noon, 1, noon.Add(time.Minute))
		for range 3 {
			t.counted("window", noon.Add(time.Second), authcore.Attempts{Count: 1, Reset: noon.Add(time.Minute)})
		}
		t.try("window", noon, 2, noon.Add(time.Minute))
		t.counted("window", noon.Add(time.Minute), authcore.Attempts{})
		t.counted("never", noon, authcore.Attempts{})
	}},
	// Guesses sent in parallel, over several instances, get no extra tries.
	{"of many tries at once so many are let through", func(t *T) {
		const tries = 60
		l := authcore.Lockout{Tries: 5, Suspend: time.Minute, Forget: time.Hour}
		counts := make([]int, tries)
		errs := t.race(tries, func(i int, s Subject) error {
			got, err := s.ChallengeStores.Attempts.CountLockout(t.ctx, "a", l, noon)
			counts[i] = got.Count
			return err
		})
		for _, err := range errs {
			t.is(err, nil)
		}
		slices.Sort(counts)
		for i, n := range counts {
			if n != min(i+1, 6) {
				t.Fatalf("of %d tries, number %d was answered %d", tries, i+1, n)
			}
		}
	}},
	{"cleaning up ends no suspension", func(t *T) {
		l := authcore.Lockout{Tries: 1, Suspend: time.Minute, Forget: time.Hour}
		t.guess("suspended", l, noon, 1, noon.Add(time.Minute))
		for i := range 20 {
			t.guess(fmt.Sprint(i), l, noon.Add(-time.Hour), 1, noon.Add(time.Minute-time.Hour))
		}
		_, err := t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, noon)
		t.is(err, nil)
		t.guess("suspended", l, noon, 2, noon.Add(time.Minute))
	}},
	{"a context that is over counts nothing", func(t *T) {
		over := ended(t)
		t.guess("a", threeTries, noon, 1, noon.Add(time.Hour))
		_, err := t.ChallengeStores.Attempts.CountLockout(over, "a", threeTries, noon)
		t.over(err)
		_, err = t.ChallengeStores.Attempts.Attempts(over, "a", noon)
		t.over(err)
		t.guess("a", threeTries, noon, 2, noon.Add(time.Hour))
	}},
}
