package memstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var (
	noon    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	binding = authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com"}
)

func challenge(n int, client string) authcore.Challenge {
	c := authcore.Challenge{Binding: binding, Client: client, Data: make([]byte, 32), Expires: noon.Add(time.Minute)}
	binary.LittleEndian.PutUint64(c.ID[:], uint64(n))
	return c
}

func (s *Challenges) holds(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(challenge(n, "").ID) != 0
}

func ask(t testing.TB, s *Challenges, c authcore.Challenge, now time.Time) {
	t.Helper()
	if err := s.CreateChallenge(t.Context(), c, now); err != nil {
		t.Fatal(err)
	}
}

// One client asks for challenges without end, while others have asked for one each and are looking at their wallets. The
// flood must cost the flooder alone.
func TestFloodPushesOutItsOwn(t *testing.T) {
	s := NewChallenges(ChallengesConfig{Max: 100})
	for i := range 50 {
		ask(t, s, challenge(i, fmt.Sprint("honest ", i)), noon)
	}
	for i := range 10000 {
		ask(t, s, challenge(1000+i, "flooder"), noon)
	}
	for i := range 50 {
		if !s.holds(i) {
			t.Fatalf("challenge %d of somebody else was pushed out", i)
		}
	}
	// What the flooder has are the newest.
	for i := 10000 - 50; i < 10000; i++ {
		if !s.holds(1000 + i) {
			t.Fatalf("the flooder lost challenge %d", i)
		}
	}
	// And others can still begin: each takes a place of the flooder.
	for i := 50; i < 90; i++ {
		ask(t, s, challenge(i, fmt.Sprint("honest ", i)), noon)
	}
	for i := range 90 {
		if !s.holds(i) {
			t.Fatalf("challenge %d of somebody else was pushed out", i)
		}
	}
}

// The same from many addresses: those with the most pay, and two open tabs cost nobody the sign-in.
func TestFloodFromManyAddressesPushesOutItsOwn(t *testing.T) {
	s := NewChallenges(ChallengesConfig{Max: 300})
	for i := range 20 {
		ask(t, s, challenge(i, fmt.Sprint("honest ", i/2)), noon) // two each
	}
	for i := range 10000 {
		ask(t, s, challenge(1000+i, fmt.Sprint("flooder ", i%80)), noon)
	}
	for i := range 20 {
		if !s.holds(i) {
			t.Fatalf("challenge %d of somebody else was pushed out", i)
		}
	}
}

// A full store in which everybody has one refuses new ones: all who are signing in go on, and there is room again as soon
// as one of them is done.
func TestFullOfSingleOnesRefuses(t *testing.T) {
	s := NewChallenges(ChallengesConfig{Max: 10})
	for i := range 10 {
		ask(t, s, challenge(i, fmt.Sprint("client ", i)), noon)
	}
	for _, client := range []string{"another", "client 3"} {
		if err := s.CreateChallenge(t.Context(), challenge(10, client), noon); !errors.Is(err, authcore.ErrChallengeLimit) {
			t.Fatalf("got error %v", err)
		}
	}
	if _, err := s.ConsumeChallenge(t.Context(), challenge(4, "").ID, binding, noon); err != nil {
		t.Fatal(err)
	}
	ask(t, s, challenge(10, "another"), noon)
}

func TestFullMakesRoomByWhatExpiredFirst(t *testing.T) {
	s := NewChallenges(ChallengesConfig{Max: 4})
	old := challenge(0, "one")
	old.Expires = noon.Add(time.Second)
	ask(t, s, challenge(1, "two"), noon)
	ask(t, s, challenge(2, "two"), noon)
	ask(t, s, old, noon)
	ask(t, s, challenge(3, "three"), noon)
	ask(t, s, challenge(4, "three"), noon.Add(time.Second-time.Microsecond))
	if !s.holds(0) || s.holds(1) {
		t.Fatal("it was not the oldest of the client with the most that had to go")
	}
	ask(t, s, challenge(5, "four"), noon.Add(time.Second))
	if s.holds(0) || !s.holds(2) || !s.holds(3) {
		t.Fatal("it was not the expired one that had to go")
	}
}

// A challenge that is there already is refused before room is made for it.
func TestConflictPushesOutNothing(t *testing.T) {
	s := NewChallenges(ChallengesConfig{Max: 3})
	for i := range 3 {
		ask(t, s, challenge(i, "one"), noon)
	}
	if err := s.CreateChallenge(t.Context(), challenge(2, "one"), noon); !errors.Is(err, authcore.ErrConflict) {
		t.Fatalf("got error %v", err)
	}
	if !s.holds(0) {
		t.Fatal("something was pushed out")
	}
}

