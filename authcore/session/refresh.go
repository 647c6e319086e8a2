package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// grace is how long a refresh token just spent answers with its successor again: for answers that were lost, and for
// many tabs that refresh at the same moment.
const grace = 10 * time.Second

var (
	// ErrInvalidGrant says that a refresh token is not good. What it lacks is not to be told apart by its holder.
	ErrInvalidGrant = errors.New("refresh token is not valid")
	// ErrReused is the ErrInvalidGrant (errors.Is holds for both) of a token that was spent before and therefore has just
	// ended its session, whose access tokens are to be refused from now on too.
	ErrReused = fmt.Errorf("%w: spent before, family ended", ErrInvalidGrant)
)

// Refreshed spends a refresh token and answers the session, moved on, with the successor of the token. Within ten
// seconds the token just spent answers with the same successor. Its error is ErrInvalidGrant, ErrReused, or
// authcore.ErrUnavailable, after which the same token can be tried again.
func (s *Sessions) Refreshed(ctx context.Context, token string) (authcore.Session, string, error) {
	t, ok := parseRefreshToken(token)
	if !ok {
		return authcore.Session{}, "", fmt.Errorf("session: refresh: malformed: %w", ErrInvalidGrant)
	}
	for range maxTries {
		found, err := s.session(ctx, t.id())
		if errors.Is(err, authcore.ErrSessionNotFound) {
			return authcore.Session{}, "", fmt.Errorf("session: refresh: %w: %w", ErrInvalidGrant, err)
		}
		if err != nil {
			return authcore.Session{}, "", err
		}
		now := s.now()
		switch {
		// The id is public: without the family's secret nobody gets an answer, or ends anything.
		case found.Cookie || !equal(found.SecretHash, t.familyHash()):
			return authcore.Session{}, "", fmt.Errorf("session: refresh: wrong family: %w", ErrInvalidGrant)
		case !found.Live(now):
			return authcore.Session{}, "", fmt.Errorf("session: refresh: expired: %w", ErrInvalidGrant)
		case equal(found.Refresh.Current, t.hash()):
			updated, next, err := s.rotate(ctx, found, t, now)
			if errors.Is(err, authcore.ErrConflict) {
				continue // most likely with this very token: then it is the previous one now
			}
			if errors.Is(err, authcore.ErrSessionNotFound) {
				err = fmt.Errorf("session: refresh: ended meanwhile: %w", ErrInvalidGrant)
			}
			return updated, next, err
		case equal(found.Refresh.Previous, t.hash()) && now.Before(found.Refresh.Rotated.Add(grace)):
			return found, t.successor(found.Refresh.Salt).String(), nil
		}
		// A token of this family that was spent long ago: one of two holders is a thief, and nobody can tell which.
		end := s.EndFamily
		if end == nil {
			end = func(ctx context.Context, of authcore.Session) error { return s.End(ctx, of.ID) }
		}
		if err := end(ctx, found); err != nil {
			return authcore.Session{}, "", authcore.StoreError("session: end the family", err)
		}
		return authcore.Session{}, "", fmt.Errorf("session: refresh: %w", ErrReused)
	}
	return authcore.Session{}, "", authcore.StoreError("session: refresh", authcore.ErrConflict)
}

// rotate makes the successor of t the current token.
func (s *Sessions) rotate(ctx context.Context, of authcore.Session, t refreshToken, now time.Time) (authcore.Session, string, error) {
	var salt [32]byte
	if err := s.random(salt[:]); err != nil {
		return authcore.Session{}, "", err
	}
	next := t.successor(salt)
	of.Refresh = authcore.RefreshState{Current: next.hash(), Previous: t.hash(), Salt: salt, Rotated: now}
	of.LastSeen = now
	of.IdleUntil = s.idleUntil(of, now)
	updated, err := s.update(ctx, of)
	if err != nil {
		return authcore.Session{}, "", err
	}
	return updated, next.String(), nil
}
