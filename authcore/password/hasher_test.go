package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-authgate/authgate/authcore"
)

// quick is a hasher for tests: real, and as cheap as argon2id can be.
func quick() *Hasher { return &Hasher{Memory: 8, Time: 1, Parallel: 2} }

func TestHashAndVerify(t *testing.T) {
	h := quick()
	phc, err := h.Hash(t.Context(), "correct horse battery staple")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Fatal(phc, err)
	}
	other, err := h.Hash(t.Context(), "correct horse battery staple")
	if err != nil || other == phc {
		t.Error("two hashes with one salt", err)
	}
	for password, want := range map[string]bool{
		"correct horse battery staple": true, "correct horse battery stapl": false, "": false, "correct horse battery staple ": false,
		"Correct horse battery staple": false, "correct horse battery staple\x00": false,
	} {
		if ok, outdated, err := h.Verify(t.Context(), password, phc); ok != want || outdated || err != nil {
			t.Errorf("%q: %v, %v, %v", password, ok, outdated, err)
		}
	}
}

// A hash that the reference implementation made (its src/test.c: argon2id, version 0x13, t=2, m=2^8, p=1).
func TestReferenceHash(t *testing.T) {
	const phc = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	if ok, outdated, err := quick().Verify(t.Context(), "password", phc); !ok || !outdated || err != nil {
		t.Error(ok, outdated, err) // outdated: its salt has 8 bytes
	}
}

func TestDefaultsAreAtLeastThoseOfOWASP(t *testing.T) {
	h := &Hasher{}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	// Password Storage Cheat Sheet, argon2id: m=47104 (46 MiB), t=1, p=1.
	if p := h.parameters(); p.memory < 47104 || p.time < 1 || p.threads < 1 {
		t.Errorf("%+v", p)
	}
}

// Attack: a keyboard that writes é as e with an accent. It is the same password (and, on the sign-in page of another
// system, the same user).
func TestUnicodeFormsAreOnePassword(t *testing.T) {
	h := quick()
	composed, decomposed := "caf\u00e9 \u00fcber alles \ud55c", "cafe\u0301 u\u0308ber alles \u1112\u1161\u11ab"
	phc, err := h.Hash(t.Context(), decomposed)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{composed, decomposed} {
		if ok, _, err := h.Verify(t.Context(), password, phc); !ok || err != nil {
			t.Errorf("%+q: %v, %v", password, ok, err)
		}
	}
	// Compatibility is another matter: who typed a ligature meant one.
	if ok, _, _ := h.Verify(t.Context(), strings.ReplaceAll(composed, "f", "\uff46"), phc); ok {
		t.Error("a fullwidth letter is taken for another one")
	}
}

func TestOutdated(t *testing.T) {
	phc, err := (&Hasher{Memory: 64, Time: 2, Threads: 2}).Hash(t.Context(), "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		now  *Hasher
		want bool
	}{
		{"the same", &Hasher{Memory: 64, Time: 2, Threads: 2}, false},
		{"more memory", &Hasher{Memory: 65, Time: 2, Threads: 2}, true},
		{"more passes", &Hasher{Memory: 64, Time: 3, Threads: 2}, true},
		{"less memory", &Hasher{Memory: 32, Time: 2, Threads: 2}, false},
		{"other lanes", &Hasher{Memory: 64, Time: 2, Threads: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, outdated, err := c.now.Verify(t.Context(), "correct horse battery staple", phc)
			if !ok || outdated != c.want || err != nil {
				t.Errorf("%v, %v, %v", ok, outdated, err)
			}
		})
	}
	short := hashRecord{parameters: parameters{64, 2, 2}, salt: make([]byte, 8), key: make([]byte, 32)}
	if !short.less(parameters{64, 2, 2}) {
		t.Error("a salt of 8 bytes is not outdated")
	}
}

