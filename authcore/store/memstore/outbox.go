package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// AddMail implements authcore.Outbox. An id that is stored already is ErrConflict.
func (s *Store) AddMail(ctx context.Context, m authcore.SealedMail) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.mails[m.ID]; there {
		return refuse(authcore.ErrConflict)
	}
	m.Sealed = slices.Clone(m.Sealed)
	m.Created, m.Due = instant(m.Created), instant(m.Due)
	s.mails[m.ID] = m
	return nil
}

// ClaimMails implements authcore.Outbox.
func (s *Store) ClaimMails(ctx context.Context, n int, now, until time.Time) ([]authcore.SealedMail, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []authcore.SealedMail
	for _, m := range s.mails {
		if !now.Before(m.Due) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b authcore.SealedMail) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	due = due[:max(0, min(n, len(due)))]
	for i := range due {
		due[i].Due = instant(until)
		due[i].Tries++
		s.mails[due[i].ID] = due[i]
		due[i].Sealed = slices.Clone(due[i].Sealed)
	}
	return due, nil
}

// DeferMail implements authcore.Outbox.
func (s *Store) DeferMail(ctx context.Context, m authcore.SealedMail, due time.Time) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, there := s.mails[m.ID]; there && held.Tries == m.Tries {
		held.Due = instant(due)
		s.mails[m.ID] = held
	}
	return nil
}

// DeleteMail implements authcore.Outbox.
func (s *Store) DeleteMail(ctx context.Context, m authcore.SealedMail) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, there := s.mails[m.ID]; there && held.Tries == m.Tries {
		delete(s.mails, m.ID)
	}
	return nil
}

// MailWaiting implements authcore.Outbox.
func (s *Store) MailWaiting(ctx context.Context) (n int, oldest time.Time, err error) {
	if err := alive(ctx); err != nil {
		return 0, time.Time{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.mails {
		if n == 0 || m.Created.Before(oldest) {
			oldest = m.Created
		}
		n++
	}
	return n, oldest, nil
}
