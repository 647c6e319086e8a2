package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CountAttempt implements authcore.AttemptCounter. Reading and counting is one statement, so that guesses sent in parallel
// are all counted.
func (s *Store) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	var a authcore.Attempts
	err := s.statement(ctx, "count attempt", func(ctx context.Context, r run) error {
		var resets int64
		_, err := r.row(ctx, `INSERT INTO attempts (key, tries, resets) VALUES (?, 1, ?)
			ON CONFLICT (key) DO UPDATE SET
				tries = CASE WHEN attempts.resets <= ? THEN 1 ELSE attempts.tries + 1 END,
				resets = CASE WHEN attempts.resets <= ? THEN excluded.resets ELSE attempts.resets END
			RETURNING tries, resets`,
			[]any{key, micros(now.Add(window)), micros(now), micros(now)}, &a.Count, &resets)
		a.Reset = instant(resets)
		return err
	})
	if err != nil {
		return authcore.Attempts{}, err
	}
	return a, nil
}

// CountLockout implements authcore.AttemptCounter. It counts in one statement, unless tries are suspended: then it only
// reads, so that a flood of tries against a suspended account writes nothing.
func (s *Store) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	first := now.Add(l.Forget)
	if l.Tries <= 1 {
		first = now.Add(l.Suspend)
	}
	var a authcore.Attempts
	err := s.statement(ctx, "count lockout", func(ctx context.Context, r run) error {
		// Between the two statements the suspension may end or be lifted; then it is counted after all.
		for range 3 {
			var resets int64
			counted, err := r.row(ctx, `INSERT INTO attempts (key, tries, resets) VALUES (?, 1, ?)
				ON CONFLICT (key) DO UPDATE SET
					tries = CASE WHEN attempts.resets <= ? THEN 1 ELSE attempts.tries + 1 END,
					resets = CASE WHEN attempts.resets <= ? THEN excluded.resets WHEN attempts.tries + 1 >= ? THEN ? ELSE ? END
					WHERE attempts.resets <= ? OR attempts.tries < ?
				RETURNING tries, resets`,
				[]any{key, micros(first), micros(now), micros(now), l.Tries, micros(now.Add(l.Suspend)), micros(now.Add(l.Forget)), micros(now), l.Tries},
				&a.Count, &resets)
			if err != nil {
				return err
			}
			suspended := false
			if !counted {
				suspended, err = r.row(ctx, `SELECT resets FROM attempts WHERE key = ? AND resets > ? AND tries >= ?`,
					[]any{key, micros(now), l.Tries}, &resets)
				if err != nil {
					return err
				}
				a.Count = l.Tries + 1
			}
			if counted || suspended {
				a.Reset = instant(resets)
				return nil
			}
		}
		return errors.New("the count is never the same")
	})
	if err != nil {
		return authcore.Attempts{}, err
	}
	return a, nil
}

// Attempts implements authcore.AttemptCounter.
func (s *Store) Attempts(ctx context.Context, key string, now time.Time) (a authcore.Attempts, err error) {
	err = s.read(ctx, "attempts", func(ctx context.Context, r run) error {
		var resets int64
		found, err := r.row(ctx, `SELECT tries, resets FROM attempts WHERE key = ? AND resets > ?`, []any{key, micros(now)}, &a.Count, &resets)
		if found {
			a.Reset = instant(resets)
		}
		return err
	})
	return a, err
}

// ClearAttempts implements authcore.AttemptCounter.
func (s *Store) ClearAttempts(ctx context.Context, key string) error {
	return s.statement(ctx, "clear attempts", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `DELETE FROM attempts WHERE key = ?`, key)
		return err
	})
}
