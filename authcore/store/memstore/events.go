package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// chronicle is the audit log. Slices are only ever appended to, or replaced by new ones, so that a copy of the struct is a
// copy of the log.
type chronicle struct {
	waiting []authcore.Event // not sealed
	sealed  []authcore.Event // oldest first
	head    authcore.EventHead
	anchor  authcore.EventHead
}

// copy answers one that can be appended to without the other being changed.
func (c chronicle) copy() chronicle {
	c.waiting, c.sealed = slices.Clip(c.waiting), slices.Clip(c.sealed)
	return c
}

// AddEvent implements authcore.Events. An id that is stored already is ErrConflict where the event is not sealed yet.
func (s *Store) AddEvent(ctx context.Context, e authcore.Event) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.events.waiting, func(o authcore.Event) bool { return o.ID == e.ID }) {
		return refuse(authcore.ErrConflict)
	}
	e = copyEvent(e)
	e.Number, e.Hash, e.Time = 0, [32]byte{}, instant(e.Time)
	s.events.waiting = append(s.events.waiting, e)
	return nil
}

// SealEvents implements authcore.Events.
func (s *Store) SealEvents(ctx context.Context, n int) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.events
	waiting := slices.SortedStableFunc(slices.Values(c.waiting), func(a, b authcore.Event) int { return a.Time.Compare(b.Time) })
	n = max(0, min(n, len(waiting)))
	for _, e := range waiting[:n] {
		c.head = e.Seal(c.head)
		e.Number, e.Hash = c.head.Number, c.head.Hash
		c.sealed = append(c.sealed, e)
	}
	c.waiting = waiting[n:]
	return n, nil
}

// Events implements authcore.Events. It looks at all there are.
func (s *Store) Events(ctx context.Context, q authcore.EventQuery) ([]authcore.Event, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	limit := cmp.Or(q.Limit, authcore.DefaultEvents)
	var found []authcore.Event
	for _, e := range slices.Backward(s.events.sealed) {
		if len(found) == limit {
			break
		}
		if q.Chooses(e) {
			found = append(found, copyEvent(e))
		}
	}
	return found, nil
}

// WalkEvents implements authcore.Events. It tells what was there when it was called.
func (s *Store) WalkEvents(ctx context.Context, f func(e authcore.Event) error) (anchor authcore.EventHead, err error) {
	if err := alive(ctx); err != nil {
		return authcore.EventHead{}, err
	}
	s.mu.RLock()
	c := s.events.copy()
	s.mu.RUnlock()
	for _, e := range c.sealed {
		if err := f(copyEvent(e)); err != nil {
			return c.anchor, err
		}
		if err := alive(ctx); err != nil {
			return c.anchor, err
		}
	}
	return c.anchor, nil
}

// EventHead implements authcore.Events.
func (s *Store) EventHead(ctx context.Context) (head authcore.EventHead, waiting int, err error) {
	if err := alive(ctx); err != nil {
		return authcore.EventHead{}, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.events.head, len(s.events.waiting), nil
}

// EraseEvents implements authcore.Events.
func (s *Store) EraseEvents(ctx context.Context, userID string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range []*[]authcore.Event{&s.events.waiting, &s.events.sealed} {
		all := slices.Clone(*list)
		for i, e := range all {
			switch userID {
			case e.Subject:
				all[i].Client, all[i].UserAgent, all[i].Detail, all[i].Salt = "", "", "", nil
			case e.Actor:
				all[i].EraseClient()
			}
		}
		*list = all
	}
	return nil
}

// DeleteEvents implements authcore.Events.
func (s *Store) DeleteEvents(ctx context.Context, before time.Time) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.events
	n := slices.IndexFunc(c.sealed, func(e authcore.Event) bool { return !e.Time.Before(before) })
	if n < 0 {
		n = len(c.sealed)
	}
	if n > 0 {
		last := c.sealed[n-1]
		c.anchor = authcore.EventHead{Number: last.Number, Hash: last.Hash}
		c.sealed = slices.Clone(c.sealed[n:])
	}
	return n, nil
}

func copyEvent(e authcore.Event) authcore.Event {
	e.Salt = slices.Clone(e.Salt)
	return e
}
