package sqlstore

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CreateChallenge implements authcore.Challenges. There is no limit, so now decides nothing.
func (s *Store) CreateChallenge(ctx context.Context, c authcore.Challenge, _ time.Time) error {
	return s.statement(ctx, "create challenge", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `INSERT INTO challenges (id, purpose, origin, subject, client, data, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			c.ID[:], string(c.Purpose), c.Origin, c.Subject, c.Client, c.Data, micros(c.Expires))
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// ConsumeChallenge implements authcore.Challenges. Taking it out and reading it is one statement, so that of many at
// once, on however many instances, one gets it.
func (s *Store) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	c := authcore.Challenge{ID: id}
	err := s.statement(ctx, "consume challenge", func(ctx context.Context, r run) error {
		var expires int64
		found, err := r.row(ctx, `DELETE FROM challenges WHERE id = ? RETURNING purpose, origin, subject, client, data, expires`,
			[]any{id[:]}, (*string)(&c.Purpose), &c.Origin, &c.Subject, &c.Client, &c.Data, &expires)
		if err != nil {
			return err
		} else if !found {
			return verdict{authcore.ErrChallengeNotFound}
		}
		c.Expires = instant(expires)
		if err := c.Check(want, now); err != nil {
			return verdict{err}
		}
		return nil
	})
	if err != nil {
		return authcore.Challenge{}, err
	}
	return c, nil
}

// DeleteExpiredChallenges implements authcore.Challenges. It also forgets the attempts whose window ended by then, which
// are not in the number.
func (s *Store) DeleteExpiredChallenges(ctx context.Context, before time.Time) (int, error) {
	deleted, err := s.sweep(ctx, "delete expired challenges",
		`DELETE FROM challenges WHERE id IN (SELECT id FROM challenges WHERE expires <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, before)
	if err != nil {
		return deleted, err
	}
	_, err = s.sweep(ctx, "delete ended attempts",
		`DELETE FROM attempts WHERE key IN (SELECT key FROM attempts WHERE resets <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, before)
	return deleted, err
}
