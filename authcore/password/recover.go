package password

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Forgetting is who asks for a new password.
type Forgetting struct {
	Email string // as it was typed
	By    authcore.Trace
	Link  func(key string) string // answers the link to mail, with the key in its fragment
	// Count is called before an account is looked for, where nothing is wrong with what was asked; its error ends it. It may
	// be nil.
	Count func() error
}

// Resetting is who sets a new password with a mailed key.
type Resetting struct {
	Key      string
	Password string
	By       authcore.Trace
}

// Changing is who sets a new password while signed in.
type Changing struct {
	UserID    string
	SessionID string // stays open, and must be open at the end; may be empty
	Password  string
	By        authcore.Trace
}

// bound is what a key for a new password, or a new address, waits with: the address it is about.
type bound struct {
	Email string `json:"email"`
}

// Forgot mails a key that sets a new password, or says that the account has none to set. The caller does not learn
// whether there is an account, nor does one who measures. Its errors are ErrInvalidEmail and authcore.ErrUnavailable.
func (p *Passwords) Forgot(ctx context.Context, f Forgetting) error {
	email, err := ParseEmail(f.Email)
	if err != nil {
		return err
	}
	if err := counted(f.Count); err != nil {
		return err
	}
	a, err := p.accountByEmail(ctx, email)
	if err != nil {
		return err
	}
	// For who has no password, or no account, a key is stored that nobody is told, and that is about no user.
	subject := "nobody " + hashed(email)
	if a.hasPassword() {
		subject = a.user.ID
	}
	key, c, err := p.newConfirmation(authcore.ConfirmReset, subject, bound{email}, orDefault(p.ResetTTL, defaultResetTTL))
	if err != nil {
		return err
	}
	m := authcore.Mail{Kind: authcore.MailDecoy}
	switch {
	case a.hasPassword():
		m = authcore.Mail{Kind: authcore.MailReset, To: email, Name: a.user.Name, Link: f.Link(key), Expires: c.Expires}
	case a.user.ID != "":
		m = authcore.Mail{Kind: authcore.MailNoPassword, To: email, Name: a.user.Name}
	}
	return p.announce(ctx, email, c, m, f.By)
}

// Reset sets a new password with a mailed key, once, and ends all sessions of the user, all personal access tokens, all device
// tokens, any suspension and what else was mailed to confirm: an intruder may have made any of them. It answers whose
// password it is, and the ids of the sessions that ended, with what stood for those of tokens. Its errors are authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired, ErrWeakPassword, ErrBusy and
// authcore.ErrUnavailable, all of which leave the key as it was.
func (p *Passwords) Reset(ctx context.Context, r Resetting) (userID string, ended []string, err error) {
	keyHash := authcore.HashSecret(r.Key)
	c, about, err := readConfirmation[bound](ctx, p, authcore.ConfirmReset, keyHash)
	if err != nil {
		return "", nil, err
	}
	a, err := p.accountByID(ctx, c.Subject)
	if err != nil {
		return "", nil, err
	}
	// A key that lies in a mailbox which is not the user's any more, or for a password that was removed, is good no more.
	if !a.hasPassword() || a.user.Email != about.Email {
		return "", nil, fmt.Errorf("password: reset: %w", authcore.ErrConfirmationNotFound)
	}
	// Before the rest, so that nothing was done where it fails.
	if err := p.Attempts.ClearAttempts(ctx, accountKey(a.user.ID)); err != nil {
		return "", nil, authcore.StoreError("password: clear attempts", err)
	}
	by := r.By
	by.Actor = cmp.Or(by.Actor, a.user.ID) // who holds the key
	var tokens []string
	ended, err = p.setPassword(ctx, a.user, "", r.Password, "reset", by, func(s authcore.Stores, now time.Time) (err error) {
		if _, err = s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmReset, keyHash, now); err != nil {
			return err
		}
		tokens, err = authcore.EndPersonalAccessTokens(ctx, s, p.Rand, now, a.user.ID, "reset", by)
		return err
	})
	if err != nil {
		return a.user.ID, nil, err
	}
	return a.user.ID, append(ended, tokens...), nil
}

// Recover sets a password, or gives the account its first one, with a key that an operator has handed over: Reset but for
// where the key comes from, and for the account, which needs no password yet. Its errors are ErrNoEmail and those of Reset.
func (p *Passwords) Recover(ctx context.Context, r Resetting) (userID string, ended []string, err error) {
	keyHash := authcore.HashSecret(r.Key)
	c, made, err := readConfirmation[authcore.Recovery](ctx, p, authcore.ConfirmRecovery, keyHash)
	if err != nil {
		return "", nil, err
	}
	if err := p.stillRecovers(ctx, p.Stores, made); err != nil {
		return "", nil, authcore.StoreError("password: recover", err, authcore.ErrConfirmationNotFound)
	}
	a, err := p.accountByID(ctx, c.Subject)
	switch {
	case err != nil:
		return "", nil, err
	case a.user.ID == "":
		return "", nil, fmt.Errorf("password: recover: %w", authcore.ErrConfirmationNotFound)
	case a.user.Email == "":
		return "", nil, fmt.Errorf("password: recover: %w", ErrNoEmail)
	}
	if err := p.Attempts.ClearAttempts(ctx, accountKey(a.user.ID)); err != nil {
		return "", nil, authcore.StoreError("password: clear attempts", err)
	}
	by := r.By
	by.Actor = a.user.ID
	used, err := p.event(authcore.EventRecoveryUsed, string(authcore.Password), a.user.ID, by, "")
	if err != nil {
		return "", nil, err
	}
	var tokens []string
	ended, err = p.setPassword(ctx, a.user, "", r.Password, "recover", by, func(s authcore.Stores, now time.Time) (err error) {
		if _, err := s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmRecovery, keyHash, now); err != nil {
			return err
		}
		if err := p.stillRecovers(ctx, s, made); err != nil {
			return err
		}
		if err := s.Events.AddEvent(ctx, used); err != nil {
			return err
		}
		tokens, err = authcore.EndPersonalAccessTokens(ctx, s, p.Rand, now, a.user.ID, "recover", by)
		return err
	})
	if err != nil {
		return a.user.ID, nil, err
	}
	return a.user.ID, append(ended, tokens...), nil
}

