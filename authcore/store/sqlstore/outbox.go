package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// AddMail implements authcore.Outbox. An id that is stored already is ErrConflict.
func (s *Store) AddMail(ctx context.Context, m authcore.SealedMail) error {
	return s.statement(ctx, "add mail", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `INSERT INTO outbox (id, sealed, created, due, tries) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			m.ID, m.Sealed, micros(m.Created), micros(m.Due), m.Tries)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// ClaimMails implements authcore.Outbox. Mails that another instance is claiming at this moment are passed over.
func (s *Store) ClaimMails(ctx context.Context, n int, now, until time.Time) (claimed []authcore.SealedMail, err error) {
	err = s.transaction(ctx, "claim mails", func(ctx context.Context, r run) error {
		claimed = nil
		err := r.each(ctx, `SELECT id, sealed, created, tries FROM outbox WHERE due <= ? ORDER BY due, id LIMIT ?`+r.dialect.SkipLocked,
			[]any{micros(now), max(0, n)}, func(scan func(...any) error) error {
				m := authcore.SealedMail{Due: instant(micros(until))}
				var created int64
				if err := scan(&m.ID, &m.Sealed, &created, &m.Tries); err != nil {
					return err
				}
				m.Created = instant(created)
				m.Tries++
				claimed = append(claimed, m)
				return nil
			})
		if err != nil || len(claimed) == 0 {
			return err
		}
		args := []any{micros(until)}
		for _, m := range claimed {
			args = append(args, m.ID)
		}
		_, err = r.exec(ctx, `UPDATE outbox SET due = ?, tries = tries + 1 WHERE id IN (?`+strings.Repeat(", ?", len(claimed)-1)+`)`, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// DeferMail implements authcore.Outbox.
func (s *Store) DeferMail(ctx context.Context, m authcore.SealedMail, due time.Time) error {
	return s.statement(ctx, "defer mail", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `UPDATE outbox SET due = ? WHERE id = ? AND tries = ?`, micros(due), m.ID, m.Tries)
		return err
	})
}

// DeleteMail implements authcore.Outbox.
func (s *Store) DeleteMail(ctx context.Context, m authcore.SealedMail) error {
	return s.statement(ctx, "delete mail", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `DELETE FROM outbox WHERE id = ? AND tries = ?`, m.ID, m.Tries)
		return err
	})
}

// MailWaiting implements authcore.Outbox.
func (s *Store) MailWaiting(ctx context.Context) (n int, oldest time.Time, err error) {
	err = s.read(ctx, "mail waiting", func(ctx context.Context, r run) error {
		var created sql.NullInt64
		_, err := r.row(ctx, `SELECT count(*), min(created) FROM outbox`, nil, &n, &created)
		if created.Valid {
			oldest = instant(created.Int64)
		}
		return err
	})
	return n, oldest, err
}
