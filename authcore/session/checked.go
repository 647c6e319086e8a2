package session

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// Checked notes in a live session that what it was opened or stepped up with still holds just now: the use with this
// Proof. Where that was replaced in the meantime there is nothing to note. Its errors are those of Resume.
func (s *Sessions) Checked(ctx context.Context, id, proof string) (authcore.Session, error) {
	for range maxTries {
		found, err := s.session(ctx, id)
		if err != nil {
			return authcore.Session{}, err
		}
		i := slices.IndexFunc(found.Methods, func(u authcore.MethodUse) bool { return u.Proof == proof })
		if i < 0 {
			return found, nil
		}
		found.Methods[i].Checked = s.now()
		updated, err := s.update(ctx, found)
		if !errors.Is(err, authcore.ErrConflict) {
			return updated, err
		}
	}
	return authcore.Session{}, authcore.StoreError("session: check", authcore.ErrConflict)
}
