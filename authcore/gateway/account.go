package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-authgate/authgate/authcore"
)

// proof is a credential that somebody has just proved to possess.
type proof struct {
	kind     authcore.Method
	key      string // Credential.Key
	username string // of the account that is opened for it, where there is none
	granted  bool   // the configuration grants something to it, so that it may register
	doubt    error  // why that may not be known; nil: it is
	invite   string // the key of an invite, by which anybody may; empty: none
}

// accountFor answers the account of a proved credential: the one that has it, or else, where that is allowed, a new one.
// Of many at once that find none, one opens it and all get the same.
func (r *Realm) accountFor(ctx context.Context, p proof, by authcore.Trace) (userID string, err error) {
	// The first round finds a credential or not; the second one, what somebody else did in the meantime.
	for range 3 {
		c, err := r.Stores.Credentials.CredentialByKey(ctx, p.kind, p.key)
		if err == nil {
			return c.UserID, r.useCredential(ctx, c)
		}
		if !errors.Is(err, authcore.ErrCredentialNotFound) {
			return "", err
		}
		var invite []byte
		if p.invite != "" {
			i, err := r.invited(ctx, p.invite)
			if err != nil {
				return "", err
			}
			invite = i.KeyHash[:]
		} else if !r.OpenRegistration && !p.granted {
			return "", cmp.Or(p.doubt, error(errClosedToNew))
		}
		u, c, err := r.newUser(p)
		if err != nil {
			return "", err
		}
		err = r.createUser(ctx, u, c, invite, by)
		switch {
		case err == nil:
			return u.ID, nil
		case errors.Is(err, authcore.ErrUsernameTaken):
			// By the same credential at this moment, or by an account that was deleted, whose name is never given again.
			p.username += "." + u.ID[:8]
		case !errors.Is(err, authcore.ErrCredentialInUse):
			return "", err
		}
	}
	return "", fmt.Errorf("gateway: account: %w", authcore.ErrUnavailable)
}

// useCredential notes that a credential was used, where its owner may sign in.
func (r *Realm) useCredential(ctx context.Context, c authcore.Credential) error {
	if _, err := r.enabledUser(ctx, c.UserID); err != nil {
		return err
	}
	c.LastUsed = r.Now()
	err := r.Stores.Credentials.UpdateCredential(ctx, c)
	switch {
	case errors.Is(err, authcore.ErrConflict):
		return nil // somebody else has just noted the same
	case errors.Is(err, authcore.ErrCredentialNotFound):
		return errClosedToNew // unlinked at this moment
	}
	return err
}

// link adds a proved credential to the account of somebody who is signed in; one that the account has already is only
// used.
func (r *Realm) link(ctx context.Context, id *authcore.Identity, p proof, by authcore.Trace) error {
	c, err := r.Stores.Credentials.CredentialByKey(ctx, p.kind, p.key)
	switch {
	case err == nil && c.UserID != id.Subject:
		return authcore.ErrCredentialInUse
	case err == nil:
		return r.useCredential(ctx, c)
	case !errors.Is(err, authcore.ErrCredentialNotFound):
		return err
	}
	u, err := r.freshUser(ctx, id)
	if err != nil {
		return err
	}
	if c, err = r.newCredential(u.ID, p); err != nil {
		return err
	}
	return r.addCredential(ctx, u, c, by)
}

// addCredential adds a credential to the account of a user and tells them.
func (r *Realm) addCredential(ctx context.Context, u authcore.User, c authcore.Credential, by authcore.Trace) error {
	return r.changeMethods(ctx, u, authcore.MailMethodAdded, c, by, func(s authcore.Stores) error {
		return s.Credentials.AddCredential(ctx, c)
	})
}

// freshUser answers the account of whoever is signed in, to change what they sign in with. The sign-in must be a fresh
// one: a session that was left open must not be enough to take the account over for good.
func (r *Realm) freshUser(ctx context.Context, id *authcore.Identity) (authcore.User, error) {
	if r.Now().Sub(id.AuthTime()) >= r.Fresh {
		return authcore.User{}, errStepUp.asking(nil, r.Fresh)
	}
	return r.presentUser(ctx, id)
}

// presentUser answers the account of whoever is signed in, as the store has it: an access token does not know that its
// session has ended on another instance, or that its user was disabled.
func (r *Realm) presentUser(ctx context.Context, id *authcore.Identity) (authcore.User, error) {
	if err := r.live(ctx, id.SessionID, r.Now()); err != nil {
		return authcore.User{}, err
	}
	return r.enabledUser(ctx, id.Subject)
}

// enabledUser answers an account, or errDisabled.
func (r *Realm) enabledUser(ctx context.Context, id string) (authcore.User, error) {
	u, err := r.Stores.Users.User(ctx, id)
	if err == nil && u.Disabled {
		err = errDisabled
	}
	return u, err
}

func (r *Realm) newUser(p proof) (authcore.User, authcore.Credential, error) {
	id, err := r.newID()
	if err != nil {
		return authcore.User{}, authcore.Credential{}, err
	}
	c, err := r.newCredential(id, p)
	return authcore.User{ID: id, Username: p.username, Created: r.Now()}, c, err
}

func (r *Realm) newCredential(userID string, p proof) (authcore.Credential, error) {
	id, err := r.newID()
	now := r.Now()
	return authcore.Credential{ID: id, UserID: userID, Kind: p.kind, Key: p.key, Created: now, LastUsed: now}, err
}

// newID answers 128 random bits as text.
func (r *Realm) newID() (string, error) {
	b, err := r.random(16)
	return hex.EncodeToString(b), err
}

func (r *Realm) random(n int) ([]byte, error) {
	source := r.Rand
	if source == nil {
		source = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(source, b); err != nil {
		return nil, fmt.Errorf("gateway: random bytes: %w", err)
	}
	return b, nil
}
