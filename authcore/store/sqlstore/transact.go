package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/caddy-authgate/authgate/authcore"
)

// transactRetries is how often a transaction is tried again, at most and within the deadline. It meets more of others than a
// statement does.
const transactRetries = 20

// Transact implements authcore.Transactions. On a database that has one writer at a time everybody else who writes waits for
// the end, so f does no work that takes long; and for the same reason it must not ask this store but by what it is given.
func (s *Store) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	if s.tx != nil {
		return errors.New("sqlstore: transact: this is a transaction already")
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for n := 1; ; n++ {
		err, again := s.transact(ctx, f)
		if !again || n > transactRetries || !pause(ctx, min(n, 5)) {
			return err
		}
	}
}

// transact tries once, and reports whether it did nothing because of others.
func (s *Store) transact(ctx context.Context, f func(authcore.Stores) error) (err error, again bool) {
	if err := ctx.Err(); err != nil {
		return explain(ctx, "transact", err), false
	}
	began, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.Isolation})
	if err != nil {
		return explain(ctx, "transact", err), s.dialect.Again(err)
	}
	// Unless it was committed: then this does nothing.
	defer func() { _ = began.Rollback() }()
	within := *s
	within.dialect.keep = s.dialect.LockRow
	t := &tx{ctx: ctx, run: run{began, &within.dialect}}
	within.tx = t
	stores := within.Stores()
	stores.Transactions, stores.Health = nil, nil
	err = f(stores)
	failed := t.end()
	switch {
	case failed != nil && err == nil:
		// Whatever f made of it, a part of what it did is missing.
		return explain(ctx, "transact", failed), s.dialect.Again(failed)
	case failed != nil:
		return err, s.dialect.Again(failed)
	case err != nil:
		return err, false
	}
	err = began.Commit()
	return explain(ctx, "transact", err), err != nil && s.dialect.Again(err)
}

// tx is a transaction of the caller's, in which operations neither begin anything nor try again: that is for the whole.
type tx struct {
	ctx    context.Context // nothing in it lasts longer
	mu     sync.Mutex
	run    run
	failed error // what the database said that made the whole fail
	over   bool
}

// end lets nobody do anything more and answers what has failed.
func (t *tx) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.failed
}

// do does one operation. One that the database failed at takes the whole with it.
func (t *tx) do(ctx context.Context, what string, f func(context.Context, run) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if end, ok := t.ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	if t.over {
		return fmt.Errorf("sqlstore: %s: %w: the transaction is over", what, authcore.ErrUnavailable)
	}
	err := t.failed
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f(ctx, t.run)
	}
	if decided := (verdict{}); err != nil && !errors.As(err, &decided) {
		t.failed = err
	}
	return explain(ctx, what, err)
}

// part does one operation of several statements: where it is refused, nothing of it stays, and what follows goes on.
func (t *tx) part(ctx context.Context, what string, f func(context.Context, run) error) error {
	return t.do(ctx, what, func(ctx context.Context, r run) error {
		if _, err := r.exec(ctx, `SAVEPOINT part`); err != nil {
			return err
		}
		err := f(ctx, r)
		if decided := (verdict{}); errors.As(err, &decided) {
			if _, undo := r.exec(ctx, `ROLLBACK TO SAVEPOINT part`); undo != nil {
				return undo
			}
		} else if err != nil {
			return err
		}
		if _, release := r.exec(ctx, `RELEASE SAVEPOINT part`); release != nil {
			return release
		}
		return err
	})
}
