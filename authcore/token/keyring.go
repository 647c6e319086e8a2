package token

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultRotateEvery = 30 * 24 * time.Hour

	// reloadEvery is how old the cached keys may be before they are read again: the time in which an instance hears of keys
	// that another one made or that somebody deleted.
	reloadEvery = time.Minute
	// retryEvery is the least time between two reads, whatever is asked for: junk tokens cost no more than one read in it.
	retryEvery = 3 * time.Second
	// storeTimeout bounds how long a read may keep those waiting who need it.
	storeTimeout = 2 * time.Second
	// maxTries bounds how often a lost race for the newest key is run again.
	maxTries = 4
)

// KeyRing holds the signing keys of a store. It makes the first one when it is first used, makes new ones, and deletes
// old ones; all instances on one store do, and AddKey decides who was first. The zero value of every field but Store is its
// default. It must not be copied once used.
type KeyRing struct {
	Store authcore.Keys
	// RotateEvery is how long a key signs before the next one does; default 30 days, at least 2 days.
	RotateEvery time.Duration
	Now         func() time.Time // default time.Now
	Rand        io.Reader        // default crypto/rand.Reader

	set atomic.Pointer[keySet]

	mu     sync.Mutex // held while the store is read
	tried  time.Time  // when that was last begun
	err    error      // why the keys could not be read then
	upkeep error      // why they could not be rotated or deleted then
}

// JWKS answers the public keys as a JSON Web Key Set (RFC 7517 section 5): the next, the present and the previous. Its
// error is authcore.ErrUnavailable where no keys were ever read and the store cannot tell.
func (r *KeyRing) JWKS(ctx context.Context) ([]byte, error) {
	set, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(set.jwks), nil
}

// Secret answers 32 bytes for one purpose, which only those can know who have the private key that signs now: the same
// on all instances, and other ones once the next key signs. It is for what must not be guessed but may change with the
// keys. Its error is authcore.ErrUnavailable where there is no key.
func (r *KeyRing) Secret(ctx context.Context, purpose string) ([]byte, error) {
	key, err := r.signer(ctx)
	if err != nil {
		return nil, err
	}
	return key.secret(purpose)
}

// Sealing answers the secret for one purpose as Secret does, with the id of its key, by which Opening answers the same.
func (r *KeyRing) Sealing(ctx context.Context, purpose string) (keyID string, secret []byte, err error) {
	key, err := r.signer(ctx)
	if err != nil {
		return "", nil, err
	}
	secret, err = key.secret(purpose)
	return key.id, secret, err
}

// Opening answers the secret that Sealing answered with this id, until four days after the key signed its last token. Its
// error is ErrInvalid where there is no such key, or authcore.ErrUnavailable.
func (r *KeyRing) Opening(ctx context.Context, keyID, purpose string) ([]byte, error) {
	key, err := r.find(ctx, keyID, (*keySet).key)
	if err != nil {
		return nil, err
	}
	return key.secret(purpose)
}

// Refresh reads the keys anew, makes the next one where it is due and deletes what is retired. Using the ring does the
// same once a minute and keeps quiet about what failed as long as there are keys to work with; Refresh says it. Calls
// within three seconds are answered with the outcome of the first.
func (r *KeyRing) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.reload(ctx)
	return errors.Join(r.err, r.upkeep)
}

// signer answers the key to sign with.
func (r *KeyRing) signer(ctx context.Context) (*signingKey, error) {
	set, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	return set.signer, nil
}

// verifier answers the key with this id: ErrInvalid where there is none, ErrUnavailable where the store cannot tell.
func (r *KeyRing) verifier(ctx context.Context, id string) (*signingKey, error) {
	return r.find(ctx, id, func(s *keySet, id string) *signingKey { return s.verifying[id] })
}