// Attack: whoever can write one row of the store, or has a backup restored, makes each sign-in cost gigabytes or hours.
func TestStoredParametersAboveTheCapAreRefused(t *testing.T) {
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	for _, c := range []struct{ name, in string }{
		{"memory", "$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key},
		{"most memory there is", "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key},
		{"memory that overflows", "$argon2id$v=19$m=4294967304,t=1,p=1$" + salt + "$" + key},
		{"passes", "$argon2id$v=19$m=8,t=11,p=1$" + salt + "$" + key},
		{"lanes", "$argon2id$v=19$m=256,t=1,p=17$" + salt + "$" + key},
		{"lanes that overflow", "$argon2id$v=19$m=256,t=1,p=257$" + salt + "$" + key},
		// argon2.IDKey panics on those.
		{"no passes", "$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key},
		{"no lanes", "$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key},
		{"memory below the least", "$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key},
		{"memory below the least for its lanes", "$argon2id$v=19$m=31,t=1,p=4$" + salt + "$" + key},
		{"long hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 88)},
		{"very long hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 1<<20)},
		// A hash of nothing is equal to every other.
		{"no hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$"},
		{"short hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$AAAA"},
		{"short salt", "$argon2id$v=19$m=8,t=1,p=1$AAAA$" + key},
		{"argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key},
		{"argon2d", "$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + key},
		{"old version", "$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key},
		{"no version", "$argon2id$m=8,t=1,p=1$" + salt + "$" + key},
		{"other order", "$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + key},
		{"key identifier", "$argon2id$v=19$m=8,t=1,p=1,keyid=AAAA$" + salt + "$" + key},
		{"leading zero", "$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + key},
		{"sign", "$argon2id$v=19$m=+8,t=1,p=1$" + salt + "$" + key},
		{"padding", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + key},
		{"trailing bits", "$argon2id$v=19$m=8,t=1,p=1$" + salt[:21] + "B$" + key},
		{"line break", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "\n$" + key},
		{"trailing data", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "$"},
		{"plain text", "correct horse battery staple"},
		{"bcrypt", "$2b$12$" + strings.Repeat("A", 53)},
		{"empty", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := quick()
			h.derive = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte {
				t.Error("hashed")
				return nil
			}
			ok, _, err := h.Verify(t.Context(), "correct horse battery staple", c.in)
			if ok || !errors.Is(err, ErrInvalidHash) {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
}

func TestHasherValidate(t *testing.T) {
	for name, h := range map[string]*Hasher{
		"memory": {Memory: 1 << 20}, "little memory": {Memory: 7}, "passes": {Time: 11}, "lanes": {Threads: 17},
		"parallel": {Parallel: -1}, "queue": {Queue: -1}, "wait": {Wait: -time.Second},
	} {
		if h.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// gate is a hasher whose hashes take until they are let go. It notes how many there were at a time.
type gate struct {
	*Hasher
	begun         chan struct{}
	release       chan struct{}
	running, most atomic.Int64
}

func newGate(h *Hasher) *gate {
	g := &gate{Hasher: h, begun: make(chan struct{}, 1000), release: make(chan struct{})}
	h.derive = func(_, _ []byte, _, _ uint32, _ uint8, size uint32) []byte {
		now := g.running.Add(1)
		for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
		}
		g.begun <- struct{}{}
		<-g.release
		g.running.Add(-1)
		return make([]byte, size)
	}
	return g
}

// waitFor waits until so many hashes are made and wait; the tests take as long as they do, and no longer.
func (g *gate) waitFor(t *testing.T, running, waiting int) {
	t.Helper()
	for range 1_000_000 {
		if r, w := g.Load(); r == running && w == waiting {
			return
		}
		runtime.Gosched()
	}
	r, w := g.Load()
	t.Fatalf("%d hashes are made and %d wait, want %d and %d", r, w, running, waiting)
}

// Attack: a thousand sign-ins at once, each worth 46 MiB and a core. A few are hashed at a time, some wait, all others
// are told at once that there is no room; and then all goes on as before.
func TestFloodOfHashesIsBounded(t *testing.T) {
	g := newGate(&Hasher{Parallel: 2, Queue: 10, Wait: time.Hour})
	results := make(chan error, 1000)
	for range 12 {
		go func() {
			_, err := g.Hash(context.Background(), "correct horse battery staple")
			results <- err
		}()
	}
	g.waitFor(t, 2, 10)
	for range 988 {
		if _, err := g.Hash(t.Context(), "correct horse battery staple"); !errors.Is(err, ErrBusy) || !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	g.waitFor(t, 2, 10)
	close(g.release)
	for range 12 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if most := g.most.Load(); most != 2 {
		t.Errorf("%d hashes at a time", most)
	}
	g.waitFor(t, 0, 0)
	if _, err := g.Hash(t.Context(), "correct horse battery staple"); err != nil {
		t.Error(err)
	}
}

// The memory of a flood is that of the hashes which are made at a time, not that of all who came.
func TestFloodOfHashesHasFlatMemory(t *testing.T) {
	const each = 1 << 20
	h := &Hasher{Memory: each >> 10, Time: 1, Parallel: 2, Queue: 64}
	var live, most atomic.Int64
	h.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		now := live.Add(int64(memory) << 10)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		defer live.Add(-int64(memory) << 10)
		return argon2.IDKey(password, salt, time, memory, threads, size)
	}
	var all sync.WaitGroup
	var busy atomic.Int64
	for range 200 {
		all.Go(func() {
			if _, err := h.Hash(context.Background(), "correct horse battery staple"); errors.Is(err, ErrBusy) {
				busy.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 2*each || busy.Load() == 200 {
		t.Errorf("%d MiB at a time, %d of 200 refused", most.Load()>>20, busy.Load())
	}
}

func TestWaitIsOver(t *testing.T) {
	g := newGate(&Hasher{Parallel: 1, Wait: time.Nanosecond})
	done := make(chan error)
	go func() {
		_, err := g.Hash(context.Background(), "correct horse battery staple")
		done <- err
	}()
	<-g.begun
	if _, err := g.Hash(t.Context(), "correct horse battery staple"); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	close(g.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Attack: clients that go away as soon as they have sent a sign-in, to fill the queue with work that nobody wants. Their
// places are free at once, and nothing is hashed for them.
func TestClientsThatAreGoneLeaveTheQueue(t *testing.T) {
	g := newGate(&Hasher{Parallel: 1, Queue: 5, Wait: time.Hour})
	first, results := make(chan error), make(chan error)
	go func() {
		_, err := g.Hash(context.Background(), "correct horse battery staple")
		first <- err
	}()
	<-g.begun
	ctx, cancel := context.WithCancel(t.Context())
	for range 5 {
		go func() {
			_, _, err := g.Verify(ctx, "correct horse battery staple", g.decoy())
			results <- err
		}()
	}
	g.waitFor(t, 1, 5)
	cancel()
	for range 5 {
		if err := <-results; !errors.Is(err, context.Canceled) || !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	}
	g.waitFor(t, 1, 0)
	if _, err := g.Hash(ctx, "correct horse battery staple"); !errors.Is(err, context.Canceled) {
		t.Error("hashed for a client who was gone before:", err)
	}
	close(g.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if len(g.begun) != 0 {
		t.Error("hashed for clients who were gone")
	}
}

func TestNothingIsHashedForWhoIsGoneBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a free place and the end of the context: select would take either
		if _, err := quick().Hash(ctx, right); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// A hash that panics gives its turn back.
func TestTurnIsGivenBack(t *testing.T) {
	h := &Hasher{Parallel: 1, derive: func([]byte, []byte, uint32, uint32, uint8, uint32) []byte { panic("out of memory") }}
	func() {
		defer func() { _ = recover() }()
		_, _ = h.Hash(t.Context(), "correct horse battery staple")
	}()
	if running, waiting := h.Load(); running != 0 || waiting != 0 {
		t.Errorf("%d hashes are made and %d wait", running, waiting)
	}
}

// What parses is written back byte for byte, and never costs more than the cap.
func FuzzParseHash(f *testing.F) {
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	for _, s := range []string{
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=47104,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=262144,t=10,p=16$" + salt[:11] + "$" + salt,
		"$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "\n$" + key,
		(&Hasher{}).decoy(),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseHash(s)
		if err != nil {
			if !errors.Is(err, ErrInvalidHash) {
				t.Fatal(err)
			}
			return
		}
		if r.String() != s {
			t.Fatalf("%q is written back as %q", s, r)
		}
		if r.memory > 262144 || r.time > 10 || r.threads > 16 || r.time < 1 || r.threads < 1 || len(r.key) < 16 {
			t.Fatalf("%q costs %+v", s, r.parameters)
		}
	})
}
