package memstore

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// AttemptsConfig bounds an Attempts. Zero values are the defaults.
type AttemptsConfig struct {
	Max int // keys counted at the same time for rate limits, and as many for lockouts; default 262144, about 15 MB however long they are
}

const defaultMaxAttempts = 1 << 18

// Attempts counts tries in memory, for a bounded number of keys.
//
// A full store first forgets windows that ended, then the key with the fewest tries, of several the one that came first:
// so those that are suspended last of all. Refusing to count would let a flood of keys shut out everybody; forgetting the
// oldest or a random key would let it wash away the lockout that it is working against. So keys made up by the hundred
// thousand push out each other, and the count of an account under attack stays. Rate limits and lockouts are counted apart:
// to be counted for a rate limit costs a request, for a lockout the hash of a password, and the cheap must not push out
// the dear.
type Attempts struct {
	windows, lockouts *tally
}

// tally counts keys.
type tally struct {
	max   int
	seeds [2]maphash.Seed

	mu      sync.Mutex
	entries slab[attempt]
	keys    index
	expiry  queue
	tries   ladder
}

// attempt is the count of one key. A key is known by 128 bits of two seeded hashes: its length costs nothing, and nobody
// outside can make two that meet.
type attempt struct {
	key   [2]uint64
	count uint32
	place uint32 // in expiry
	link         // on the rung of tries
}

// topRung is where all stand who tried as often or more: enough to tell them from the many who tried once.
const topRung = 255

// NewAttempts answers an empty counter.
func NewAttempts(cfg AttemptsConfig) *Attempts {
	if cfg.Max <= 0 {
		cfg.Max = defaultMaxAttempts
	}
	return &Attempts{windows: newTally(cfg.Max), lockouts: newTally(cfg.Max)}
}

func newTally(limit int) *tally {
	t := &tally{max: limit, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	t.keys = index{hash: func(slot uint32) uint64 { return t.entries.at(slot).key[0] }}
	t.expiry = queue{moved: func(slot uint32, place int) { t.entries.at(slot).place = uint32(place) }}
	t.tries = ladder{links: func(slot uint32) *link { return &t.entries.at(slot).link }}
	return t
}

// CountAttempt implements authcore.AttemptCounter.
func (s *Attempts) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	if err := alive(ctx); err != nil {
		return authcore.Attempts{}, err
	}
	t := s.windows
	hashed := t.hash(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.open(hashed, now.UnixMicro())
	if slot == 0 {
		slot = t.begin(hashed, now, now.Add(window))
	}
	t.count(slot)
	return t.answer(slot), nil
}

// CountLockout implements authcore.AttemptCounter.
func (s *Attempts) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	if err := alive(ctx); err != nil {
		return authcore.Attempts{}, err
	}
	t := s.lockouts
	hashed := t.hash(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.open(hashed, now.UnixMicro())
	if slot == 0 {
		slot = t.begin(hashed, now, now.Add(l.Forget))
	} else if int(t.entries.at(slot).count) >= l.Tries {
		return authcore.Attempts{Count: l.Tries + 1, Reset: time.UnixMicro(t.reset(slot)).UTC()}, nil
	}
	t.count(slot)
	if int(t.entries.at(slot).count) >= l.Tries {
		t.until(slot, now.Add(l.Suspend))
	} else {
		t.until(slot, now.Add(l.Forget))
	}
	return t.answer(slot), nil
}

// Attempts implements authcore.AttemptCounter.
func (s *Attempts) Attempts(ctx context.Context, key string, now time.Time) (authcore.Attempts, error) {
	if err := alive(ctx); err != nil {
		return authcore.Attempts{}, err
	}
	a := s.lockouts.look(key, now)
	if a.Count == 0 {
		a = s.windows.look(key, now)
	}
	return a, nil
}

// ClearAttempts implements authcore.AttemptCounter.
func (s *Attempts) ClearAttempts(ctx context.Context, key string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.windows.clear(key)
	s.lockouts.clear(key)
	return nil
}

func (t *tally) look(key string, now time.Time) authcore.Attempts {
	hashed := t.hash(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	if slot := t.find(hashed); slot != 0 && t.reset(slot) > now.UnixMicro() {
		return t.answer(slot)
	}
	return authcore.Attempts{}
}

func (t *tally) clear(key string) {
	hashed := t.hash(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	if slot := t.find(hashed); slot != 0 {
		t.drop(slot)
	}
}

// open answers the record of a key whose time has not ended, or 0.
func (t *tally) open(key [2]uint64, now int64) uint32 {
	slot := t.find(key)
	if slot != 0 && t.reset(slot) <= now {
		t.drop(slot)
		slot = 0
	}
	return slot
}

// begin makes the record of a key that has none, with no tries yet.
func (t *tally) begin(key [2]uint64, now, until time.Time) uint32 {
	t.makeRoom(now.UnixMicro())
	slot := t.entries.take()
	t.entries.at(slot).key = key
	t.keys.add(slot)
	t.expiry.push(until.UnixMicro(), slot)
	t.tries.add(slot, 0)
	return slot
}

func (t *tally) count(slot uint32) {
	e := t.entries.at(slot)
	if e.count < math.MaxUint32 {
		t.tries.move(slot, rung(e.count), rung(e.count+1))
		e.count++
	}
}

func (t *tally) until(slot uint32, at time.Time) {
	t.expiry.remove(int(t.entries.at(slot).place))
	t.expiry.push(at.UnixMicro(), slot)
}

func (t *tally) answer(slot uint32) authcore.Attempts {
	return authcore.Attempts{Count: int(t.entries.at(slot).count), Reset: time.UnixMicro(t.reset(slot)).UTC()}
}

// makeRoom lets go of up to two windows that ended, so that a store that is not full empties with use, and of a key with
// few tries where the store is full.
func (t *tally) makeRoom(now int64) {
	for range 2 {
		if slot := t.expiry.over(now); slot != 0 {
			t.drop(slot)
		}
	}
	if t.entries.used >= t.max {
		t.drop(t.tries.lowest())
	}
}

func (t *tally) drop(slot uint32) {
	e := t.entries.at(slot)
	t.keys.remove(slot)
	t.expiry.remove(int(e.place))
	t.tries.remove(slot, rung(e.count))
	t.entries.give(slot)
}

func (t *tally) reset(slot uint32) int64 { return t.expiry.items[t.entries.at(slot).place].at }

func (t *tally) find(key [2]uint64) uint32 {
	return t.keys.find(key[0], func(slot uint32) bool { return t.entries.at(slot).key == key })
}

func (t *tally) hash(key string) [2]uint64 {
	return [2]uint64{maphash.String(t.seeds[0], key), maphash.String(t.seeds[1], key)}
}

func rung(count uint32) int { return int(min(count, topRung)) }

var _ authcore.AttemptCounter = (*Attempts)(nil)
