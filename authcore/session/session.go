package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultIdle     = 12 * time.Hour
	defaultAbsolute = 7 * 24 * time.Hour
	defaultRefresh  = 24 * time.Hour

	// maxTries bounds how often a lost compare-and-set is tried anew. The loser of a race reads what the winner wrote and
	// seldom has anything left to write, so more than two tries are rare.
	maxTries = 8
)

// Sessions opens, resumes, refreshes and ends sessions. The zero value of every field but Store is its default. It may
// be used from many goroutines, and from many instances on one store.
type Sessions struct {
	Store    authcore.Sessions
	Idle     time.Duration // how long a browser's session lives without use; default 12 h
	Absolute time.Duration // how long any session lives at most; default 7 days
	Refresh  time.Duration // how long a refresh token is good, counted anew at each refresh; default 24 h
	// EndFamily ends the session of which a refresh token was shown that had been spent; default End.
	EndFamily func(ctx context.Context, of authcore.Session) error
	Now       func() time.Time // default time.Now
	Rand      io.Reader        // default crypto/rand.Reader
}

// Opening is a sign-in that has been proven and becomes a session.
type Opening struct {
	UserID string
	Origin string             // the site, "https://app.example.com"
	Use    authcore.MethodUse // what was proven; its Time becomes the time of the opening
	// From is the session at another site that hands the sign-in over, in place of Use: what was proven there counts, with
	// its times, and the new session lives no longer. Its ID is empty where there is none.
	From      authcore.Session
	Cookie    bool   // a browser's session, resumed by cookie; else a program's, continued by refresh tokens
	ClientIP  string // for the user's list of sessions; cut to 256 bytes
	UserAgent string // the same
}

// In answers the same on another store: on that of a transaction, which it must not outlive.
func (s *Sessions) In(store authcore.Sessions) *Sessions {
	within := *s
	within.Store = store
	return &within
}

// Open stores a new session and answers it with its secret: what the cookie carries, or the first refresh token. Its
// error is authcore.ErrUserNotFound where the account was deleted meanwhile, or authcore.ErrUnavailable.
func (s *Sessions) Open(ctx context.Context, o Opening) (authcore.Session, string, error) {
	now := s.now()
	o.Use.Time = now
	opened := authcore.Session{
		UserID:    o.UserID,
		Origin:    o.Origin,
		Cookie:    o.Cookie,
		Methods:   []authcore.MethodUse{o.Use},
		Created:   now,
		LastSeen:  now,
		Until:     now.Add(orDefault(s.Absolute, defaultAbsolute)),
		ClientIP:  authcore.ClientText(o.ClientIP),
		UserAgent: authcore.ClientText(o.UserAgent),
	}
	if o.From.ID != "" {
		opened.Methods = handedOver(o.From)
		if o.From.Until.Before(opened.Until) {
			opened.Until = o.From.Until
		}
	}
	opened.IdleUntil = s.idleUntil(opened, now)

	// One draw for all three: a session whose id is random and whose secret is not must not exist.
	var t refreshToken
	if err := s.random(t.rawID[:], t.family[:], t.secret[:]); err != nil {
		return authcore.Session{}, "", err
	}
	opened.ID = t.id()
	var secret string
	if o.Cookie {
		opened.SecretHash = t.hash()
		secret = formatCookieSecret(t.rawID, t.secret)
	} else {
		opened.SecretHash = t.familyHash()
		opened.Refresh = authcore.RefreshState{Current: t.hash(), Rotated: now}
		secret = t.String()
	}
	err := s.Store.CreateSession(ctx, opened)
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return authcore.Session{}, "", fmt.Errorf("session: open: %w", err)
	case err != nil:
		return authcore.Session{}, "", authcore.StoreError("session: open", err)
	}
	return opened, secret, nil
}

// Resume answers the live session of a cookie's secret and moves its idle end on. Its error is
// authcore.ErrSessionNotFound, for whatever the secret lacks, or authcore.ErrUnavailable.
func (s *Sessions) Resume(ctx context.Context, secret string) (authcore.Session, error) {
	for range maxTries {
		found, err := s.Verify(ctx, secret)
		if err != nil {
			return authcore.Session{}, err
		}
		now := s.now()
		if !found.Live(now) {
			return authcore.Session{}, fmt.Errorf("session: resume: expired: %w", authcore.ErrSessionNotFound)
		}
		if !now.After(found.LastSeen) {
			return found, nil // somebody renewed it at this moment; nothing is left to move
		}
		found.LastSeen = now
		found.IdleUntil = s.idleUntil(found, now)
		updated, err := s.update(ctx, found)
		if !errors.Is(err, authcore.ErrConflict) {
			return updated, err
		}
		// Somebody else renewed it, or stepped it up, or ended it: read again which.
	}
	return authcore.Session{}, authcore.StoreError("session: resume", authcore.ErrConflict)
}

