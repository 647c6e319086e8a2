package token

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Rotation is what Rotate did.
type Rotation struct {
	KeyID   string    // of the newest key
	Signs   time.Time // when that begins to sign
	Waiting bool      // it had been made before, and nothing was done
	Deleted int       // how many older keys count no more
}

// Rotate makes the next key before its time, by store: that of a transaction, say. As always it is published a day before
// it signs. With atOnce, which is for a key that somebody else may have, it signs at once, and all older keys are deleted:
// what they signed counts no more, and what was sealed with their secrets cannot be opened. Reload makes it count here.
func (r *KeyRing) Rotate(ctx context.Context, store authcore.Keys, atOnce bool) (Rotation, error) {
	for range maxTries {
		stored, err := store.Keys(ctx)
		if err != nil {
			return Rotation{}, authcore.StoreError("token: load keys", err)
		}
		now, newest := r.now(), ""
		if n := len(stored); n > 0 {
			last := stored[n-1]
			newest = last.ID
			if signs := last.Created.Add(overlap); !atOnce && n > 1 && now.Before(signs) {
				return Rotation{KeyID: last.ID, Signs: signs, Waiting: true}, nil
			}
		}
		key, err := newKey(r.random(), now)
		if err != nil {
			return Rotation{}, err
		}
		if err := store.AddKey(ctx, key, newest); errors.Is(err, authcore.ErrConflict) {
			continue // another instance has just made one
		} else if err != nil {
			return Rotation{}, authcore.StoreError("token: add key", err)
		}
		did := Rotation{KeyID: key.ID, Signs: now}
		if !atOnce {
			if len(stored) > 0 {
				did.Signs = now.Add(overlap)
			}
			return did, nil
		}
		// A key that is alone signs at once (newKeySet), on all instances.
		for _, old := range stored {
			if err := store.DeleteKey(ctx, old.ID); err != nil {
				return Rotation{}, authcore.StoreError("token: delete key", err)
			}
			did.Deleted++
		}
		return did, nil
	}
	return Rotation{}, authcore.StoreError("token: add key", authcore.ErrConflict)
}

// Reload reads the keys now, however new those at hand are.
func (r *KeyRing) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = time.Time{}
	_ = r.reload(ctx)
	return r.err
}

// Ages answers since when the key signs that does now, and how many keys are published; zeros where none was read yet. It
// asks no store.
func (r *KeyRing) Ages() (signing time.Time, published int) {
	set := r.set.Load()
	if set == nil {
		return time.Time{}, 0
	}
	since := set.signer.created
	if set.all()[0] != set.signer {
		since = since.Add(overlap)
	}
	return since, len(set.published)
}
