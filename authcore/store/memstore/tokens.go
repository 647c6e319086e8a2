package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CreatePersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) CreatePersonalAccessToken(ctx context.Context, t authcore.PersonalAccessToken) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.users[t.UserID]; !ok {
		return refuse(authcore.ErrUserNotFound)
	}
	if _, ok := s.tokens[t.ID]; ok {
		return refuse(authcore.ErrConflict)
	}
	t = copyToken(t)
	t.Created, t.Expires, t.LastUsed = instant(t.Created), instant(t.Expires), instant(t.LastUsed)
	s.tokens[t.ID] = t
	return nil
}

// PersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) PersonalAccessToken(ctx context.Context, id string) (authcore.PersonalAccessToken, error) {
	if err := alive(ctx); err != nil {
		return authcore.PersonalAccessToken{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tokens[id]
	if !ok {
		return authcore.PersonalAccessToken{}, refuse(authcore.ErrPersonalAccessTokenNotFound)
	}
	return copyToken(t), nil
}

// PersonalAccessTokensOf implements authcore.PersonalAccessTokens. It looks at all there are.
func (s *Store) PersonalAccessTokensOf(ctx context.Context, userID string) ([]authcore.PersonalAccessToken, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []authcore.PersonalAccessToken
	for _, t := range s.tokens {
		if t.UserID == userID {
			all = append(all, copyToken(t))
		}
	}
	slices.SortFunc(all, func(a, b authcore.PersonalAccessToken) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// NotePersonalAccessTokens implements authcore.PersonalAccessTokens.
func (s *Store) NotePersonalAccessTokens(ctx context.Context, used map[string]time.Time) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, at := range used {
		if t, ok := s.tokens[id]; ok && instant(at).After(t.LastUsed) {
			t.LastUsed = instant(at)
			s.tokens[id] = t
		}
	}
	return nil
}

// DeletePersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) DeletePersonalAccessToken(ctx context.Context, userID, id string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tokens[id]; !ok || t.UserID != userID {
		return refuse(authcore.ErrPersonalAccessTokenNotFound)
	}
	delete(s.tokens, id)
	return nil
}

// DeleteExpiredPersonalAccessTokens implements authcore.PersonalAccessTokens.
func (s *Store) DeleteExpiredPersonalAccessTokens(ctx context.Context, before time.Time) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for id, t := range s.tokens {
		if !t.Live(before) {
			delete(s.tokens, id)
			deleted++
		}
	}
	return deleted, nil
}

func copyToken(t authcore.PersonalAccessToken) authcore.PersonalAccessToken {
	t.Roles, t.Paths = slices.Clone(t.Roles), slices.Clone(t.Paths)
	return t
}

var _ authcore.PersonalAccessTokens = (*Store)(nil)
