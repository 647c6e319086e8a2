package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// underway are the requests that were handed over, while they are young. Nearly all are done before they are looked at:
// they cost two short locks and no memory, and there is one timer for all of them. What is not done after one to two
// turns is followed as a stream; so it ends within a second of its session also where that ends before.
type underway struct {
	lanes   [8]lane // one lock would be every processor's
	ticking atomic.Bool
	timer   *time.Timer // of whoever made ticking true
}

// aTurn is how long a request has at least before it is a stream. Two are well below the second in which streams end.
const aTurn = 300 * time.Millisecond

// lane holds requests in two halves: those that came in this turn, and those that were there before.
type lane struct {
	mu    sync.Mutex
	heads [2]*stream
	young uint8 // which half is of this turn
	_     [32]byte
}

func (u *underway) init() {
	u.timer = time.AfterFunc(time.Hour, u.turn)
	u.timer.Stop()
}

func (u *underway) add(s *stream) {
	s.lane = &u.lanes[0]
	if id := s.ticket.identity.Subject; id != "" {
		s.lane = &u.lanes[id[len(id)-1]%byte(len(u.lanes))] // the last of random digits
	}
	s.lane.add(s)
	if !u.ticking.Load() {
		u.tick()
	}
}

// tick has the next turn come, unless it will anyway.
func (u *underway) tick() {
	if u.ticking.CompareAndSwap(false, true) {
		u.timer.Reset(aTurn)
	}
}

// turn begins a turn: what has been waiting for all of the last one is followed.
func (u *underway) turn() {
	waiting := false
	for i := range u.lanes {
		old, more := u.lanes[i].turn()
		waiting = waiting || more
		for old != nil {
			next := old.next // the lane's no more, and nobody else's
			old.next = nil
			if !old.follow() && old.end() {
				go old.gateway.realm.tellEnded(old.ticket.identity.Subject, 1)
			}
			old = next
		}
	}
	if waiting {
		u.timer.Reset(aTurn)
		return
	}
	u.ticking.Store(false)
	// What came since its lane was looked at may have relied on this turn.
	for i := range u.lanes {
		if u.lanes[i].holds() {
			u.tick()
			return
		}
	}
}

func (l *lane) add(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.linked, s.turn = true, l.young
	if s.next = l.heads[l.young]; s.next != nil {
		s.next.prev = s
	}
	l.heads[l.young] = s
}

// remove reports false where the request is not there any more, since it is followed or about to be.
func (l *lane) remove(s *stream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.linked {
		return false
	}
	s.linked = false
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.heads[s.turn] = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
	return true
}

// turn takes out what was there in the last turn already, and reports whether anything is left.
func (l *lane) turn() (old *stream, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.young = 1 - l.young
	old, l.heads[l.young] = l.heads[l.young], nil
	for s := old; s != nil; s = s.next {
		s.linked, s.prev = false, nil
	}
	return old, l.heads[1-l.young] != nil
}

func (l *lane) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heads[0] != nil || l.heads[1] != nil
}
