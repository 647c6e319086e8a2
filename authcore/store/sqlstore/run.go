package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// verdict is an error that the store decided on. Any other error comes from the database and is no verdict.
type verdict struct{ error }

func (v verdict) Unwrap() error { return v.error }

// read does what changes nothing.
func (s *Store) read(ctx context.Context, what string, f func(context.Context, run) error) error {
	if s.tx != nil {
		return s.tx.do(ctx, what, f)
	}
	return s.repeatable(ctx, s.reads, what, f)
}

// repeatable does what may be done once more where nobody knows whether it was done: a connection that is gone is no matter.
func (s *Store) repeatable(ctx context.Context, on *sql.DB, what string, f func(context.Context, run) error) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.again(ctx, what, func() error {
		err := f(ctx, run{on, &s.dialect})
		for n := 1; n <= retries && s.dialect.cut(err) && pause(ctx, n); n++ {
			err = f(ctx, run{on, &s.dialect})
		}
		return err
	})
}

// statement does a change that is a single statement, and so atomic by itself.
func (s *Store) statement(ctx context.Context, what string, f func(context.Context, run) error) error {
	if s.tx != nil {
		return s.tx.do(ctx, what, f)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.again(ctx, what, func() error { return f(ctx, run{s.db, &s.dialect}) })
}

// transaction does a change of several statements: all of it where f answers nil, else nothing.
func (s *Store) transaction(ctx context.Context, what string, f func(context.Context, run) error) error {
	if s.tx != nil {
		return s.tx.part(ctx, what, f)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.again(ctx, what, func() error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := f(ctx, run{tx, &s.dialect}); err != nil {
			// What the rollback says is of no use: the connection is closed if it fails, and that rolls back too.
			_ = tx.Rollback()
			return err
		}
		return tx.Commit()
	})
}

// bounded answers a context that ends with the time there is for one operation.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

// cut reports whether an error of the database says that the connection is gone.
func (d *Dialect) cut(err error) bool {
	var decided verdict
	return err != nil && d.Cut != nil && !errors.As(err, &decided) && d.Cut(err)
}

// retries is how often something is tried again that lost against a lock.
const retries = 3

// again calls f, and calls it again where it did nothing because of others, and gives its error the form that callers
// expect.
func (s *Store) again(ctx context.Context, what string, f func() error) error {
	err := ctx.Err()
	if err == nil {
		err = f()
	}
	for n := 1; n <= retries && err != nil && s.dialect.Again(err) && pause(ctx, n); n++ {
		err = f()
	}
	return explain(ctx, what, err)
}

// pause waits before the nth retry, a random while so that those who met do not meet again, and reports whether the
// context lived that long.
func pause(ctx context.Context, n int) bool {
	timer := time.NewTimer(time.Duration(n) * (5*time.Millisecond + rand.N(15*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil // of two that are ready any may be taken
	case <-ctx.Done():
		return false
	}
}

// explain wraps an error: a verdict in the noun of this package, any other in ErrUnavailable too. Where the context
// ended, drivers say so in words of their own, so its error is added.
func explain(ctx context.Context, what string, err error) error {
	var decided verdict
	if err == nil {
		return nil
	} else if errors.As(err, &decided) {
		return fmt.Errorf("sqlstore: %s: %w", what, decided.error)
	}
	if over := ctx.Err(); over != nil && !errors.Is(err, over) {
		err = errors.Join(over, err)
	}
	return fmt.Errorf("sqlstore: %s: %w: %w", what, authcore.ErrUnavailable, err)
}

// querier is what statements run on: a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// run runs statements.
type run struct {
	on      querier
	dialect *Dialect
}

// exec answers how many rows a statement changed.
func (r run) exec(ctx context.Context, statement string, args ...any) (int, error) {
	result, err := r.on.ExecContext(ctx, r.dialect.bind(statement), storable(args)...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// row scans the one row that a statement answers and reports whether there was one.
func (r run) row(ctx context.Context, statement string, args []any, into ...any) (bool, error) {
	found := false
	err := r.each(ctx, statement, args, func(scan func(...any) error) error {
		found = true
		return scan(into...)
	})
	return found && err == nil, err
}

// each calls f for every row that a statement answers. It reads to the end, and asks for the error then: a statement that
// changes and answers (DELETE … RETURNING) commits as it ends, and only then it is known to have happened.
func (r run) each(ctx context.Context, statement string, args []any, f func(scan func(...any) error) error) error {
	rows, err := r.on.QueryContext(ctx, r.dialect.bind(statement), storable(args)...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// storable makes every text storable. Looked for in the same form it is found, and what no store can hold is found nowhere.
func storable(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = clientText(text)
		}
	}
	return args
}

// clientText makes what a client sent storable as text: not every database takes bytes that are not UTF-8, or NUL.
func clientText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
