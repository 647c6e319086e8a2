package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// ReplaceConfirmation implements authcore.Confirmations. A key that is stored for somebody else is ErrConflict.
func (s *Store) ReplaceConfirmation(ctx context.Context, c authcore.Confirmation) error {
	return s.transaction(ctx, "replace confirmation", func(ctx context.Context, r run) error {
		elsewhere, err := r.row(ctx, `SELECT 1 FROM confirmations WHERE key_hash = ? AND (purpose <> ? OR subject <> ?)`,
			[]any{c.KeyHash[:], string(c.Purpose), c.Subject}, new(int))
		if err != nil {
			return err
		} else if elsewhere {
			return verdict{authcore.ErrConflict}
		}
		_, err = r.exec(ctx, `INSERT INTO confirmations (key_hash, purpose, subject, data, created, expires) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (purpose, subject) DO UPDATE SET
				key_hash = excluded.key_hash, data = excluded.data, created = excluded.created, expires = excluded.expires`,
			c.KeyHash[:], string(c.Purpose), c.Subject, c.Data, micros(c.Created), micros(c.Expires))
		return err
	})
}

const confirmationColumns = `key_hash, purpose, subject, data, created, expires`

// Confirmation implements authcore.Confirmations.
func (s *Store) Confirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte) (c authcore.Confirmation, err error) {
	err = s.read(ctx, "confirmation", func(ctx context.Context, r run) error {
		found := false
		c, found, err = r.confirmation(ctx, `SELECT `+confirmationColumns+` FROM confirmations WHERE key_hash = ? AND purpose = ?`+r.dialect.keep,
			keyHash[:], string(purpose))
		if err == nil && !found {
			err = verdict{authcore.ErrConfirmationNotFound}
		}
		return err
	})
	if err != nil {
		return authcore.Confirmation{}, err
	}
	return c, nil
}

// ConsumeConfirmation implements authcore.Confirmations. Taking it out and reading it is one statement, so that of many at
// once, on however many instances, one gets it.
func (s *Store) ConsumeConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte, now time.Time) (c authcore.Confirmation, err error) {
	err = s.statement(ctx, "consume confirmation", func(ctx context.Context, r run) error {
		found := false
		c, found, err = r.confirmation(ctx, `DELETE FROM confirmations WHERE key_hash = ? AND purpose = ? AND expires > ? RETURNING `+confirmationColumns,
			keyHash[:], string(purpose), micros(now))
		if err != nil || found {
			return err
		}
		expired, err := r.row(ctx, `SELECT 1 FROM confirmations WHERE key_hash = ? AND purpose = ? AND expires <= ?`,
			[]any{keyHash[:], string(purpose), micros(now)}, new(int))
		switch {
		case err != nil:
			return err
		case expired:
			return verdict{authcore.ErrConfirmationExpired}
		}
		return verdict{authcore.ErrConfirmationNotFound}
	})
	if err != nil {
		return authcore.Confirmation{}, err
	}
	return c, nil
}

// DeleteConfirmation implements authcore.Confirmations.
func (s *Store) DeleteConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, subject string) error {
	return s.statement(ctx, "delete confirmation", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `DELETE FROM confirmations WHERE purpose = ? AND subject = ?`, string(purpose), subject)
		return err
	})
}

// DeleteExpiredConfirmations implements authcore.Confirmations.
func (s *Store) DeleteExpiredConfirmations(ctx context.Context, before time.Time) (int, error) {
	return s.sweep(ctx, "delete expired confirmations",
		`DELETE FROM confirmations WHERE key_hash IN (SELECT key_hash FROM confirmations WHERE expires <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, before)
}

func (r run) confirmation(ctx context.Context, statement string, args ...any) (c authcore.Confirmation, found bool, err error) {
	var hash []byte
	var created, expires int64
	found, err = r.row(ctx, statement, args, &hash, (*string)(&c.Purpose), &c.Subject, &c.Data, &created, &expires)
	if found && copy(c.KeyHash[:], hash) != len(hash) {
		err = fmt.Errorf("a hash of %d bytes in a confirmation", len(hash))
	}
	c.Created, c.Expires = instant(created), instant(expires)
	return c, found, err
}