// stillRecovers answers authcore.ErrConfirmationNotFound for the link of somebody who may not make one any more.
func (p *Passwords) stillRecovers(ctx context.Context, s authcore.Stores, made authcore.Recovery) error {
	is, err := p.mayInvite(ctx, s, made.By)
	if err == nil && !is {
		err = fmt.Errorf("password: recover: who made the link may not: %w", authcore.ErrConfirmationNotFound)
	}
	return err
}

// Change sets the password of a user, or gives the account its first one, and ends all other sessions, all device tokens
// and keys for a reset. It answers the ids of the sessions that ended. That the user has just proved to be the owner is
// the caller's to see to. Its errors are ErrNoEmail, ErrWeakPassword, authcore.ErrUserNotFound,
// authcore.ErrSessionNotFound where the session that is to stay has ended, ErrBusy and authcore.ErrUnavailable.
func (p *Passwords) Change(ctx context.Context, c Changing) (ended []string, err error) {
	u, err := p.Stores.Users.User(ctx, c.UserID)
	switch {
	case err != nil:
		return nil, authcore.StoreError("password: read the user", err, authcore.ErrUserNotFound)
	case u.Email == "":
		return nil, fmt.Errorf("password: change: %w", ErrNoEmail)
	}
	by := c.By
	by.Actor = cmp.Or(by.Actor, u.ID)
	return p.setPassword(ctx, u, c.SessionID, c.Password, "change", by, func(s authcore.Stores, _ time.Time) error {
		// The threat: who has a stolen session changes the password while the owner resets it. The change waits to be hashed,
		// and would come after the reset that ended the session.
		if c.SessionID == "" {
			return nil
		}
		_, err := s.Sessions.Session(ctx, c.SessionID)
		return err
	})
}

// setPassword gives a user a new password, in one transaction with all that follows from it; first comes first in it, keep is the session that stays, and code
// says in the audit log how it came about.
func (p *Passwords) setPassword(ctx context.Context, u authcore.User, keep, password, code string, by authcore.Trace, first func(authcore.Stores, time.Time) error) (ended []string, err error) {
	phc, err := p.newHash(ctx, password, u.Email)
	if err != nil {
		return nil, err
	}
	now := p.now()
	r, err := p.newRecord(phc, now)
	if err != nil {
		return nil, err
	}
	added, err := p.newCredential(u.ID, r, now)
	if err != nil {
		return nil, err
	}
	// An account of before there was a bound may have more sessions than can end in the time that a transaction has.
	over, err := p.Stores.Sessions.EndSessionsOf(ctx, u.ID, keep, authcore.MostSessions, now)
	if err != nil {
		return nil, authcore.StoreError("password: end sessions", err)
	}
	sealed, err := p.seal(ctx, authcore.Mail{Kind: authcore.MailPasswordChanged, To: u.Email, Name: u.Name}, by)
	if err != nil {
		return nil, err
	}
	changed, err := p.event(authcore.EventPasswordChanged, code, u.ID, by, "")
	if err != nil {
		return nil, err
	}
	err = p.transact(ctx, "set a password", func(s authcore.Stores) error {
		ended = nil
		if err := first(s, now); err != nil {
			return err
		}
		if err := putCredential(ctx, s.Credentials, added); err != nil {
			return err
		}
		if ended, err = s.Sessions.EndSessionsOf(ctx, u.ID, keep, 0, now); err != nil {
			return err
		}
		for _, purpose := range []authcore.ConfirmationPurpose{authcore.ConfirmReset, authcore.ConfirmEmail} {
			if err := s.Confirmations.DeleteConfirmation(ctx, purpose, u.ID); err != nil {
				return err
			}
		}
		if err := s.Events.AddEvent(ctx, changed); err != nil {
			return err
		}
		return s.Outbox.AddMail(ctx, sealed)
	}, authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired, authcore.ErrUserNotFound, authcore.ErrSessionNotFound)
	if err != nil {
		return nil, err
	}
	return append(over, ended...), nil
}

// putCredential makes this the password of its user, in place of the one there is.
func putCredential(ctx context.Context, credentials authcore.Credentials, c authcore.Credential) error {
	old, err := credentials.CredentialByKey(ctx, c.Kind, c.Key)
	switch {
	case errors.Is(err, authcore.ErrCredentialNotFound):
		return credentials.AddCredential(ctx, c)
	case err != nil:
		return err
	}
	old.Data = c.Data
	return credentials.UpdateCredential(ctx, old)
}
