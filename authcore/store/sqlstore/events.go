package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	eventColumns = `id, number, time, kind, code, subject, actor, session_id, origin, client, user_agent, detail, salt, personal_hash, hash`

	// isWaiting is true of events that are not sealed, and takes aeon: said so that the index is searched which has no others.
	isWaiting = `number IS NULL AND time > ?`
	aeon      = int64(math.MinInt64)

	// deletedAtOnce bounds how many events are deleted by one transaction, which others who write wait for.
	deletedAtOnce = 1000
)

// AddEvent implements authcore.Events.
func (s *Store) AddEvent(ctx context.Context, e authcore.Event) error {
	return s.statement(ctx, "add event", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `INSERT INTO events (id, time, kind, code, subject, actor, session_id, origin, client, user_agent, detail,
			salt, personal_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			e.ID, micros(e.Time), string(e.Kind), e.Code, e.Subject, e.Actor, e.SessionID, e.Origin, e.Client, e.UserAgent, e.Detail,
			e.Salt, e.PersonalHash[:])
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// SealEvents implements authcore.Events. Whoever seals holds the row of the chain's end, so all others wait.
func (s *Store) SealEvents(ctx context.Context, n int) (sealed int, err error) {
	err = s.transaction(ctx, "seal events", func(ctx context.Context, r run) error {
		sealed = 0
		head, err := r.chainEnd(ctx, "head", true)
		if err != nil {
			return err
		}
		waiting, err := r.events(ctx, `SELECT `+eventColumns+` FROM events WHERE `+isWaiting+` ORDER BY time, id LIMIT ?`, aeon, max(0, n))
		if err != nil || len(waiting) == 0 {
			return err
		}
		for _, e := range waiting {
			head = e.Seal(head)
			if _, err := r.exec(ctx, `UPDATE events SET number = ?, hash = ? WHERE id = ?`, head.Number, head.Hash[:], e.ID); err != nil {
				return err
			}
		}
		sealed = len(waiting)
		return r.setChainEnd(ctx, "head", head)
	})
	return sealed, err
}

// Events implements authcore.Events.
func (s *Store) Events(ctx context.Context, q authcore.EventQuery) (found []authcore.Event, err error) {
	limit := cmp.Or(q.Limit, authcore.DefaultEvents)
	err = s.read(ctx, "events", func(ctx context.Context, r run) error {
		looks, where, args := eventConditions(q)
		found = nil
		// One look by each index, since no index helps an OR that is sorted.
		for _, by := range looks {
			some, err := r.events(ctx, `SELECT `+eventColumns+` FROM events WHERE `+by.where+where+` ORDER BY number DESC LIMIT ?`,
				slices.Concat(by.args, args, []any{limit})...)
			if err != nil {
				return err
			}
			found = append(found, some...)
		}
		slices.SortFunc(found, func(a, b authcore.Event) int { return cmp.Compare(b.Number, a.Number) })
		found = found[:min(limit, len(found))]
		return nil
	})
	return found, err
}

// condition is a part of a WHERE clause.
type condition struct {
	where string
	args  []any
}

// eventConditions answers what holds of the events that are asked for: one of the looks, each of which an index serves, and
// all of the rest. That there is a number is what the indexes have of events that are sealed.
func eventConditions(q authcore.EventQuery) (looks []condition, where string, args []any) {
	where, args = `number < ?`, []any{cmp.Or(q.Before, math.MaxInt64)}
	if !q.Since.IsZero() {
		where, args = where+` AND time >= ?`, append(args, ceiling(q.Since))
	}
	if !q.Until.IsZero() {
		where, args = where+` AND time < ?`, append(args, ceiling(q.Until))
	}
	kinds := make([]condition, len(q.Kinds))
	for i, k := range q.Kinds {
		kinds[i] = condition{`kind = ? AND `, []any{string(k)}}
	}
	switch {
	case q.Subject != "":
		// What a user did to nobody else is found by the first.
		looks = []condition{{`subject = ? AND `, []any{q.Subject}}, {`actor = ? AND subject <> ? AND `, []any{q.Subject, q.Subject}}}
	case q.Client != "":
		looks = []condition{{`client = ? AND `, []any{q.Client}}}
	case len(kinds) > 0:
		return kinds, where, args
	default:
		return []condition{{}}, where, args
	}
	if q.Subject != "" && q.Client != "" {
		where, args = where+` AND client = ?`, append(args, q.Client)
	}
	if len(kinds) > 0 {
		where += ` AND kind IN (?` + strings.Repeat(`, ?`, len(kinds)-1) + `)`
		for _, k := range kinds {
			args = append(args, k.args...)
		}
	}
	return looks, where, args
}

// ceiling is the first time in the precision of the store that is not before t.
func ceiling(t time.Time) int64 {
	return micros(t.Add(time.Microsecond - time.Nanosecond))
}

// WalkEvents implements authcore.Events. It tells what was there at one moment, whatever others write meanwhile. SQLite's
// write-ahead log grows for as long as this takes.
func (s *Store) WalkEvents(ctx context.Context, f func(e authcore.Event) error) (anchor authcore.EventHead, err error) {
	walk := func(ctx context.Context, r run) error {
		if anchor, err = r.chainEnd(ctx, "anchor", false); err != nil {
			return err
		}
		return r.each(ctx, `SELECT `+eventColumns+` FROM events WHERE number IS NOT NULL ORDER BY number`, nil, func(scan func(...any) error) error {
			e, err := scanEvent(scan)
			if err == nil {
				if err = f(e); err != nil {
					err = stopped{err}
				}
			}
			return err
		})
	}
	var tx *sql.Tx
	if s.tx != nil {
		err = s.tx.do(ctx, "walk events", walk)
	} else if tx, err = s.snapshot(ctx); err == nil {
		err = walk(ctx, run{on: tx, dialect: &s.dialect})
		_ = tx.Rollback() // it only read
	}
	var by stopped
	if errors.As(err, &by) {
		return anchor, by.error
	}
	if s.tx == nil {
		err = explain(ctx, "walk events", err)
	}
	return anchor, err
}

// stopped is the error of a caller, which is passed on as it is.
type stopped struct{ error }

// EventHead implements authcore.Events.
func (s *Store) EventHead(ctx context.Context) (head authcore.EventHead, waiting int, err error) {
	err = s.read(ctx, "event head", func(ctx context.Context, r run) error {
		if head, err = r.chainEnd(ctx, "head", false); err != nil {
			return err
		}
		_, err := r.row(ctx, `SELECT count(*) FROM events WHERE number IS NULL`, nil, &waiting)
		return err
	})
	return head, waiting, err
}

// EraseEvents implements authcore.Events.
func (s *Store) EraseEvents(ctx context.Context, userID string) error {
	return s.transaction(ctx, "erase events", func(ctx context.Context, r run) error {
		const (
			all = `UPDATE events SET client = '', user_agent = '', detail = '', salt = NULL WHERE subject = ?`
			// As authcore.Event.EraseClient. All values are those of before.
			client = `UPDATE events SET client = '', user_agent = '',
				detail = CASE WHEN length(salt) IN (48, 64) THEN detail ELSE '' END,
				salt = CASE WHEN length(salt) IN (48, 64) THEN substr(salt, 1, 48) ELSE NULL END
				WHERE actor = ? AND subject <> ?`
		)
		for _, erase := range []condition{{all, []any{userID}}, {client, []any{userID, userID}}} {
			// Those that wait have an index of their own.
			if _, err := r.exec(ctx, erase.where+` AND number IS NOT NULL`, erase.args...); err != nil {
				return err
			}
			if _, err := r.exec(ctx, erase.where+` AND `+isWaiting, slices.Concat(erase.args, []any{aeon})...); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteEvents implements authcore.Events. It lets others write in between.
func (s *Store) DeleteEvents(ctx context.Context, before time.Time) (deleted int, err error) {
	for {
		n := 0
		err := s.transaction(ctx, "delete events", func(ctx context.Context, r run) error {
			n = 0
			anchor, err := r.chainEnd(ctx, "anchor", true)
			if err != nil {
				return err
			}
			oldest, err := r.events(ctx, `SELECT `+eventColumns+` FROM events WHERE number > ? ORDER BY number LIMIT ?`, anchor.Number, deletedAtOnce)
			if err != nil {
				return err
			}
			// The first that stays ends it, whatever follows: there are no gaps.
			if n = slices.IndexFunc(oldest, func(e authcore.Event) bool { return !e.Time.Before(before) }); n < 0 {
				n = len(oldest)
			}
			if n == 0 {
				return nil
			}
			last := authcore.EventHead{Number: oldest[n-1].Number, Hash: oldest[n-1].Hash}
			if _, err := r.exec(ctx, `DELETE FROM events WHERE number <= ?`, last.Number); err != nil {
				return err
			}
			return r.setChainEnd(ctx, "anchor", last)
		})
		if deleted += n; err != nil || n < deletedAtOnce {
			return deleted, err
		}
	}
}

// chainEnd answers an end of the chain, "head" or "anchor"; the zero one where nothing was sealed, or deleted, yet. Where it
// is to be moved, others wait until the transaction ends.
func (r run) chainEnd(ctx context.Context, name string, move bool) (end authcore.EventHead, err error) {
	lock := ""
	if move {
		lock = r.dialect.LockRow
		if _, err := r.exec(ctx, `INSERT INTO event_chain (name, number, hash) VALUES (?, 0, ?) ON CONFLICT DO NOTHING`, name, end.Hash[:]); err != nil {
			return end, err
		}
	}
	var hash []byte
	found, err := r.row(ctx, `SELECT number, hash FROM event_chain WHERE name = ?`+lock, []any{name}, &end.Number, &hash)
	if err == nil && found {
		end.Hash = asHash(hash)
	}
	return end, err
}

func (r run) setChainEnd(ctx context.Context, name string, end authcore.EventHead) error {
	_, err := r.exec(ctx, `UPDATE event_chain SET number = ?, hash = ? WHERE name = ?`, end.Number, end.Hash[:], name)
	return err
}

func (r run) events(ctx context.Context, statement string, args ...any) (all []authcore.Event, err error) {
	err = r.each(ctx, statement, args, func(scan func(...any) error) error {
		e, err := scanEvent(scan)
		all = append(all, e)
		return err
	})
	return all, err
}

func scanEvent(scan func(...any) error) (e authcore.Event, err error) {
	var number sql.NullInt64
	var at int64
	var personal, hash []byte
	err = scan(&e.ID, &number, &at, (*string)(&e.Kind), &e.Code, &e.Subject, &e.Actor, &e.SessionID, &e.Origin, &e.Client, &e.UserAgent,
		&e.Detail, &e.Salt, &personal, &hash)
	if err != nil {
		return e, err
	}
	e.Number, e.Time = number.Int64, instant(at)
	e.PersonalHash, e.Hash = asHash(personal), asHash(hash)
	return e, nil
}

// asHash answers a hash as it was stored. One of another length is a wrong one, and no reason to stop: whoever proves the
// chain is to hear which event it is.
func asHash(stored []byte) (h [32]byte) {
	copy(h[:], stored)
	return h
}
