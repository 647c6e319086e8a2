package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CreateSession implements authcore.Sessions. It answers ErrUserNotFound where the user is not, so that a sign-in that was
// on its way while the account was deleted opens nothing, and ErrConflict where the id is stored already.
func (s *Store) CreateSession(ctx context.Context, created authcore.Session) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.users[created.UserID]; !ok {
		return refuse(authcore.ErrUserNotFound)
	}
	if _, ok := s.sessions[created.ID]; ok {
		return refuse(authcore.ErrConflict)
	}
	s.putSession(created)
	return nil
}

// Session implements authcore.Sessions.
func (s *Store) Session(ctx context.Context, id string) (authcore.Session, error) {
	if err := alive(ctx); err != nil {
		return authcore.Session{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, ok := s.sessions[id]
	if !ok {
		return authcore.Session{}, refuse(authcore.ErrSessionNotFound)
	}
	return copySession(found), nil
}

// UpdateSession implements authcore.Sessions. A session never changes hands: for another user than the one who opened it,
// it is not found.
func (s *Store) UpdateSession(ctx context.Context, next authcore.Session) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.sessions[next.ID]
	switch {
	case !ok || old.UserID != next.UserID:
		return refuse(authcore.ErrSessionNotFound)
	case old.Version != next.Version:
		return refuse(authcore.ErrConflict)
	}
	next.Version++
	s.putSession(next)
	return nil
}

// EndSession implements authcore.Sessions.
func (s *Store) EndSession(ctx context.Context, ids ...string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.sessions, id)
	}
	return nil
}

// EndSessionsOf implements authcore.Sessions. It looks at all sessions there are.
func (s *Store) EndSessionsOf(ctx context.Context, userID, but string, spare int, now time.Time) ([]string, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []authcore.Session
	for _, one := range s.sessions {
		if one.UserID == userID && one.ID != but && one.Live(now) {
			open = append(open, one)
		}
	}
	slices.SortFunc(open, func(a, b authcore.Session) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	var ended []string
	for _, one := range open[min(spare, len(open)):] {
		delete(s.sessions, one.ID)
		ended = append(ended, one.ID)
	}
	return ended, nil
}

// SessionsOf implements authcore.Sessions. It looks at all sessions there are.
func (s *Store) SessionsOf(ctx context.Context, userID string, now time.Time) ([]authcore.Session, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var open []authcore.Session
	for _, one := range s.sessions {
		if one.UserID == userID && one.Live(now) {
			open = append(open, copySession(one))
		}
	}
	slices.SortFunc(open, func(a, b authcore.Session) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return open, nil
}

// DeleteExpiredSessions implements authcore.Sessions.
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for id, one := range s.sessions {
		if !one.Live(now) {
			delete(s.sessions, id)
			deleted++
		}
	}
	return deleted, nil
}

func (s *Store) putSession(one authcore.Session) {
	one = copySession(one)
	for i := range one.Methods {
		one.Methods[i].Time = instant(one.Methods[i].Time)
	}
	one.Created, one.LastSeen = instant(one.Created), instant(one.LastSeen)
	one.IdleUntil, one.Until = instant(one.IdleUntil), instant(one.Until)
	one.Refresh.Rotated = instant(one.Refresh.Rotated)
	s.sessions[one.ID] = one
}

func copySession(one authcore.Session) authcore.Session {
	one.Methods = slices.Clone(one.Methods)
	return one
}
