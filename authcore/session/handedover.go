package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Keep moves the idle end of a live session on: of one that another session was handed over from, which is used instead of
// it. It always writes, so that in a transaction the session cannot be ended by another one at the same time. Its errors are
// those of Resume.
func (s *Sessions) Keep(ctx context.Context, id string) (authcore.Session, error) {
	return s.change(ctx, "keep", id, func(of *authcore.Session, now time.Time) {
		of.LastSeen = now
		of.IdleUntil = s.idleUntil(*of, now)
	})
}

// Adopt has a live session know what has been proven in the one that it was handed over from. Its errors are those of
// Resume.
func (s *Sessions) Adopt(ctx context.Context, id string, from authcore.Session) (authcore.Session, error) {
	return s.change(ctx, "adopt", id, func(of *authcore.Session, _ time.Time) { of.Methods = handedOver(from) })
}

// handedOver answers what is proven in a session as it stands in one that is handed over from it.
func handedOver(from authcore.Session) []authcore.MethodUse {
	uses := slices.Clone(from.Methods)
	for i := range uses {
		uses[i].From = from.ID
	}
	return uses
}

// change changes a live session, by compare-and-set.
func (s *Sessions) change(ctx context.Context, doing, id string, do func(of *authcore.Session, now time.Time)) (authcore.Session, error) {
	for range maxTries {
		found, err := s.session(ctx, id)
		if err != nil {
			return authcore.Session{}, err
		}
		now := s.now()
		if !found.Live(now) {
			return authcore.Session{}, fmt.Errorf("session: %s: expired: %w", doing, authcore.ErrSessionNotFound)
		}
		do(&found, now)
		updated, err := s.update(ctx, found)
		if !errors.Is(err, authcore.ErrConflict) {
			return updated, err
		}
	}
	return authcore.Session{}, authcore.StoreError("session: "+doing, authcore.ErrConflict)
}
