package memstore

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// ChallengesConfig bounds a Challenges. Zero values are the defaults.
type ChallengesConfig struct {
	Max     int // unanswered challenges, at most; default 262144, about 40 MB where each is of another client
	MaxData int // bytes of challenge data beyond the 32 of each that are counted above, at most; default 64 MiB
}

const (
	defaultMaxChallenges = 1 << 18
	defaultMaxData       = 64 << 20
)

// Challenges keeps unanswered challenges in memory, a bounded number of them.
//
// A full store first lets go of what expired, then of the oldest challenge of the client that holds the most (Client of
// the challenge; no client is one client too). So whoever floods it pushes out only their own, and somebody who is
// signing in is not disturbed. Where no client holds more than one, new ones are refused with ErrChallengeLimit: all who
// are in the middle of signing in go on.
//
// The client itself is not kept, only a hash of it, so a consumed challenge comes back without Client.
// One lock guards it all; an operation holds it for about a microsecond.
type Challenges struct {
	max, maxData int
	seed         maphash.Seed

	mu       sync.Mutex
	entries  slab[entry]
	ids      index
	expiry   queue
	clients  slab[client]
	byClient index
	crowd    ladder // clients by how many challenges they hold
	bindings interned
	long     map[uint32][]byte // data that does not fit into the entry
	longSize int
}

// entry is a challenge. Its client has a chain of all its challenges, oldest first.
type entry struct {
	id      [32]byte
	data    [32]byte
	size    uint32 // of the data; above 32 it is in long
	binding uint32
	client  uint32
	place   uint32 // in expiry
	link           // in the chain of the client
}

// client is who holds challenges, by the hash of their name.
type client struct {
	hash  uint64
	held  uint32
	chain list
	link  // on the rung of the crowd
}

// NewChallenges answers an empty store.
func NewChallenges(cfg ChallengesConfig) *Challenges {
	s := &Challenges{max: cfg.Max, maxData: cfg.MaxData, seed: maphash.MakeSeed()}
	if s.max <= 0 {
		s.max = defaultMaxChallenges
	}
	if s.maxData <= 0 {
		s.maxData = defaultMaxData
	}
	s.reset()
	return s
}

func (s *Challenges) reset() {
	s.entries = slab[entry]{}
	s.ids = index{hash: func(slot uint32) uint64 { return maphash.Bytes(s.seed, s.entries.at(slot).id[:]) }}
	s.expiry = queue{moved: func(slot uint32, place int) { s.entries.at(slot).place = uint32(place) }}
	s.clients = slab[client]{}
	s.byClient = index{hash: func(slot uint32) uint64 { return s.clients.at(slot).hash }}
	s.crowd = ladder{links: func(slot uint32) *link { return &s.clients.at(slot).link }}
	s.bindings = interned{slots: map[authcore.Binding]uint32{}}
	s.long, s.longSize = map[uint32][]byte{}, 0
}

// CreateChallenge implements authcore.Challenges.
func (s *Challenges) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(c.ID) != 0 {
		return refuse(authcore.ErrConflict)
	}
	if !s.makeRoom(beyond(len(c.Data)), now.UnixMicro()) {
		return refuse(authcore.ErrChallengeLimit)
	}
	s.put(c)
	return nil
}

// ConsumeChallenge implements authcore.Challenges.
func (s *Challenges) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	if err := alive(ctx); err != nil {
		return authcore.Challenge{}, err
	}
	c, ok := s.take(id)
	if !ok {
		return authcore.Challenge{}, refuse(authcore.ErrChallengeNotFound)
	}
	if err := c.Check(want, now); err != nil {
		return authcore.Challenge{}, refuse(err)
	}
	return c, nil
}

// DeleteExpiredChallenges implements authcore.Challenges. It stops when ctx ends, with what it deleted until then.
func (s *Challenges) DeleteExpiredChallenges(ctx context.Context, before time.Time) (int, error) {
	deleted := 0
	for {
		if err := alive(ctx); err != nil {
			return deleted, err
		}
		n := s.deleteSome(before.UnixMicro())
		deleted += n
		if n < expiryBatch {
			return deleted, nil
		}
	}
}

// Ping answers nil while ctx lives.
func (s *Challenges) Ping(ctx context.Context) error { return alive(ctx) }

// expiryBatch is how many are deleted under one hold of the lock, so that nobody who signs in waits for the sweeping up
// after a flood.
const expiryBatch = 512

func (s *Challenges) deleteSome(before int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range expiryBatch {
		slot := s.expiry.over(before)
		if slot == 0 {
			return n
		}
		s.drop(slot)
	}
	return expiryBatch
}

