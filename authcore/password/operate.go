package password

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// maxTries bounds how often a lost compare-and-set is tried anew.
const maxTries = 8

// Device answers a new device token for a user who has just proved to be the owner in another way than SignIn: by
// Activate, Reset or Change. Its error is authcore.ErrCredentialNotFound where the user has no password, or
// authcore.ErrUnavailable.
func (p *Passwords) Device(ctx context.Context, userID string) (string, error) {
	c, err := p.Stores.Credentials.CredentialByKey(ctx, authcore.Password, userID)
	if err != nil {
		return "", authcore.StoreError("password: read the credential", err, authcore.ErrCredentialNotFound)
	}
	r, err := readRecord(c)
	if err != nil {
		return "", authcore.StoreError("password: read the credential", err)
	}
	return p.newDevice(userID, r)
}

// Holds reports whether a device token is one for the password that a user has now. A session that was opened after SignIn
// is worth nothing where it is not: the password was changed, and the sessions of then ended, in between. Its error is
// authcore.ErrUnavailable.
func (p *Passwords) Holds(ctx context.Context, userID, token string) (bool, error) {
	a, err := p.withPassword(ctx, authcore.User{ID: userID}, nil)
	if err != nil {
		return false, err
	}
	_, is := a.record.deviceNonce(userID, token)
	return is, nil
}

// Suspended answers until when password sign-in of a user is suspended for browsers that did not sign in before; the zero
// time where it is not. Its error is authcore.ErrUnavailable.
func (p *Passwords) Suspended(ctx context.Context, userID string) (until time.Time, err error) {
	attempts, err := p.Attempts.Attempts(ctx, accountKey(userID), p.now())
	switch {
	case err != nil:
		return time.Time{}, authcore.StoreError("password: read attempts", err)
	case attempts.Count < p.lockout().Tries:
		return time.Time{}, nil
	}
	return attempts.Reset, nil
}

// Lift ends the suspension of a user, on all browsers; one who is not suspended is no error. Its error is
// authcore.ErrUnavailable.
func (p *Passwords) Lift(ctx context.Context, userID string) error {
	err := authcore.ErrConflict
	for tries := 0; errors.Is(err, authcore.ErrConflict) && tries < maxTries; tries++ {
		err = p.countLift(ctx, userID)
	}
	if err != nil && !errors.Is(err, authcore.ErrCredentialNotFound) {
		return authcore.StoreError("password: lift a suspension", err)
	}
	if err := p.Attempts.ClearAttempts(ctx, accountKey(userID)); err != nil {
		return authcore.StoreError("password: lift a suspension", err)
	}
	return nil
}

func (p *Passwords) countLift(ctx context.Context, userID string) error {
	c, err := p.Stores.Credentials.CredentialByKey(ctx, authcore.Password, userID)
	if err != nil {
		return err
	}
	r, err := readRecord(c)
	if err != nil {
		return err
	}
	r.Lifts++
	if c.Data, err = r.encode(); err != nil {
		return err
	}
	return p.Stores.Credentials.UpdateCredential(ctx, c)
}
