package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// note writes what happens into the audit log, as part of the transaction in which it happens.
func (r *Realm) note(ctx context.Context, s authcore.Stores, kind authcore.EventKind, code, subject string, by authcore.Trace, detail string) error {
	e, err := authcore.NewEvent(r.Rand, r.Now(), kind, code, subject, by, detail)
	if err != nil {
		return err
	}
	return s.Events.AddEvent(ctx, e)
}

// tellingStores answers stores that tell of each event once it is written.
func tellingStores(s authcore.Stores, tell func(authcore.Event)) authcore.Stores {
	s.Transactions = recording{s.Transactions, tell}
	s.Events = toldEvents{s.Events, tell}
	return s
}

// recording is transactions that tell of the events written in them, once these are for certain.
type recording struct {
	authcore.Transactions
	tell func(authcore.Event)
}

func (t recording) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	var wrote []authcore.Event
	err := t.Transactions.Transact(ctx, func(s authcore.Stores) error {
		wrote = wrote[:0]
		s.Events = toldEvents{s.Events, func(e authcore.Event) { wrote = append(wrote, e) }}
		return f(s)
	})
	if err != nil {
		return err
	}
	for _, e := range wrote {
		t.tell(e)
	}
	return nil
}

type toldEvents struct {
	eventStore
	tell func(authcore.Event)
}

func (e toldEvents) AddEvent(ctx context.Context, added authcore.Event) error {
	err := e.eventStore.AddEvent(ctx, added)
	if err == nil {
		e.tell(added)
	}
	return err
}

// The contracts under names that none of their methods has.
type (
	eventStore = authcore.Events
	keyStore   = authcore.Keys
)

// notedKeys is keys of which the audit log tells when one is made.
type notedKeys struct {
	keyStore
	realm *Realm
}

// AddKey stores a key that was due, and the event, or neither.
func (k notedKeys) AddKey(ctx context.Context, key authcore.Key, after string) error {
	code := "due"
	if after == "" {
		code = "first"
	}
	return k.realm.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := s.Keys.AddKey(ctx, key, after); err != nil {
			return err
		}
		return k.realm.note(ctx, s, authcore.EventKeyRotated, code, "", authcore.Trace{}, "key "+key.ID)
	})
}

// sessionEnd is how a session ends in the audit log.
type sessionEnd struct {
	kind authcore.EventKind // EventSignOut or EventSessionEnded
	code string
	by   authcore.Trace
}

// endSession ends a session in the store and, once that is certain, on all instances, and writes that it did. One that is
// not there is no error, and nothing of it is written.
func (r *Realm) endSession(ctx context.Context, end sessionEnd, id string) error {
	var told []string                                // to other instances, before the end
	if short := r.Challenges.Notices; short != nil { // see endSessions
		told = []string{id}
		if s, err := r.Stores.Sessions.Session(ctx, id); err == nil && s.Cookie {
			for over := told; len(over) > 0; told = append(told, over...) {
				if over, err = r.handedOverFrom(ctx, r.Stores.Sessions, s.UserID, over); err != nil {
					return err
				}
			}
		}
		told = told[:min(len(told), authcore.MostSessions)]
		for _, id := range told {
			if err := short.Notify(ctx, sessionEnded(id)); err != nil {
				return err
			}
		}
	}
	userID, ended := "", []string{id}
	err := r.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) error {
		s, err := tx.Sessions.Session(ctx, id)
		if errors.Is(err, authcore.ErrSessionNotFound) {
			return nil
		}
		if err == nil {
			ended, err = r.endWithin(ctx, tx.Sessions, s)
		}
		if err != nil {
			return err
		}
		by := end.by
		if by.Actor == "" && end.kind == authcore.EventSignOut {
			by.Actor = s.UserID // who signs out late is not signed in any more
		}
		if by.SessionID == "" {
			by.SessionID = id
		}
		userID = s.UserID
		if err := r.note(ctx, tx, end.kind, end.code, userID, by, ""); err != nil {
			return err
		}
		return r.tellWithin(ctx, tx, noticesOfEnd(userID, ended))
	})
	if err != nil {
		return err
	}
	for _, id := range ended {
		r.forget(id)
	}
	if short := r.Challenges.Notices; short != nil {
		// Those that were handed over while this went on, or were too many to tell of before.
		late := slices.DeleteFunc(ended, func(id string) bool { return slices.Contains(told, id) })
		r.tellLate(ctx, short, noticesOfEnd(userID, late))
	}
	return nil
}

// sealedAtOnce bounds how many events are sealed by one transaction.
const sealedAtOnce = 500

// Seal puts the events that wait into the chain of the audit log, and answers how many. It is to be called each second or
// so, by every instance.
func (r *Realm) Seal(ctx context.Context) (sealed int, err error) {
	r.flushRefusals(ctx, false)
	r.notePersonal(ctx)
	for {
		n, err := r.Stores.Events.SealEvents(ctx, sealedAtOnce)
		if sealed += n; err != nil || n < sealedAtOnce {
			return sealed, err
		}
	}
}

// Settle is Seal when an instance ends: what is counted of refused sign-ins is written too.
func (r *Realm) Settle(ctx context.Context) error {
	r.flushRefusals(ctx, true)
	_, err := r.Seal(ctx)
	return err
}

// Events answers events of the audit log, the newest first, those that were just written too.
func (r *Realm) Events(ctx context.Context, q authcore.EventQuery) ([]authcore.Event, error) {
	if _, err := r.Seal(ctx); err != nil {
		return nil, err
	}
	return r.Stores.Events.Events(ctx, q)
}

// VerifyEvents proves the chain of the audit log, with a head that was kept elsewhere where there is one: see
// authcore.VerifyEvents.
func (r *Realm) VerifyEvents(ctx context.Context, expect *authcore.EventHead) (authcore.EventReport, error) {
	if _, err := r.Seal(ctx); err != nil {
		return authcore.EventReport{}, err
	}
	return authcore.VerifyEvents(ctx, r.Stores.Events, expect)
}

// Note writes an event that is no change of the store: a configuration that was loaded, a backup that was made.
func (r *Realm) Note(ctx context.Context, kind authcore.EventKind, code string, by authcore.Trace, detail string) error {
	return r.note(ctx, r.Stores, kind, code, "", by, detail)
}

// forgetEvents deletes the events that are older than they are kept.
func (r *Realm) forgetEvents(ctx context.Context, now time.Time) error {
	if r.KeepEvents <= 0 {
		return nil
	}
	n, err := r.Stores.Events.DeleteEvents(ctx, now.Add(-r.KeepEvents))
	if n > 0 {
		r.Logger.LogAttrs(ctx, slog.LevelInfo, "old events deleted", slog.Int("events", n))
	}
	return err
}