// makeRoom reports whether there is room for one more with so much data beyond the entry, having made some if need be.
func (s *Challenges) makeRoom(more int, now int64) bool {
	if more > s.maxData {
		return false
	}
	for s.entries.used >= s.max || s.longSize+more > s.maxData {
		slot := s.expiry.over(now)
		if slot == 0 {
			most := s.clients.at(s.crowd.highest())
			if most.held < 2 {
				return false
			}
			slot = most.chain.first
		}
		s.drop(slot)
	}
	return true
}

func (s *Challenges) put(c authcore.Challenge) {
	slot := s.entries.take()
	e := s.entries.at(slot)
	e.id, e.size, e.binding = c.ID, uint32(len(c.Data)), s.bindings.hold(c.Binding)
	if more := beyond(len(c.Data)); more > 0 {
		s.long[slot] = slices.Clone(c.Data)
		s.longSize += more
	} else {
		copy(e.data[:], c.Data)
	}
	s.ids.add(slot)
	s.expiry.push(c.Expires.UnixMicro(), slot)
	e.client = s.clientOf(c.Client)
	s.clients.at(e.client).chain.push(slot, s.links)
	s.climb(e.client, +1)
}

func (s *Challenges) take(id [32]byte) (authcore.Challenge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.find(id)
	if slot == 0 {
		return authcore.Challenge{}, false
	}
	e := s.entries.at(slot)
	c := authcore.Challenge{
		ID:      id,
		Binding: s.bindings.at(e.binding),
		Data:    s.long[slot],
		Expires: time.UnixMicro(s.expiry.items[e.place].at).UTC(),
	}
	if beyond(int(e.size)) == 0 {
		c.Data = bytes.Clone(e.data[:e.size])
	}
	s.drop(slot)
	return c, true
}

func (s *Challenges) drop(slot uint32) {
	e := s.entries.at(slot)
	s.ids.remove(slot)
	s.expiry.remove(int(e.place))
	s.clients.at(e.client).chain.remove(slot, s.links)
	s.climb(e.client, -1)
	s.bindings.release(e.binding)
	if more := beyond(int(e.size)); more > 0 {
		delete(s.long, slot)
		s.longSize -= more
	}
	s.entries.give(slot)
	// When a flood is over, its memory goes back.
	if s.entries.used == 0 && len(s.entries.pages) > 1 {
		s.reset()
	}
}

// clientOf answers the record of a client, a new one where it holds nothing yet.
func (s *Challenges) clientOf(name string) uint32 {
	hash := maphash.String(s.seed, name)
	slot := s.byClient.find(hash, func(slot uint32) bool { return s.clients.at(slot).hash == hash })
	if slot == 0 {
		slot = s.clients.take()
		s.clients.at(slot).hash = hash
		s.byClient.add(slot)
		s.crowd.add(slot, 0)
	}
	return slot
}

// climb moves a client by one rung, and forgets it where it holds nothing any more.
func (s *Challenges) climb(slot uint32, by int) {
	c := s.clients.at(slot)
	from, to := int(c.held), int(c.held)+by
	c.held = uint32(to)
	if to > 0 {
		s.crowd.move(slot, from, to)
		return
	}
	s.crowd.remove(slot, from)
	s.byClient.remove(slot)
	s.clients.give(slot)
}

func (s *Challenges) find(id [32]byte) uint32 {
	return s.ids.find(maphash.Bytes(s.seed, id[:]), func(slot uint32) bool { return s.entries.at(slot).id == id })
}

func (s *Challenges) links(slot uint32) *link { return &s.entries.at(slot).link }

// beyond is how much data of this size takes beside the entry.
func beyond(size int) int {
	if size > len(entry{}.data) {
		return size
	}
	return 0
}

// interned keeps each binding once: all challenges of a site are bound alike, but for the subjects.
type interned struct {
	slots map[authcore.Binding]uint32
	kept  slab[shared]
}

type shared struct {
	authcore.Binding
	holders int
}

func (n *interned) at(slot uint32) authcore.Binding { return n.kept.at(slot).Binding }

func (n *interned) hold(b authcore.Binding) uint32 {
	slot, ok := n.slots[b]
	if !ok {
		slot = n.kept.take()
		n.kept.at(slot).Binding = b
		n.slots[b] = slot
	}
	n.kept.at(slot).holders++
	return slot
}

func (n *interned) release(slot uint32) {
	one := n.kept.at(slot)
	one.holders--
	if one.holders == 0 {
		delete(n.slots, one.Binding)
		n.kept.give(slot)
	}
}

var (
	_ authcore.Challenges = (*Challenges)(nil)
	_ authcore.Health     = (*Challenges)(nil)
)
