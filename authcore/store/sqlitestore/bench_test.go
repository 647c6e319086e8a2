package sqlitestore_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

func BenchmarkChallenge(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "test.db")).ChallengeStores().Challenges
	var n atomic.Int64
	one := func() error {
		c := authcore.Challenge{ID: challengeID(int(n.Add(1))), Binding: binding, Client: "192.0.2.1", Data: make([]byte, 32), Expires: noon}
		if err := s.CreateChallenge(b.Context(), c, noon); err != nil {
			return err
		}
		_, err := s.ConsumeChallenge(b.Context(), c.ID, binding, noon.Add(-1000))
		return err
	}
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			if err := one(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkSession(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "test.db")).Stores()
	user(b, s.Users, "alice")
	for i := range 100 {
		one := authcore.Session{
			ID: fmt.Sprint("s", i), UserID: "alice", Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: noon}},
			IdleUntil: noon, Until: noon,
		}
		if err := s.Sessions.CreateSession(b.Context(), one); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Sessions.Session(b.Context(), "s7"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Sessions.Session(b.Context(), "s7"); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
