package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const selectSession = `SELECT id, user_id, origin, cookie, secret_hash, refresh_current, refresh_previous, refresh_salt,
	refresh_rotated, methods, created, last_seen, idle_until, absolute_until, client_ip, user_agent, version FROM sessions `

// CreateSession implements authcore.Sessions. It answers ErrUserNotFound where the user is not, so that a sign-in that was
// on its way while the account was deleted opens nothing, and ErrConflict where the id is stored already.
func (s *Store) CreateSession(ctx context.Context, one authcore.Session) error {
	return s.transaction(ctx, "create session", func(ctx context.Context, r run) error {
		if there, err := r.lockUser(ctx, one.UserID); err != nil {
			return err
		} else if !there {
			return verdict{authcore.ErrUserNotFound}
		}
		values, err := sessionValues(one)
		if err != nil {
			return err
		}
		n, err := r.exec(ctx, `INSERT INTO sessions (origin, cookie, secret_hash, refresh_current, refresh_previous, refresh_salt,
			refresh_rotated, methods, created, last_seen, idle_until, absolute_until, expires, client_ip, user_agent,
			id, user_id, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			append(values, one.ID, one.UserID, one.Version)...)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// Session implements authcore.Sessions.
func (s *Store) Session(ctx context.Context, id string) (one authcore.Session, err error) {
	err = s.read(ctx, "session", func(ctx context.Context, r run) error {
		found, err := r.sessions(ctx, selectSession+`WHERE id = ?`+r.dialect.keep, id)
		if err != nil {
			return err
		} else if len(found) == 0 {
			return verdict{authcore.ErrSessionNotFound}
		}
		one = found[0]
		return nil
	})
	return one, err
}

// UpdateSession implements authcore.Sessions. A session never changes hands: for another user than the one who opened it,
// it is not found.
func (s *Store) UpdateSession(ctx context.Context, one authcore.Session) error {
	return s.statement(ctx, "update session", func(ctx context.Context, r run) error {
		values, err := sessionValues(one)
		if err != nil {
			return err
		}
		n, err := r.exec(ctx, `UPDATE sessions SET origin = ?, cookie = ?, secret_hash = ?, refresh_current = ?, refresh_previous = ?,
			refresh_salt = ?, refresh_rotated = ?, methods = ?, created = ?, last_seen = ?, idle_until = ?, absolute_until = ?,
			expires = ?, client_ip = ?, user_agent = ?, version = version + 1 WHERE id = ? AND user_id = ? AND version = ?`,
			append(values, one.ID, one.UserID, one.Version)...)
		if err == nil && n == 0 {
			err = r.lost(ctx, authcore.ErrSessionNotFound, `SELECT 1 FROM sessions WHERE id = ? AND user_id = ?`, one.ID, one.UserID)
		}
		return err
	})
}

// endBatch is how many sessions one statement ends by their ids: databases bound how many arguments one has.
const endBatch = 500

// EndSession implements authcore.Sessions. Many end in several statements, each of which holds by itself.
func (s *Store) EndSession(ctx context.Context, ids ...string) error {
	for batch := range slices.Chunk(ids, endBatch) {
		err := s.statement(ctx, "end session", func(ctx context.Context, r run) error {
			marks, args := placeholders(batch)
			_, err := r.exec(ctx, `DELETE FROM sessions WHERE id IN (`+marks+`)`, args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endingOf are the ids of the sessions of a user that are to end.
const endingOf = `SELECT id FROM sessions WHERE user_id = ? AND id <> ? AND expires > ? ORDER BY last_seen DESC, created, id LIMIT ? OFFSET ?`

// EndSessionsOf implements authcore.Sessions. In a transaction it is one statement; else it lets others write in between.
func (s *Store) EndSessionsOf(ctx context.Context, userID, but string, spare int, now time.Time) (ended []string, err error) {
	those := []any{userID, but, micros(now), math.MaxInt32, spare}
	if s.tx != nil {
		err = s.statement(ctx, "end sessions of user", func(ctx context.Context, r run) (err error) {
			ended, err = r.texts(ctx, `DELETE FROM sessions WHERE id IN (`+endingOf+`) RETURNING id`, those...)
			return err
		})
		return ended, err
	}
	var ids []string
	err = s.read(ctx, "sessions of user to end", func(ctx context.Context, r run) (err error) {
		ids, err = r.texts(ctx, endingOf, those...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(ids, endBatch) {
		var some []string
		err := s.statement(ctx, "end sessions of user", func(ctx context.Context, r run) (err error) {
			marks, args := placeholders(batch)
			some, err = r.texts(ctx, `DELETE FROM sessions WHERE id IN (`+marks+`) RETURNING id`, args...)
			return err
		})
		if err != nil {
			return ended, err
		}
		ended = append(ended, some...)
	}
	return ended, nil
}

// SessionsOf implements authcore.Sessions.
func (s *Store) SessionsOf(ctx context.Context, userID string, now time.Time) (open []authcore.Session, err error) {
	err = s.read(ctx, "sessions of user", func(ctx context.Context, r run) error {
		open, err = r.sessions(ctx, selectSession+`WHERE user_id = ? AND expires > ? ORDER BY created, id`+r.dialect.keep, userID, micros(now))
		return err
	})
	return open, err
}

// DeleteExpiredSessions implements authcore.Sessions. It also forgets old notices, which are not in the number.
func (s *Store) DeleteExpiredSessions(ctx context.Context, now time.Time) (int, error) {
	deleted, err := s.sweep(ctx, "delete expired sessions",
		`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, now)
	if err != nil {
		return deleted, err
	}
	_, err = s.sweep(ctx, "delete old notices",
		`DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE created <= ? AND id < (SELECT max(id) FROM notices) LIMIT ?`+s.dialect.SkipLocked+`)`,
		now.Add(-noticesKept))
	return deleted, err
}

// sweepBatch is how many rows one statement deletes: few enough that whoever signs in meanwhile does not wait for long.
const sweepBatch = 500

// sweep runs a deletion of what expired, with the time and the size of a batch as arguments, until nothing is left of it.
func (s *Store) sweep(ctx context.Context, what, statement string, now time.Time) (deleted int, err error) {
	for n := sweepBatch; n == sweepBatch && err == nil; deleted += n {
		err = s.statement(ctx, what, func(ctx context.Context, r run) error {
			n, err = r.exec(ctx, statement, micros(now), sweepBatch)
			return err
		})
	}
	return deleted, err
}

// methodUse is the form in which authcore.MethodUse is stored.
type methodUse struct {
	Method       authcore.Method `json:"method"`
	Time         int64           `json:"time"`
	UserVerified bool            `json:"user_verified,omitempty"`
	DeviceBound  bool            `json:"device_bound,omitempty"`
	Proof        []byte          `json:"proof,omitempty"`
	Checked      int64           `json:"checked,omitempty"`
	From         string          `json:"from,omitempty"`
}

// sessionValues answers what is stored of a session beside id, user and version.
func sessionValues(one authcore.Session) ([]any, error) {
	methods := make([]methodUse, len(one.Methods))
	for i, use := range one.Methods {
		methods[i] = methodUse{use.Method, micros(use.Time), use.UserVerified, use.DeviceBound, []byte(use.Proof), 0, use.From}
		if !use.Checked.IsZero() {
			methods[i].Checked = micros(use.Checked)
		}
	}
	encoded, err := json.Marshal(methods)
	if err != nil {
		return nil, err
	}
	idle, until := micros(one.IdleUntil), micros(one.Until)
	return []any{
		one.Origin, flag(one.Cookie), one.SecretHash[:],
		one.Refresh.Current[:], one.Refresh.Previous[:], one.Refresh.Salt[:], micros(one.Refresh.Rotated),
		string(encoded), micros(one.Created), micros(one.LastSeen), idle, until, min(idle, until),
		one.ClientIP, one.UserAgent,
	}, nil
}

func (r run) sessions(ctx context.Context, statement string, args ...any) (all []authcore.Session, err error) {
	err = r.each(ctx, statement, args, func(scan func(...any) error) error {
		one, err := scanSession(scan)
		all = append(all, one)
		return err
	})
	return all, err
}

func scanSession(scan func(...any) error) (one authcore.Session, err error) {
	var cookie int
	var hashes [4][]byte
	var encoded []byte
	var rotated, created, seen, idle, until int64
	if err := scan(&one.ID, &one.UserID, &one.Origin, &cookie, &hashes[0], &hashes[1], &hashes[2], &hashes[3], &rotated,
		&encoded, &created, &seen, &idle, &until, &one.ClientIP, &one.UserAgent, &one.Version); err != nil {
		return one, err
	}
	for i, into := range []*[32]byte{&one.SecretHash, &one.Refresh.Current, &one.Refresh.Previous, &one.Refresh.Salt} {
		if len(hashes[i]) != len(into) {
			return one, fmt.Errorf("a hash of %d bytes in session %s", len(hashes[i]), one.ID)
		}
		copy(into[:], hashes[i])
	}
	var methods []methodUse
	if err := json.Unmarshal(encoded, &methods); err != nil {
		return one, err
	}
	for _, use := range methods {
		kept := authcore.MethodUse{
			Method: use.Method, Time: instant(use.Time), UserVerified: use.UserVerified, DeviceBound: use.DeviceBound,
			Proof: string(use.Proof), From: use.From,
		}
		if use.Checked != 0 {
			kept.Checked = instant(use.Checked)
		}
		one.Methods = append(one.Methods, kept)
	}
	one.Cookie, one.Refresh.Rotated = cookie != 0, instant(rotated)
	one.Created, one.LastSeen, one.IdleUntil, one.Until = instant(created), instant(seen), instant(idle), instant(until)
	return one, nil
}
