package password

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// BenchmarkHash tells how many hashes one core makes in a second with the default parameters, and BenchmarkSignIn how many
// sign-ins of many users all cores that hash make together.
func BenchmarkHash(b *testing.B) {
	h := &Hasher{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Hash(b.Context(), right); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
}

func BenchmarkSignIn(b *testing.B) {
	h := newHouse(b)
	h.Hasher = &Hasher{Queue: 1 << 20, Wait: time.Hour}
	h.account(b, alice, right)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := h.signIn(b, alice, right); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign-ins/s")
}

// BenchmarkRefusals measures the four refusals of a sign-in in turns, and reports the mean of each in microseconds and
// Welch's t between that of a wrong password and each other one: what an outsider on the same machine could tell, without
// a network between. Beyond 4.5, the bound that is usual for leakage (TVLA), there is something to tell. With the cheapest
// hash everything else stands out; with the default one it is as in use.
//
//	go test -run ^$ -bench Refusals -benchtime 2000x ./authcore/password
func BenchmarkRefusals(b *testing.B) {
	for name, hasher := range map[string]*Hasher{"cheapest hash": quick(), "default hash": {}} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			h.account(b, "suspended@example.com", right)
			h.suspend(b, "suspended@example.com")
			u := h.account(b, alice, right)
			h.pending(b, "pending@example.com", right)
			// All accounts have hashes of the same parameters.
			h.Hasher = hasher
			for _, id := range []string{u.ID, h.owner(b, "suspended@example.com")} {
				if _, err := h.Change(b.Context(), Changing{UserID: id, Password: right}); err != nil {
					b.Fatal(err)
				}
			}
			tries := []struct {
				name, email, password, counted string
				times                          sample
			}{
				{name: "wrong", email: alice, password: wrong, counted: accountKey(u.ID)},
				{name: "unknown", email: "nobody@example.com", password: wrong, counted: unknownKey("nobody@example.com")},
				{name: "pending", email: "pending@example.com", password: right, counted: unknownKey("pending@example.com")},
				{name: "suspended", email: "suspended@example.com", password: right},
			}
			round := 0
			for b.Loop() {
				for i := range tries {
					// Each is first as often as last.
					try := &tries[(i+round)%len(tries)]
					start := time.Now()
					_, err := h.SignIn(b.Context(), Try{Email: try.email, Password: try.password})
					try.times.add(float64(time.Since(start).Nanoseconds()) / 1000)
					if !errors.Is(err, ErrInvalidCredentials) {
						b.Fatal(err)
					}
					if try.counted == "" {
						continue
					}
					if err := h.Attempts.ClearAttempts(b.Context(), try.counted); err != nil {
						b.Fatal(err)
					}
				}
				round++
			}
			for i, try := range tries {
				b.ReportMetric(try.times.mean, try.name+"-µs")
				if i > 0 {
					b.ReportMetric(tries[0].times.welch(try.times), try.name+"-t")
				}
			}
		})
	}
}

// sample is the mean and the sum of squared differences of what was added (Welford's way).
type sample struct{ n, mean, squares float64 }

func (s *sample) add(x float64) {
	s.n++
	d := x - s.mean
	s.mean += d / s.n
	s.squares += d * (x - s.mean)
}

// welch is the statistic of Welch's test of two means.
func (s sample) welch(other sample) float64 {
	variance := s.squares/(s.n-1)/s.n + other.squares/(other.n-1)/other.n
	if variance <= 0 || math.IsNaN(variance) {
		return 0
	}
	return (s.mean - other.mean) / math.Sqrt(variance)
}

func BenchmarkCheckNew(b *testing.B) {
	p := &Passwords{Sites: []string{"Example", "app.example.com"}}
	for name, in := range map[string]string{
		"passphrase of 64":     "seven brown horses walked over the wooden bridge before sunrise!",
		"1024, one character":  "x" + strings.Repeat("a", 1022) + "y",
		"1024, walk":           strings.Repeat("1q2w3e4r5t", 102) + "z",
		"1024, no repetitions": strings.Repeat("kV9#tqLw2.x7 zHw", 63) + "and sixteen more",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = p.checkNew(in, "alice@example.com")
			}
		})
	}
}
