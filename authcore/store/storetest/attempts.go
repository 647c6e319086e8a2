package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// try counts one attempt in a window of a minute and demands the answer.
func (t *T) try(key string, now time.Time, want int, reset time.Time) {
	t.Helper()
	got, err := t.ChallengeStores.Attempts.CountAttempt(t.ctx, key, time.Minute, now)
	t.is(err, nil)
	same(t, got, authcore.Attempts{Count: want, Reset: reset})
}

var attemptTests = []test{
	{"the window begins with the first try and is not prolonged", func(t *T) {
		end := noon.Add(time.Minute)
		t.try("a", noon.In(elsewhere), 1, end)
		t.try("a", noon, 2, end)
		t.try("a", noon.Add(30*time.Second), 3, end)
		t.try("a", end.Add(-time.Microsecond), 4, end)
		t.try("a", end.Add(-time.Nanosecond), 5, end)
		// At its end the window is over, and the next one begins with this try.
		t.try("a", end, 1, end.Add(time.Minute))
		t.try("a", end.Add(time.Second), 2, end.Add(time.Minute))
		t.try("a", end.Add(time.Hour), 1, end.Add(time.Hour+time.Minute))
	}},
	{"keys are counted each for itself", func(t *T) {
		for i, key := range []string{"a", "A", "", "a ", "ü", strings.Repeat("k", 500), strings.Repeat("k", 501)} {
			t.try(key, noon.Add(time.Duration(i)*time.Second), 1, noon.Add(time.Duration(i)*time.Second+time.Minute))
		}
		t.try("a", noon, 2, noon.Add(time.Minute))
		t.try("A", noon, 2, noon.Add(time.Minute+time.Second))
	}},
	// The clock of another instance is behind: its tries count in the window that is open.
	{"a try from before the window counts in it", func(t *T) {
		t.try("a", noon, 1, noon.Add(time.Minute))
		t.try("a", noon.Add(-time.Hour), 2, noon.Add(time.Minute))
	}},
	{"another window length does not move the window that is open", func(t *T) {
		t.try("a", noon, 1, noon.Add(time.Minute))
		got, err := t.ChallengeStores.Attempts.CountAttempt(t.ctx, "a", time.Hour, noon)
		t.is(err, nil)
		same(t, got, authcore.Attempts{Count: 2, Reset: noon.Add(time.Minute)})
	}},
	{"cleared, counting begins anew", func(t *T) {
		t.is(t.ChallengeStores.Attempts.ClearAttempts(t.ctx, "a"), nil)
		t.try("a", noon, 1, noon.Add(time.Minute))
		t.try("b", noon, 1, noon.Add(time.Minute))
		t.try("a", noon, 2, noon.Add(time.Minute))
		t.is(t.ChallengeStores.Attempts.ClearAttempts(t.ctx, "a"), nil)
		t.try("a", noon.Add(time.Second), 1, noon.Add(time.Second+time.Minute))
		t.try("b", noon, 2, noon.Add(time.Minute))
	}},
	// Guesses sent in parallel are each counted: none slips between reading the count and writing it.
	{"many at once are all counted", func(t *T) {
		const tries = 200
		counts := make([]int, tries)
		errs := t.race(tries, func(i int, s Subject) error {
			got, err := s.ChallengeStores.Attempts.CountAttempt(t.ctx, "a", time.Minute, noon)
			counts[i] = got.Count
			return err
		})
		for _, err := range errs {
			t.is(err, nil)
		}
		slices.Sort(counts)
		for i, n := range counts {
			if n != i+1 {
				t.Fatalf("of %d tries, number %d was counted as %d", tries, i+1, n)
			}
		}
	}},
	{"cleaning up forgets no window that is open", func(t *T) {
		t.try("open", noon, 1, noon.Add(time.Minute))
		for i := range 20 {
			t.try(fmt.Sprint(i), noon.Add(-time.Hour), 1, noon.Add(time.Minute-time.Hour))
		}
		_, err := t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, noon)
		t.is(err, nil)
		t.try("open", noon, 2, noon.Add(time.Minute))
	}},
	{"a context that is over counts nothing", func(t *T) {
		over := ended(t)
		t.try("a", noon, 1, noon.Add(time.Minute))
		_, err := t.ChallengeStores.Attempts.CountAttempt(over, "a", time.Minute, noon)
		t.over(err)
		t.over(t.ChallengeStores.Attempts.ClearAttempts(over, "a"))
		t.try("a", noon, 2, noon.Add(time.Minute))
	}},
}