// find answers what a look into the keys finds, the latest ones where those at hand have it not.
func (r *KeyRing) find(ctx context.Context, id string, look func(*keySet, string) *signingKey) (*signingKey, error) {
	set, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	if k := look(set, id); k != nil {
		return k, nil
	}
	// Perhaps a key that another instance made since. Many wait here for one read; none waits who has a known key.
	r.mu.Lock()
	defer r.mu.Unlock()
	set = r.reload(ctx)
	switch k := look(set, id); {
	case k != nil:
		return k, nil
	case r.err != nil:
		return nil, r.err
	}
	return nil, fmt.Errorf("token: unknown key: %w", ErrInvalid)
}

// current answers keys that are not older than a minute or, while they cannot be read, the latest that could.
func (r *KeyRing) current(ctx context.Context) (*keySet, error) {
	set := r.set.Load()
	switch {
	case set == nil:
		r.mu.Lock()
	case within(reloadEvery, set.made, r.now()):
		return set, nil
	case !r.mu.TryLock():
		return set, nil // somebody reads already
	}
	defer r.mu.Unlock()
	if set = r.reload(ctx); set == nil {
		return nil, r.err
	}
	return set, nil
}

// reload reads the keys, unless that was just tried, and answers the latest set there is: nil where there never was one,
// in which case r.err says why. It needs r.mu.
func (r *KeyRing) reload(ctx context.Context) *keySet {
	now := r.now()
	set := r.set.Load()
	if !r.tried.IsZero() && within(retryEvery, r.tried, now) {
		return set
	}
	r.tried = now
	// A client that goes away must not spoil the read for those who wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	var keys []*signingKey
	keys, r.err, r.upkeep = r.load(ctx, now)
	if r.err != nil {
		r.err = authcore.StoreError("token: load keys", r.err)
		if set == nil {
			return nil
		}
		keys = set.all() // time goes on without the store: sort the old keys anew
	}
	next, err := newKeySet(keys, now)
	if err != nil {
		r.err = err
		return set
	}
	r.set.Store(next)
	if r.err == nil {
		for _, k := range next.forgotten {
			if err := r.Store.DeleteKey(ctx, k.id); err != nil {
				r.upkeep = errors.Join(r.upkeep, authcore.StoreError("token: delete forgotten key", err))
			}
		}
	}
	return next
}

// load reads the keys of the store and adds one where it is due. It answers at least one key, or err. That a further key
// could not be added is no reason not to work with those there are: upkeep says it.
func (r *KeyRing) load(ctx context.Context, now time.Time) (keys []*signingKey, err, upkeep error) {
	for range maxTries {
		stored, err := r.Store.Keys(ctx)
		if err != nil {
			return nil, err, nil
		}
		keys = keys[:0]
		newest := ""
		for _, k := range stored {
			parsed, err := parseKey(k)
			if err != nil {
				return nil, err, nil
			}
			keys, newest = append(keys, parsed), k.ID
		}
		if n := len(keys); n > 0 && now.Before(keys[n-1].created.Add(r.rotateEvery())) {
			return keys, nil, nil
		}
		added, err := newKey(r.random(), now)
		if err == nil {
			err = r.Store.AddKey(ctx, added, newest)
		}
		switch {
		case err == nil:
			parsed, err := parseKey(added)
			return append(keys, parsed), err, nil
		case errors.Is(err, authcore.ErrConflict):
			continue // another instance was first: use the winner's
		case len(keys) > 0:
			return keys, nil, authcore.StoreError("token: add key", err)
		}
		return nil, err, nil
	}
	return nil, authcore.ErrConflict, nil
}

func (r *KeyRing) rotateEvery() time.Duration {
	if r.RotateEvery <= 0 {
		return defaultRotateEvery
	}
	return max(r.RotateEvery, 2*overlap)
}

func (r *KeyRing) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *KeyRing) random() io.Reader {
	if r.Rand != nil {
		return r.Rand
	}
	return rand.Reader
}

// within reports whether now is less than d after t. A clock that was set back is not within: better one read too many
// than none until it has caught up.
func within(d time.Duration, t, now time.Time) bool {
	since := now.Sub(t)
	return 0 <= since && since < d
}
