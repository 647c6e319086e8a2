package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// ReplaceConfirmation implements authcore.Confirmations. A key that is stored for somebody else is ErrConflict.
func (s *Store) ReplaceConfirmation(ctx context.Context, c authcore.Confirmation) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	place := confirmationKey{c.Purpose, c.Subject}
	for other, old := range s.confirmations {
		if other != place && old.KeyHash == c.KeyHash {
			return refuse(authcore.ErrConflict)
		}
	}
	c = copyConfirmation(c)
	c.Created, c.Expires = instant(c.Created), instant(c.Expires)
	s.confirmations[place] = c
	return nil
}

// Confirmation implements authcore.Confirmations. It looks at all there are.
func (s *Store) Confirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte) (authcore.Confirmation, error) {
	if err := alive(ctx); err != nil {
		return authcore.Confirmation{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.confirmation(purpose, keyHash)
}

// ConsumeConfirmation implements authcore.Confirmations.
func (s *Store) ConsumeConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte, now time.Time) (authcore.Confirmation, error) {
	if err := alive(ctx); err != nil {
		return authcore.Confirmation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.confirmation(purpose, keyHash)
	if err != nil {
		return authcore.Confirmation{}, err
	}
	if !now.Before(c.Expires) {
		return authcore.Confirmation{}, refuse(authcore.ErrConfirmationExpired)
	}
	delete(s.confirmations, confirmationKey{c.Purpose, c.Subject})
	return c, nil
}

// DeleteConfirmation implements authcore.Confirmations.
func (s *Store) DeleteConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, subject string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.confirmations, confirmationKey{purpose, subject})
	return nil
}

// DeleteExpiredConfirmations implements authcore.Confirmations.
func (s *Store) DeleteExpiredConfirmations(ctx context.Context, before time.Time) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for place, c := range s.confirmations {
		if !before.Before(c.Expires) {
			delete(s.confirmations, place)
			deleted++
		}
	}
	return deleted, nil
}

func (s *Store) confirmation(purpose authcore.ConfirmationPurpose, keyHash [32]byte) (authcore.Confirmation, error) {
	for place, c := range s.confirmations {
		if place.purpose == purpose && c.KeyHash == keyHash {
			return copyConfirmation(c), nil
		}
	}
	return authcore.Confirmation{}, refuse(authcore.ErrConfirmationNotFound)
}

func copyConfirmation(c authcore.Confirmation) authcore.Confirmation {
	c.Data = slices.Clone(c.Data)
	return c
}
