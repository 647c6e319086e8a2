package gateway

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/token"
)

// KeysRotated is what RotateKeys did.
type KeysRotated struct {
	token.Rotation
	// LostMails is how many mails waited that nobody can open any more.
	LostMails int
	// Told is false where other instances could not be told: they hear of it within a minute.
	Told bool
}

// RotateKeys makes the next signing key before its time. It is published at once and signs a day later, so that whoever has
// the present keys at hand has it by then. With atOnce, for a key that somebody else may have, it signs at once and the keys
// before it count no more, on all instances: who is signed in goes on, with new access tokens, and mails that wait are lost.
func (r *Realm) RotateKeys(ctx context.Context, by authcore.Trace, atOnce bool) (KeysRotated, error) {
	code := "added"
	if atOnce {
		code = "replaced"
	}
	var did KeysRotated
	err := r.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) (err error) {
		did = KeysRotated{Told: true}
		if atOnce {
			if did.LostMails, _, err = tx.Outbox.MailWaiting(ctx); err != nil {
				return err
			}
		}
		if did.Rotation, err = r.keys.Rotate(ctx, tx.Keys, atOnce); err != nil || did.Waiting {
			return err
		}
		e, err := authcore.NewEvent(r.Rand, r.Now(), authcore.EventKeyRotated, code, "", by, "key "+did.KeyID)
		if err != nil {
			return err
		}
		return tx.Events.AddEvent(ctx, e)
	})
	if err != nil || did.Waiting {
		return did, err
	}
	r.Logger.InfoContext(ctx, "signing keys rotated", "how", code, "key", did.KeyID, "signs", did.Signs, "by", by.Actor)
	if atOnce {
		did.Told = r.tellKeys(ctx)
	}
	return did, r.readKeys(ctx, atOnce)
}

// tellKeys tells other instances that keys count no more, and reports whether that could be done.
func (r *Realm) tellKeys(ctx context.Context) bool {
	n := r.notices()
	if n == nil {
		return true
	}
	ctx, cancel := telling(ctx)
	defer cancel()
	if err := n.Notify(ctx, authcore.Notice{Kind: authcore.NoticeKeysChanged}); err != nil {
		r.Logger.WarnContext(ctx, "other instances not told of new signing keys; they hear of them within a minute", "cause", err.Error())
		return false
	}
	return true
}

// readKeys reads the keys of the store anew. Where some count no more, tokens that were verified by them are not believed.
func (r *Realm) readKeys(ctx context.Context, replaced bool) error {
	err := r.keys.Reload(ctx)
	if replaced {
		r.State.mistrust(r.Now())
	}
	return err
}

// SigningKeys answers since when the present key signs, and how many are published; zeros where none was read yet.
func (r *Realm) SigningKeys() (signing time.Time, published int) { return r.keys.Ages() }
