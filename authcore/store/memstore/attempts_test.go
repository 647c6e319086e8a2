package memstore

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func try(t testing.TB, s *Attempts, key string, now time.Time, want int) {
	t.Helper()
	got, err := s.CountAttempt(t.Context(), key, time.Minute, now)
	if err != nil || got.Count != want {
		t.Fatalf("%s: got %v, %v; want %d", key, got, err, want)
	}
}

// Somebody guesses a password and, before the account is locked, has keys counted by the hundred thousand so that its
// count is forgotten.
func TestFloodOfKeysForgetsNoLockout(t *testing.T) {
	s := NewAttempts(AttemptsConfig{Max: 100})
	for i := range 4 {
		try(t, s, "alice", noon, i+1)
	}
	for i := range 100_000 {
		try(t, s, fmt.Sprint("made up ", i), noon, 1)
	}
	try(t, s, "alice", noon, 5)
	if s.windows.entries.used != 100 {
		t.Fatalf("%d keys are kept", s.windows.entries.used)
	}
	// Of keys with the same count the first goes first.
	try(t, s, "made up 99999", noon, 2)
	try(t, s, "made up 99900", noon, 1)
}

// Somebody locks an account, and then has keys counted by the hundred thousand so that it is open again: requests of many
// clients, which cost little, and passwords for addresses that nobody has, each with all the tries there are.
func TestFloodOfKeysEndsNoSuspension(t *testing.T) {
	s := NewAttempts(AttemptsConfig{Max: 100})
	lockout := authcore.Lockout{Tries: 5, Suspend: time.Minute, Forget: time.Hour}
	guess := func(key string, want int) {
		t.Helper()
		got, err := s.CountLockout(t.Context(), key, lockout, noon)
		if err != nil || got.Count != want {
			t.Fatalf("%s: got %v, %v; want %d", key, got, err, want)
		}
	}
	for i := range 5 {
		guess("suspended", i+1)
	}
	for i := range 4 {
		guess("nearly", i+1)
	}
	for i := range 1000 {
		for n := range 20 {
			try(t, s, fmt.Sprint("client ", i), noon, n+1)
		}
		for n := range 3 {
			guess(fmt.Sprint("made up ", i), n+1)
		}
	}
	guess("nearly", 5)
	for i := range 1000 {
		for n := range 4 {
			guess(fmt.Sprint("made up later ", i), n+1)
		}
	}
	guess("suspended", 6)
	guess("nearly", 6)
	if s.windows.entries.used != 100 || s.lockouts.entries.used != 100 {
		t.Fatalf("%d and %d keys are kept", s.windows.entries.used, s.lockouts.entries.used)
	}
}

func TestFullForgetsEndedWindowsFirst(t *testing.T) {
	s := NewAttempts(AttemptsConfig{Max: 3})
	try(t, s, "once", noon.Add(time.Second), 1)
	for i := range 5 {
		try(t, s, "often, long ago", noon, i+1)
	}
	try(t, s, "once too", noon.Add(time.Second), 1)
	try(t, s, "new", noon.Add(time.Minute), 1)
	try(t, s, "once", noon.Add(time.Minute), 2)
	try(t, s, "once too", noon.Add(time.Minute), 2)
}

func TestEndedWindowsGoWithUse(t *testing.T) {
	s := NewAttempts(AttemptsConfig{})
	for i := range 1000 {
		try(t, s, fmt.Sprint(i), noon, 1)
	}
	for i := range 600 {
		try(t, s, fmt.Sprint("later ", i), noon.Add(time.Minute), 1)
	}
	if s.windows.entries.used != 600 {
		t.Fatalf("%d keys are kept", s.windows.entries.used)
	}
}

func TestMemoryOfAttempts(t *testing.T) {
	before := heap()
	s := NewAttempts(AttemptsConfig{})
	long := strings.Repeat("x", 300)
	for i := range defaultMaxAttempts + 10_000 {
		try(t, s, fmt.Sprint(i, long), noon, 1)
	}
	grown := heap() - before
	t.Logf("%.1f MB", float64(grown)/(1<<20))
	if grown > 24<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(s)
}

// Counts agree with those of a plain map, as long as there is room.
func TestRandomAttempts(t *testing.T) {
	type count struct {
		n     int
		reset time.Time
	}
	random := rand.New(rand.NewPCG(1, 2))
	s := NewAttempts(AttemptsConfig{})
	model := map[string]count{}
	now := noon
	for range 50_000 {
		key := fmt.Sprint(random.IntN(1 + random.IntN(300)))
		if random.IntN(50) == 0 {
			if err := s.ClearAttempts(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			delete(model, key)
			continue
		}
		want := model[key]
		if !now.Before(want.reset) {
			want = count{0, now.Add(time.Minute)}
		}
		want.n++
		model[key] = want
		got, err := s.CountAttempt(t.Context(), key, time.Minute, now)
		if err != nil || got.Count != want.n || !got.Reset.Equal(want.reset) {
			t.Fatalf("%s: got %v, %v; want %v", key, got, err, want)
		}
		now = now.Add(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

func BenchmarkAttempts(b *testing.B) {
	s := NewAttempts(AttemptsConfig{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(1 << 20); pb.Next(); i++ {
			if _, err := s.CountAttempt(b.Context(), "client 198.51.100."+fmt.Sprint(i&255), time.Minute, noon); err != nil {
				b.Error(err)
			}
		}
	})
}
