package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// recheckTimeout is how long a renewal waits for a chain: a part of renewTimeout, since the store has to answer, too.
const recheckTimeout = 2 * time.Second

// recheck asks the contract wallet of a session again, where that is due: whether it still says yes to the signature of
// the sign-in. Its owners may have changed, and then a session that one of them opened must not go on. It answers
// authcore.ErrSessionNotFound where the contract says no, or its chain is not asked here any more; the session has ended
// then.
//
// A chain that cannot be asked says nothing. For a second period the session goes on and is tried at each renewal: a
// provider's bad hour signs nobody out. After that it is not renewed, and not ended, until the chain answers: keeping the
// chain from being asked must not keep a session open.
func (r *Realm) recheck(ctx context.Context, s authcore.Session) error {
	for _, use := range s.Methods {
		if use.Proof == "" {
			continue
		}
		age := r.Now().Sub(use.Held())
		if age < r.recheckEach {
			continue
		}
		err := r.askAgain(ctx, s, use)
		switch {
		case err == nil:
			if _, err := r.sessions.Checked(ctx, s.ID, use.Proof); err != nil {
				return err
			}
		case errors.Is(err, wallet.ErrInvalidSignature):
			r.Logger.LogAttrs(ctx, slog.LevelInfo, "session ended: its contract wallet does not hold any more",
				slog.String("session", s.ID), slog.String("cause", err.Error()))
			if err := r.endSession(ctx, sessionEnd{kind: authcore.EventSessionEnded, code: "wallet_changed"}, s.ID); err != nil {
				return err
			}
			return fmt.Errorf("gateway: recheck: %w", authcore.ErrSessionNotFound)
		case age >= 2*r.recheckEach:
			return fmt.Errorf("gateway: recheck: %w: %w", authcore.ErrUnavailable, err)
		default:
			r.Logger.LogAttrs(ctx, slog.LevelWarn, "contract wallet of a session not checked; it goes on for now",
				slog.String("session", s.ID), slog.String("cause", err.Error()))
		}
	}
	return nil
}

// askAgain asks on behalf of the user, who is limited as a client is.
func (r *Realm) askAgain(ctx context.Context, s authcore.Session, use authcore.MethodUse) error {
	if r.wallet == nil {
		return fmt.Errorf("gateway: recheck: wallets are off: %w", wallet.ErrChainNotChecked)
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	return r.wallet.Recheck(ctx, "user "+s.UserID, use.Proof)
}
