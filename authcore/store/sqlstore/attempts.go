package sqlstore

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// CountAttempt implements authcore.AttemptCounter. Reading and counting is one statement, so that guesses sent in parallel
// are all counted.
func (s *Store) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	var a authcore.Attempts
	err := s.statement(ctx, "count attempt", func(r run) error {
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

// ClearAttempts implements authcore.AttemptCounter.
func (s *Store) ClearAttempts(ctx context.Context, key string) error {
	return s.statement(ctx, "clear attempts", func(r run) error {
		_, err := r.exec(ctx, `DELETE FROM attempts WHERE key = ?`, key)
		return err
	})
}