// Challenges with long data fill the memory before they reach the number.
func TestDataIsBounded(t *testing.T) {
	s := NewChallenges(ChallengesConfig{MaxData: 10_000})
	single := challenge(0, "honest")
	single.Data = make([]byte, 1000)
	ask(t, s, single, noon)
	for i := range 100 {
		c := challenge(1+i, "flooder")
		c.Data = make([]byte, 1000)
		ask(t, s, c, noon)
		if s.longSize > 10_000 {
			t.Fatalf("%d bytes are kept", s.longSize)
		}
	}
	if !s.holds(0) || !s.holds(100) || s.holds(91) || !s.holds(92) {
		t.Fatal("it was not the oldest of the flooder that had to go")
	}
	c := challenge(200, "flooder")
	c.Data = make([]byte, 10_001)
	if err := s.CreateChallenge(t.Context(), c, noon); !errors.Is(err, authcore.ErrChallengeLimit) || !s.holds(92) {
		t.Fatalf("got error %v, or something was pushed out for what can never fit", err)
	}
	ask(t, s, challenge(201, "short"), noon) // which has no part in that
}

// heap answers the bytes in use after a collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one may leave what finalizers held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// 200,000 sign-ins are begun and never finished: the memory stays small, and comes back when they have expired.
func TestMemoryOfUnansweredChallenges(t *testing.T) {
	const limit = 40 << 20
	for name, client := range map[string]func(i int) string{
		"each of another client": func(i int) string { return fmt.Sprintf("198.51.%d.%d", i>>8&255, i) },
		"all of one client":      func(int) string { return "198.51.100.200" },
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			s := NewChallenges(ChallengesConfig{})
			for i := range 200_000 {
				ask(t, s, challenge(i, client(i)), noon)
			}
			grown := heap() - before
			t.Logf("%.1f MB", float64(grown)/(1<<20))
			if grown > limit {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			if n, err := s.DeleteExpiredChallenges(t.Context(), noon.Add(time.Minute)); err != nil || n != 200_000 {
				t.Errorf("deleted %d, %v", n, err)
			}
			if left := heap() - before; left > 1<<20 {
				t.Errorf("%d bytes are left", left)
			}
			runtime.KeepAlive(s)
		})
	}
}

func TestMemoryIsFlatUnderAFlood(t *testing.T) {
	before := heap()
	s := NewChallenges(ChallengesConfig{})
	for i := range 3 * defaultMaxChallenges / 2 {
		ask(t, s, challenge(i, fmt.Sprintf("198.51.%d.%d", i>>8&127, i&255)), noon)
	}
	if grown := heap() - before; grown > 48<<20 || s.entries.used != defaultMaxChallenges {
		t.Errorf("the heap has grown by %d bytes for %d challenges", grown, s.entries.used)
	}
	runtime.KeepAlive(s)
}

// Whatever is done in whatever order, what is held by one structure is held by the others, and who has to go is who
// should.
func TestRandomOperations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := NewChallenges(ChallengesConfig{Max: 40, MaxData: 2000})
	model := map[int]authcore.Challenge{}
	born := map[int]int{}
	now := noon
	for step := range 8_000 {
		switch random.IntN(5) {
		case 0, 1, 2:
			n := random.IntN(400)
			c := challenge(n, fmt.Sprint("client ", random.IntN(1+random.IntN(20))))
			c.Subject = fmt.Sprint(random.IntN(5))
			c.Data = make([]byte, random.IntN(2)*random.IntN(200))
			c.Expires = now.Add(time.Duration(1+random.IntN(60)) * time.Second)
			_, there := model[n]
			err := s.CreateChallenge(t.Context(), c, now)
			switch {
			case there != errors.Is(err, authcore.ErrConflict):
				t.Fatalf("step %d: got error %v, while it is there: %v", step, err, there)
			case errors.Is(err, authcore.ErrChallengeLimit):
				mayRefuse(t, model, now)
			case err == nil:
				evict(t, s, model, born, now)
				model[n], born[n] = c, step
			}
		case 3:
			n := random.IntN(400)
			want, there := model[n]
			b := binding
			b.Subject = want.Subject
			got, err := s.ConsumeChallenge(t.Context(), challenge(n, "").ID, b, now)
			delete(model, n)
			switch {
			case !there && !errors.Is(err, authcore.ErrChallengeNotFound),
				there && !now.Before(want.Expires) && !errors.Is(err, authcore.ErrChallengeExpired),
				there && now.Before(want.Expires) && (err != nil || len(got.Data) != len(want.Data)):
				t.Fatalf("step %d: got %v, %v, while it is there: %v", step, got, err, there)
			}
		case 4:
			now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
			if random.IntN(20) > 0 {
				continue
			}
			want := 0
			for n, c := range model {
				if !now.Before(c.Expires) {
					delete(model, n)
					want++
				}
			}
			if got, err := s.DeleteExpiredChallenges(t.Context(), now); err != nil || got != want {
				t.Fatalf("step %d: deleted %d, %v; want %d", step, got, err, want)
			}
		}
		consistent(t, s, model)
	}
}

