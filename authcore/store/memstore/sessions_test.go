package memstore

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func openSessions(t testing.TB, n int) *Store {
	t.Helper()
	s := New()
	if err := s.CreateUser(t.Context(), authcore.User{ID: "alice"}, authcore.Credential{ID: "c", UserID: "alice"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		one := authcore.Session{
			ID: fmt.Sprint("session ", i), UserID: "alice", Origin: "https://app.example.com",
			Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: noon}}, Created: noon,
			IdleUntil: noon.Add(time.Hour), Until: noon.Add(time.Hour), ClientIP: fmt.Sprint("198.51.100.", i&255),
		}
		if err := s.CreateSession(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestMemoryOfSessions(t *testing.T) {
	before := heap()
	s := openSessions(t, 10_000)
	grown := heap() - before
	t.Logf("%.1f MB", float64(grown)/(1<<20))
	if grown > 16<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(s)
}

func BenchmarkSession(b *testing.B) {
	s := openSessions(b, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Session(b.Context(), "session 7"); err != nil {
				b.Error(err)
			}
		}
	})
}
