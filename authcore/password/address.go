package password

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-authgate/authgate/authcore"
)

// RequestingEmail is a user who is signed in and wants to have another address.
type RequestingEmail struct {
	UserID string
	Email  string // as it was typed
	By     authcore.Trace
	Link   func(key string) string // answers the link to mail, with the key in its fragment
	// Count is called before an account is looked for, where nothing is wrong with what was asked; its error ends it. It may
	// be nil.
	Count func() error
}

// ConfirmingEmail is a user who is signed in and shows the key that was mailed to the new address.
type ConfirmingEmail struct {
	UserID string
	Key    string
	By     authcore.Trace
}

// RequestEmail mails a key to the new address, which becomes the user's with ConfirmEmail. Where it is somebody else's
// already, that owner is mailed instead; the caller sees no difference. Its errors are ErrInvalidEmail,
// authcore.ErrUserNotFound and authcore.ErrUnavailable.
func (p *Passwords) RequestEmail(ctx context.Context, r RequestingEmail) error {
	email, err := ParseEmail(r.Email)
	if err != nil {
		return err
	}
	if err := counted(r.Count); err != nil {
		return err
	}
	u, err := p.Stores.Users.User(ctx, r.UserID)
	if err != nil {
		return authcore.StoreError("password: read the user", err, authcore.ErrUserNotFound)
	}
	owner, err := p.accountByEmail(ctx, email)
	if err != nil {
		return err
	}
	key, c, err := p.newConfirmation(authcore.ConfirmEmail, u.ID, bound{email}, orDefault(p.ConfirmTTL, defaultConfirmTTL))
	if err != nil {
		return err
	}
	// The name is not in it: nobody has words of theirs sent to a stranger.
	m := authcore.Mail{Kind: authcore.MailConfirmEmail, To: email, Link: r.Link(key), Expires: c.Expires}
	if owner.user.ID != "" && owner.user.ID != u.ID {
		m = authcore.Mail{Kind: authcore.MailRegistered, To: email, Name: owner.user.Name}
	}
	return p.announce(ctx, email, c, m, r.By)
}

// ConfirmEmail makes the address that a key was mailed to the user's, once, and tells the old one. A username that was the
// old address becomes the new one. Keys for a reset, which were mailed to the old address, are good no more. It answers
// the user as changed. Its errors are authcore.ErrConfirmationNotFound, also for the key of somebody else,
// authcore.ErrConfirmationExpired, authcore.ErrEmailTaken where another account has confirmed the address since,
// authcore.ErrUserNotFound and authcore.ErrUnavailable, all of which leave the key as it was.
func (p *Passwords) ConfirmEmail(ctx context.Context, c ConfirmingEmail) (authcore.User, error) {
	keyHash := authcore.HashSecret(c.Key)
	found, about, err := readConfirmation[bound](ctx, p, authcore.ConfirmEmail, keyHash)
	if err != nil {
		return authcore.User{}, err
	}
	if found.Subject != c.UserID {
		return authcore.User{}, fmt.Errorf("password: confirm: somebody else's: %w", authcore.ErrConfirmationNotFound)
	}
	u, err := p.Stores.Users.User(ctx, c.UserID)
	if err != nil {
		return authcore.User{}, authcore.StoreError("password: read the user", err, authcore.ErrUserNotFound)
	}
	m := authcore.Mail{Kind: authcore.MailDecoy}
	if u.Email != "" && u.Email != about.Email {
		m = authcore.Mail{Kind: authcore.MailEmailChanged, To: u.Email, Name: u.Name, Email: about.Email}
	}
	sealed, err := p.seal(ctx, m, c.By)
	if err != nil {
		return authcore.User{}, err
	}
	changed, err := p.event(authcore.EventEmailChanged, "", u.ID, c.By, "")
	if err != nil {
		return authcore.User{}, err
	}
	old := u.Email
	put := func(username string) func(authcore.Stores) error {
		return func(s authcore.Stores) (err error) {
			if _, err = s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmEmail, keyHash, p.now()); err != nil {
				return err
			}
			if u, err = s.Users.User(ctx, c.UserID); err != nil {
				return err
			}
			if u.Email != old {
				return authcore.ErrConflict // the mail would go to the wrong address
			}
			if followsEmail(u) {
				u.Username = username
			}
			u.Email = about.Email
			if err = s.Users.UpdateUser(ctx, u); err != nil {
				return err
			}
			if err = s.Confirmations.DeleteConfirmation(ctx, authcore.ConfirmReset, u.ID); err != nil {
				return err
			}
			if err = s.Events.AddEvent(ctx, changed); err != nil {
				return err
			}
			return s.Outbox.AddMail(ctx, sealed)
		}
	}
	err = p.Stores.Transactions.Transact(ctx, put(about.Email))
	if errors.Is(err, authcore.ErrUsernameTaken) {
		// By an account that had this address once: a name is never given again.
		err = p.Stores.Transactions.Transact(ctx, put(longUsername(about.Email, u.ID)))
	}
	if err != nil {
		return authcore.User{}, authcore.StoreError("password: confirm an address", err, authcore.ErrConfirmationNotFound,
			authcore.ErrConfirmationExpired, authcore.ErrEmailTaken, authcore.ErrUserNotFound)
	}
	u.Version++
	return u, nil
}

// followsEmail reports whether a user has the address as username, as it was given with the account.
func followsEmail(u authcore.User) bool {
	if u.Email == "" {
		return false
	}
	name := authcore.FoldUsername(u.Username)
	return name == u.Email || name == authcore.FoldUsername(longUsername(u.Email, u.ID))
}
