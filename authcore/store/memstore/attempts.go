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
	Max int // keys counted at the same time, at most; default 262144, about 15 MB however long they are
}

const defaultMaxAttempts = 1 << 18

// Attempts counts tries in memory, for a bounded number of keys.
//
// A full store first forgets windows that ended, then the key with the fewest tries, of several the one that came first.
// Refusing to count would let a flood of keys shut out everybody; forgetting the oldest or a random key would let it wash
// away the lockout that it is working against. So keys made up by the hundred thousand push out each other, and
// the count of an account under attack stays.
type Attempts struct {
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
	s := &Attempts{max: cfg.Max, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	if s.max <= 0 {
		s.max = defaultMaxAttempts
	}
	s.keys = index{hash: func(slot uint32) uint64 { return s.entries.at(slot).key[0] }}
	s.expiry = queue{moved: func(slot uint32, place int) { s.entries.at(slot).place = uint32(place) }}
	s.tries = ladder{links: func(slot uint32) *link { return &s.entries.at(slot).link }}
	return s
}

// CountAttempt implements authcore.AttemptCounter.
func (s *Attempts) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	if err := alive(ctx); err != nil {
		return authcore.Attempts{}, err
	}
	hashed, at := s.hash(key), now.UnixMicro()
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.find(hashed)
	if slot != 0 && s.reset(slot) <= at {
		s.drop(slot)
		slot = 0
	}
	if slot == 0 {
		s.makeRoom(at)
		slot = s.entries.take()
		s.entries.at(slot).key = hashed
		s.keys.add(slot)
		s.expiry.push(now.Add(window).UnixMicro(), slot)
		s.tries.add(slot, 0)
	}
	e := s.entries.at(slot)
	if e.count < math.MaxUint32 {
		s.tries.move(slot, rung(e.count), rung(e.count+1))
		e.count++
	}
	return authcore.Attempts{Count: int(e.count), Reset: time.UnixMicro(s.reset(slot)).UTC()}, nil
}

// ClearAttempts implements authcore.AttemptCounter.
func (s *Attempts) ClearAttempts(ctx context.Context, key string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	hashed := s.hash(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.find(hashed); slot != 0 {
		s.drop(slot)
	}
	return nil
}

// makeRoom lets go of up to two windows that ended, so that a store that is not full empties with use, and of a key with
// few tries where the store is full.
func (s *Attempts) makeRoom(now int64) {
	for range 2 {
		if slot := s.expiry.over(now); slot != 0 {
			s.drop(slot)
		}
	}
	if s.entries.used >= s.max {
		s.drop(s.tries.lowest())
	}
}

func (s *Attempts) drop(slot uint32) {
	e := s.entries.at(slot)
	s.keys.remove(slot)
	s.expiry.remove(int(e.place))
	s.tries.remove(slot, rung(e.count))
	s.entries.give(slot)
}

func (s *Attempts) reset(slot uint32) int64 { return s.expiry.items[s.entries.at(slot).place].at }

func (s *Attempts) find(key [2]uint64) uint32 {
	return s.keys.find(key[0], func(slot uint32) bool { return s.entries.at(slot).key == key })
}

func (s *Attempts) hash(key string) [2]uint64 {
	return [2]uint64{maphash.String(s.seeds[0], key), maphash.String(s.seeds[1], key)}
}

func rung(count uint32) int { return int(min(count, topRung)) }

var _ authcore.AttemptCounter = (*Attempts)(nil)