// mayRefuse demands that nothing is expired and nobody has two.
func mayRefuse(t *testing.T, model map[int]authcore.Challenge, now time.Time) {
	t.Helper()
	held := map[string]int{}
	for _, c := range model {
		held[c.Client]++
		if held[c.Client] > 1 || !now.Before(c.Expires) {
			t.Fatalf("refused while there is %v", c)
		}
	}
}

// evict removes from the model what the store has let go of, and demands that it was what it should be.
func evict(t *testing.T, s *Challenges, model map[int]authcore.Challenge, born map[int]int, now time.Time) {
	t.Helper()
	var gone []int
	expired, most, size := 0, 0, 0
	held := map[string]int{}
	for n, c := range model {
		if !s.holds(n) {
			gone = append(gone, n)
		}
		if !now.Before(c.Expires) {
			expired++
		}
		held[c.Client]++
		most = max(most, held[c.Client])
		size += beyond(len(c.Data))
	}
	if len(gone) > 0 && len(model) < s.max && size < s.maxData/2 {
		t.Fatalf("%d are gone of %d with %d bytes", len(gone), len(model), size)
	}
	for _, n := range gone {
		c := model[n]
		if !now.Before(c.Expires) {
			expired--
			continue
		}
		// The number of each client may have fallen by others who went for the same newcomer.
		if expired > len(gone) || held[c.Client] < 2 || held[c.Client] < most-len(gone) {
			t.Fatalf("%v is gone; %d are expired, its client has %d, another %d", c, expired, held[c.Client], most)
		}
		for m, other := range model {
			if other.Client == c.Client && born[m] < born[n] && s.holds(m) {
				t.Fatalf("%d is gone while the client has the older %d", n, m)
			}
		}
	}
	for _, n := range gone {
		delete(model, n)
	}
}

// consistent demands that all structures hold what the model holds, in their order.
func consistent(t *testing.T, s *Challenges, model map[int]authcore.Challenge) {
	t.Helper()
	n := len(model)
	clients, size, subjects := map[string]int{}, 0, map[string]bool{}
	for i, c := range model {
		slot := s.find(challenge(i, "").ID)
		if slot == 0 {
			t.Fatalf("%d is not found", i)
		}
		e := s.entries.at(slot)
		if due := s.expiry.items[e.place]; due.slot != slot || due.at != c.Expires.UnixMicro() {
			t.Fatalf("%d stands in the queue as %v", i, due)
		}
		clients[c.Client]++
		subjects[c.Subject] = true
		size += beyond(len(c.Data))
	}
	if s.entries.used != n || s.ids.used != n || len(s.expiry.items) != n ||
		s.clients.used != len(clients) || s.byClient.used != len(clients) || s.longSize != size || s.bindings.kept.used != len(subjects) {
		t.Fatalf("%d, %d, %d of %d challenges; %d, %d of %d clients; %d of %d bytes; %d of %d bindings",
			s.entries.used, s.ids.used, len(s.expiry.items), n, s.clients.used, s.byClient.used, len(clients), s.longSize, size,
			s.bindings.kept.used, len(subjects))
	}
	for i := 1; i < n; i++ {
		if s.expiry.items[i].at < s.expiry.items[(i-1)/2].at {
			t.Fatalf("the queue is out of order at %d", i)
		}
	}
	most := 0
	for _, held := range clients {
		most = max(most, held)
	}
	if n > 0 && int(s.clients.at(s.crowd.highest()).held) != most {
		t.Fatalf("the highest holds %d, the most is %d", s.clients.at(s.crowd.highest()).held, most)
	}
}

func BenchmarkChallenges(b *testing.B) {
	var n atomic.Int64
	one := func(s *Challenges) error {
		c := challenge(int(n.Add(1)), "192.0.2.1")
		if err := s.CreateChallenge(b.Context(), c, noon); err != nil {
			return err
		}
		_, err := s.ConsumeChallenge(b.Context(), c.ID, binding, noon)
		return err
	}
	full := NewChallenges(ChallengesConfig{})
	for i := range defaultMaxChallenges {
		ask(b, full, challenge(-1-i, fmt.Sprint(i/2)), noon)
	}
	for _, c := range []struct {
		name string
		s    *Challenges
	}{{"empty", NewChallenges(ChallengesConfig{})}, {"full", full}} {
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := one(c.s); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := one(c.s); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	b.Run("flood", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			ask(b, full, challenge(1<<40+i, "flooder"), noon)
		}
	})
}