// Verify answers the session of a cookie's secret and moves nothing. It answers sessions that are no longer live too:
// signing out must work late. Its errors are those of Resume.
func (s *Sessions) Verify(ctx context.Context, secret string) (authcore.Session, error) {
	c, ok := parseCookieSecret(secret)
	if !ok {
		return authcore.Session{}, fmt.Errorf("session: secret is malformed: %w", authcore.ErrSessionNotFound)
	}
	found, err := s.session(ctx, c.id)
	if err != nil {
		return authcore.Session{}, err
	}
	if !found.Cookie || !equal(found.SecretHash, c.hash()) {
		return authcore.Session{}, fmt.Errorf("session: secret is wrong: %w", authcore.ErrSessionNotFound)
	}
	return found, nil
}

// StepUp notes that the user of a live session has proven something just now; the Time of use becomes that. What was
// proven earlier by the same method counts no more. Its errors are those of Resume.
func (s *Sessions) StepUp(ctx context.Context, id string, use authcore.MethodUse) (authcore.Session, error) {
	return s.change(ctx, "step up", id, func(of *authcore.Session, now time.Time) {
		use.Time, use.From = now, of.From() // one that was handed over still ends with that it came from
		if i := slices.IndexFunc(of.Methods, func(u authcore.MethodUse) bool { return u.Method == use.Method }); i >= 0 {
			of.Methods[i] = use
		} else {
			of.Methods = append(of.Methods, use)
		}
	})
}

// End ends a session by its public id; one that is not there is no error. Whether the caller may end it, the caller
// decides. Its error is authcore.ErrUnavailable where the store could not.
func (s *Sessions) End(ctx context.Context, id string) error {
	if err := s.Store.EndSession(ctx, id); err != nil {
		return authcore.StoreError("session: end", err)
	}
	return nil
}

// SessionID answers the public id inside a cookie's secret or a refresh token, for caches and logs. It proves nothing:
// anybody can write any id into a secret.
func (s *Sessions) SessionID(secret string) (string, bool) {
	if c, ok := parseCookieSecret(secret); ok {
		return c.id, true
	}
	if t, ok := parseRefreshToken(secret); ok {
		return t.id(), true
	}
	return "", false
}

// session reads a session: ErrSessionNotFound, or ErrUnavailable for everything else.
func (s *Sessions) session(ctx context.Context, id string) (authcore.Session, error) {
	found, err := s.Store.Session(ctx, id)
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		return authcore.Session{}, fmt.Errorf("session: read: %w", err)
	case err != nil:
		return authcore.Session{}, authcore.StoreError("session: read", err)
	}
	return found, nil
}

// update writes a session: ErrConflict, ErrSessionNotFound, or ErrUnavailable for everything else.
func (s *Sessions) update(ctx context.Context, changed authcore.Session) (authcore.Session, error) {
	err := s.Store.UpdateSession(ctx, changed)
	switch {
	case errors.Is(err, authcore.ErrConflict), errors.Is(err, authcore.ErrSessionNotFound):
		return authcore.Session{}, fmt.Errorf("session: update: %w", err)
	case err != nil:
		return authcore.Session{}, authcore.StoreError("session: update", err)
	}
	changed.Version++
	return changed, nil
}

// idleUntil is until when a session used now lives without further use.
func (s *Sessions) idleUntil(of authcore.Session, now time.Time) time.Time {
	idle := orDefault(s.Refresh, defaultRefresh)
	if of.Cookie {
		idle = orDefault(s.Idle, defaultIdle)
	}
	if until := now.Add(idle); until.Before(of.Until) {
		return until
	}
	return of.Until
}

func (s *Sessions) random(into ...[]byte) error {
	r := s.Rand
	if r == nil {
		r = rand.Reader
	}
	for _, b := range into {
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("session: read random bytes: %w", err)
		}
	}
	return nil
}

// now is the time in the precision in which stores keep it, so that what is answered and what is read again are equal.
func (s *Sessions) now() time.Time {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

func orDefault(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}
