package password

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-authgate/authgate/authcore"
)

// The defaults are OWASP's first choice for argon2id (Password Storage Cheat Sheet: m=47104, t=1, p=1), with one more
// pass.
const (
	defaultMemory  = 46 << 10
	defaultTime    = 2
	defaultThreads = 1
	defaultQueue   = 128
	defaultWait    = 10 * time.Second

	saltSize = 16 // RFC 9106 section 3.1: 16 bytes are recommended for password hashing
	hashSize = 32
)

// Hasher makes and compares hashes with argon2id (RFC 9106), a bounded number at a time: each takes its Memory, and one
// core. Who comes while all places are taken waits for a turn, in order; who finds too many waiting, or waits too long,
// gets ErrBusy. So a flood of sign-ins costs Parallel × Memory, and leaves the other cores to those who are signed in.
//
// The zero value of every field is its default. It may be used from many goroutines and must not be copied after the
// first use.
type Hasher struct {
	Memory   uint32        // of one hash, in KiB; default 47104 (46 MiB), at most 262144 (256 MiB)
	Time     uint32        // passes over the memory; default 2, at most 10
	Threads  uint8         // lanes of one hash; default 1, at most 16
	Parallel int           // hashes at a time; default half of the cores (GOMAXPROCS), at least 1
	Queue    int           // how many wait for their turn, at most; default 128
	Wait     time.Duration // how long one waits, at most; default 10 s
	Rand     io.Reader     // for salts; default crypto/rand.Reader

	once    sync.Once
	turns   chan struct{} // one element for each hash that is being made
	waiting atomic.Int64
	// derive is argon2.IDKey, but in tests that count.
	derive func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

// Validate reports parameters that are not allowed, or that this package would refuse to read back.
func (h *Hasher) Validate() error {
	if err := h.parameters().check(); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	if h.Parallel < 0 || h.Queue < 0 || h.Wait < 0 {
		return errors.New("password: the bounds of the hasher are negative")
	}
	return nil
}

// Hash answers the hash of a password in PHC form. Its error is ErrBusy, or authcore.ErrUnavailable where the context
// ended first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enterTraced(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return h.hash(password)
}

// Verify reports whether the password is the one of a hash in PHC form, and whether that hash is outdated: made with less
// than is configured now. Its error is ErrInvalidHash, ErrBusy, or authcore.ErrUnavailable where the context ended first.
func (h *Hasher) Verify(ctx context.Context, password, phc string) (ok, outdated bool, err error) {
	leave, err := h.enterTraced(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	return h.verify(password, phc)
}

// Load answers how many hashes are being made at this moment, and how many wait for their turn.
func (h *Hasher) Load() (running, waiting int) {
	h.once.Do(h.start)
	return len(h.turns), int(h.waiting.Load())
}

// enterTraced is enter, in spans: of waiting, and of what is done until leave is called.
func (h *Hasher) enterTraced(ctx context.Context) (func(), error) {
	_, waited := authcore.Span(ctx, "authgate.hash.wait")
	leave, err := h.enter(ctx)
	waited(authcore.Outcome(err))
	if err != nil {
		return nil, err
	}
	_, hashed := authcore.Span(ctx, "authgate.hash")
	return func() { leave(); hashed("ok") }, nil
}

// enter waits for a turn. Whoever gets one must leave; until then hash and verify may be called.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	h.once.Do(h.start)
	if ctx.Err() != nil {
		return nil, authcore.StoreError("password: wait to hash", ctx.Err())
	}
	leave = func() { <-h.turns }
	// While somebody waits, the channel is full: Go hands a freed place to the first in the queue.
	select {
	case h.turns <- struct{}{}:
		return leave, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(orDefault(h.Queue, defaultQueue)) {
		return nil, fmt.Errorf("password: %w", ErrBusy)
	}
	timer := time.NewTimer(orDefault(h.Wait, defaultWait))
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, authcore.StoreError("password: wait to hash", ctx.Err())
	case <-timer.C:
		return nil, fmt.Errorf("password: %w", ErrBusy)
	}
}

func (h *Hasher) start() {
	h.turns = make(chan struct{}, orDefault(h.Parallel, max(1, runtime.GOMAXPROCS(0)/2)))
	if h.derive == nil {
		h.derive = argon2.IDKey
	}
}

func (h *Hasher) hash(password string) (string, error) {
	salt, err := random(h.Rand, saltSize)
	if err != nil {
		return "", err
	}
	r := hashRecord{parameters: h.parameters(), salt: salt}
	r.key = h.key(password, r, hashSize)
	return r.String(), nil
}

func (h *Hasher) verify(password, phc string) (ok, outdated bool, err error) {
	r, err := parseHash(phc)
	if err != nil {
		return false, false, err
	}
	got := h.key(password, r, len(r.key))
	return subtle.ConstantTimeCompare(got, r.key) == 1, r.less(h.parameters()), nil
}

func (h *Hasher) key(password string, r hashRecord, size int) []byte {
	return h.derive([]byte(canonical(password)), r.salt, r.time, r.memory, r.threads, uint32(size))
}

// decoy answers a hash that no password has, as costly to compare with as one made now.
func (h *Hasher) decoy() string {
	return hashRecord{parameters: h.parameters(), salt: make([]byte, saltSize), key: make([]byte, hashSize)}.String()
}

func (h *Hasher) parameters() parameters {
	return parameters{
		memory:  orDefault(h.Memory, defaultMemory),
		time:    orDefault(h.Time, defaultTime),
		threads: orDefault(h.Threads, defaultThreads),
	}
}
