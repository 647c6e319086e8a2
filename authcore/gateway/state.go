package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is what an instance remembers across reloads of its configuration: sessions that ended while access tokens of
// theirs are still unexpired, and the streams that are open. Everything else is in a store.
type State struct {
	mu      sync.RWMutex
	ended   map[string]time.Time // session id → when its last access token has expired
	streams map[string]map[*stream]struct{}
	any     atomic.Bool // whether ended has entries, so that the common case takes no lock

	born atomic.Int64 // Unix seconds; sessions that ended before are not in ended
}

// NewState makes an empty state.
func NewState() *State {
	return &State{ended: make(map[string]time.Time), streams: make(map[string]map[*stream]struct{})}
}

// end makes the end of a session hold on this instance at once: its access tokens count no more, its streams close.
// The time is when the last of its access tokens has expired.
func (s *State) end(id string, until time.Time) {
	s.mu.Lock()
	s.ended[id] = until
	s.any.Store(true)
	open := s.streams[id]
	delete(s.streams, id)
	s.mu.Unlock()
	for st := range open {
		st.cut()
	}
}

func (s *State) isEnded(id string) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[id]
	return ended
}

// open registers a stream of a session, or reports false where the session has ended in the meantime.
func (s *State) open(id string, st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := s.ended[id]; ended {
		return false
	}
	if s.streams[id] == nil {
		s.streams[id] = make(map[*stream]struct{})
	}
	s.streams[id][st] = struct{}{}
	return true
}

func (s *State) close(id string, st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.streams[id], st); len(s.streams[id]) == 0 {
		delete(s.streams, id)
	}
}

func (s *State) clean(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, until := range s.ended {
		if !now.Before(until) {
			delete(s.ended, id)
		}
	}
	s.any.Store(len(s.ended) > 0)
}

// begin notes when this state began to note which sessions end.
func (s *State) begin(now time.Time) { s.born.CompareAndSwap(0, now.Unix()) }

// predates reports whether a token may have been issued before this state began to note which sessions end.
func (s *State) predates(issued time.Time) bool { return issued.Unix() <= s.born.Load() }
