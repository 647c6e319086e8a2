package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CreateInvite implements authcore.Invites.
func (s *Store) CreateInvite(ctx context.Context, i authcore.Invite) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, other := range s.invites {
		if id == i.ID || other.KeyHash == i.KeyHash {
			return refuse(authcore.ErrConflict)
		}
	}
	i = copyInvite(i)
	i.Created, i.Expires = instant(i.Created), instant(i.Expires)
	s.invites[i.ID] = i
	return nil
}

// Invite implements authcore.Invites. It looks at all there are.
func (s *Store) Invite(ctx context.Context, keyHash [32]byte) (authcore.Invite, error) {
	if err := alive(ctx); err != nil {
		return authcore.Invite{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.invite(keyHash)
}

// UseInvite implements authcore.Invites.
func (s *Store) UseInvite(ctx context.Context, keyHash [32]byte, now time.Time) (authcore.Invite, error) {
	if err := alive(ctx); err != nil {
		return authcore.Invite{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.invite(keyHash)
	if err != nil {
		return authcore.Invite{}, err
	}
	if !i.Live(now) {
		return authcore.Invite{}, refuse(authcore.ErrInviteExpired)
	}
	i.Used++
	s.invites[i.ID] = i
	return copyInvite(i), nil
}

// InvitesOpen implements authcore.Invites.
func (s *Store) InvitesOpen(ctx context.Context) ([]authcore.Invite, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []authcore.Invite
	for _, i := range s.invites {
		all = append(all, copyInvite(i))
	}
	slices.SortFunc(all, func(a, b authcore.Invite) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	return all, nil
}

// RevokeInvite implements authcore.Invites.
func (s *Store) RevokeInvite(ctx context.Context, id string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.invites[id]; !ok {
		return refuse(authcore.ErrInviteNotFound)
	}
	delete(s.invites, id)
	return nil
}

// DeleteExpiredInvites implements authcore.Invites.
func (s *Store) DeleteExpiredInvites(ctx context.Context, before time.Time) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for id, i := range s.invites {
		if !before.Before(i.Expires) {
			delete(s.invites, id)
			deleted++
		}
	}
	return deleted, nil
}

func (s *Store) invite(keyHash [32]byte) (authcore.Invite, error) {
	for _, i := range s.invites {
		if i.KeyHash == keyHash {
			return copyInvite(i), nil
		}
	}
	return authcore.Invite{}, refuse(authcore.ErrInviteNotFound)
}

func copyInvite(i authcore.Invite) authcore.Invite {
	i.Roles = slices.Clone(i.Roles)
	return i
}
