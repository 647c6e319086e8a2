package password

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Registering is who wants to have an account.
type Registering struct {
	Email    string // as it was typed
	Password string
	Name     string // for display; cut to 256 bytes; may be empty
	// Receipt is a secret, 128 random bits at least, which the browser keeps until the confirmation: see Activate. Empty for
	// programs.
	Receipt string
	// Invite is the key of an invite, by which anybody may open an account; empty: none.
	Invite string
	By     authcore.Trace
	Link   func(key string) string // answers the link to mail, with the key in its fragment
	// Count is called before an account is looked for, where nothing is wrong with what was asked; its error ends it. It may
	// be nil.
	Count func() error
}

// Activating is who confirms a registration.
type Activating struct {
	Key      string
	Password string // in place of the registered one; may be empty
	// Receipt is what the browser kept of the registration, empty where it kept nothing; nil for programs.
	Receipt *string
	By      authcore.Trace
}

// pending is what a registration waits with: authcore.Confirmation.Data. The subject is its address, unless that is told.
type pending struct {
	Name    string `json:"name,omitempty"`
	PHC     string `json:"phc"`
	Receipt []byte `json:"receipt,omitempty"` // hash
	// Invite is the hash of the key with which the account is to be opened. Such a registration has a subject of its own: who
	// has no invite, and registers the same address, does not make the key of the invited good for nothing.
	Invite []byte `json:"invite,omitempty"`
	Email  string `json:"email,omitempty"`
}

// Register stores a pending user, in place of an earlier one, and mails the key that confirms it. Where the address has an
// account already its owner is mailed that somebody tried, and where Selective is set whoever may not is mailed nothing; the
// caller sees no difference, nor does one who measures. Its errors are ErrInvalidEmail, ErrClosed, ErrWeakPassword,
// authcore.ErrInviteNotFound, authcore.ErrInviteExpired, ErrBusy and authcore.ErrUnavailable.
func (p *Passwords) Register(ctx context.Context, r Registering) error {
	email, err := ParseEmail(r.Email)
	if err != nil {
		return err
	}
	invite, err := p.invite(ctx, r.Invite)
	if err != nil {
		return err
	}
	may := r.Invite != "" || p.mayRegister(email)
	if !may && !p.Selective {
		return fmt.Errorf("password: register: %w", ErrClosed)
	}
	if err := p.checkNew(r.Password, email); err != nil {
		return err
	}
	if err := counted(r.Count); err != nil {
		return err
	}
	phc, err := p.Hasher.Hash(ctx, r.Password)
	if err != nil {
		return err
	}
	user := pending{Name: authcore.ClientText(r.Name), PHC: phc}
	if r.Receipt != "" {
		h := authcore.HashSecret(r.Receipt)
		user.Receipt = h[:]
	}
	subject, ttl := email, orDefault(p.ConfirmTTL, defaultConfirmTTL)
	switch {
	case r.Invite != "":
		user.Invite, user.Email = invite.KeyHash[:], email
		subject = email + " " + invite.ID
		ttl = min(ttl, invite.Expires.Sub(p.now())) // it must be good still when it is used
	case !may:
		subject = "nobody " + hashed(email)
	}
	key, c, err := p.newConfirmation(authcore.ConfirmRegistration, subject, user, ttl)
	if err != nil {
		return err
	}
	owner, err := p.accountByEmail(ctx, email)
	if err != nil {
		return err
	}
	// The name is in no mail: nobody has words of theirs sent to a stranger.
	m := authcore.Mail{Kind: authcore.MailConfirm, To: email, Link: r.Link(key), Expires: c.Expires}
	switch { // In either case the key goes to nobody.
	case owner.user.ID != "":
		m = authcore.Mail{Kind: authcore.MailRegistered, To: email, Name: owner.user.Name}
	case !may:
		m = authcore.Mail{Kind: authcore.MailDecoy}
	}
	return p.announce(ctx, email, c, m, r.By)
}

// Activate opens the account of a registration to who holds its key, once.
//
// The threat: a stranger registers somebody's address, with a password that the stranger knows, and waits for the owner
// of the mailbox to press the button. So a page shows the receipt that only the browser of the registration has. Without
// it ErrPasswordRequired asks for a password, which becomes the account's in place of the registered one, and nothing of
// the registration but the address counts. The key stays good meanwhile. A program shows no receipt at all: its key is
// enough, but then the newest registration counts, whoever made it. One that gives its password with the key is safe from
// that.
//
// An invite that was registered with is used now, and gives the account its roles.
//
// Its other errors are authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired, authcore.ErrInviteNotFound,
// authcore.ErrInviteExpired, ErrWeakPassword, ErrClosed, ErrBusy and authcore.ErrUnavailable, all of which leave the key as it
// was.
func (p *Passwords) Activate(ctx context.Context, a Activating) (authcore.User, error) {
	keyHash := authcore.HashSecret(a.Key)
	c, user, err := readConfirmation[pending](ctx, p, authcore.ConfirmRegistration, keyHash)
	if err != nil {
		return authcore.User{}, err
	}
	email := cmp.Or(user.Email, c.Subject)
	if user.Invite == nil && !p.mayRegister(email) {
		return authcore.User{}, fmt.Errorf("password: activate: %w", ErrClosed)
	}
	known := a.Receipt != nil && user.knows(*a.Receipt)
	switch {
	case a.Password != "":
		if user, err = p.rewritten(ctx, a, user, email, known); err != nil {
			return authcore.User{}, err
		}
	case a.Receipt != nil && !known:
		return authcore.User{}, fmt.Errorf("password: activate: %w", ErrPasswordRequired)
	}
	if user.Invite != nil { // before the transaction: who may invite is not to be found out in it alone
		invite, err := p.Stores.Invites.Invite(ctx, [32]byte(user.Invite))
		if err == nil {
			err = p.stillInvites(ctx, p.Stores, invite)
		}
		if err != nil {
			return authcore.User{}, authcore.StoreError("password: read the invite", err, authcore.ErrInviteNotFound)
		}
	}
	now := p.now()
	id, err := p.newID()
	if err != nil {
		return authcore.User{}, err
	}
	r, err := p.newRecord(user.PHC, now)
	if err != nil {
		return authcore.User{}, err
	}
	first, err := p.newCredential(id, r, now)
	if err != nil {
		return authcore.User{}, err
	}
	first.LastUsed = now // whoever activates is signed in by it
	opened := authcore.User{ID: id, Username: email, Name: user.Name, Email: email, Created: now}
	by := a.By
	by.Actor = id
	created, err := p.event(authcore.EventUserCreated, string(authcore.Password), id, by, "")
	if err != nil {
		return authcore.User{}, err
	}
	open := func(s authcore.Stores) error {
		if _, err := s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmRegistration, keyHash, now); err != nil {
			return err
		}
		if user.Invite != nil {
			invite, err := s.Invites.UseInvite(ctx, [32]byte(user.Invite), now)
			if err == nil {
				err = p.stillInvites(ctx, s, invite)
			}
			if err != nil {
				return err
			}
			opened.Roles = invite.Roles
			used, err := p.event(authcore.EventInviteUsed, "", id, by, "invite "+invite.ID)
			if err != nil {
				return err
			}
			if err := s.Events.AddEvent(ctx, used); err != nil {
				return err
			}
		}
		if err := s.Users.CreateUser(ctx, opened, first); err != nil {
			return err
		}
		return s.Events.AddEvent(ctx, created)
	}
	err = p.Stores.Transactions.Transact(ctx, open)
	if errors.Is(err, authcore.ErrUsernameTaken) {
		// By an account that had this address once: a name is never given again.
		opened.Username = longUsername(email, id)
		err = p.Stores.Transactions.Transact(ctx, open)
	}
	switch {
	case errors.Is(err, authcore.ErrEmailTaken):
		// The owner of the mailbox has confirmed the address for another account since.
		return authcore.User{}, fmt.Errorf("password: activate: %w: %w", authcore.ErrConfirmationNotFound, err)
	case err != nil:
		return authcore.User{}, authcore.StoreError("password: activate", err, authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired,
			authcore.ErrInviteNotFound, authcore.ErrInviteExpired)
	}
	return opened, nil
}

// rewritten answers a registration with the password that is given now. Where it is another one than the registered,
// and there is no receipt, somebody else may have registered: then the name goes, too.
func (p *Passwords) rewritten(ctx context.Context, a Activating, user pending, email string, known bool) (pending, error) {
	if err := p.checkNew(a.Password, email); err != nil {
		return pending{}, err
	}
	same, _, err := p.Hasher.Verify(ctx, a.Password, user.PHC)
	if err != nil || same {
		return user, err
	}
	if !known {
		user.Name = ""
	}
	user.PHC, err = p.Hasher.Hash(ctx, a.Password)
	return user, err
}

// invite answers the invite of a key, where an account may be opened with it; none of the empty key.
func (p *Passwords) invite(ctx context.Context, key string) (authcore.Invite, error) {
	if key == "" {
		return authcore.Invite{}, nil
	}
	i, err := p.Stores.Invites.Invite(ctx, authcore.HashSecret(key))
	switch {
	case err != nil:
		return i, authcore.StoreError("password: read the invite", err, authcore.ErrInviteNotFound)
	case !i.Live(p.now()):
		return i, fmt.Errorf("password: register: %w", authcore.ErrInviteExpired)
	}
	if err := p.stillInvites(ctx, p.Stores, i); err != nil {
		return i, authcore.StoreError("password: read the invite", err, authcore.ErrInviteNotFound)
	}
	return i, nil
}

// stillInvites answers authcore.ErrInviteNotFound for an invite of somebody who may not make one any more.
func (p *Passwords) stillInvites(ctx context.Context, s authcore.Stores, i authcore.Invite) error {
	is, err := p.mayInvite(ctx, s, i.By)
	if err == nil && !is {
		err = fmt.Errorf("password: invite: who made it may not: %w", authcore.ErrInviteNotFound)
	}
	return err
}

func (p *Passwords) mayInvite(ctx context.Context, s authcore.Stores, by string) (bool, error) {
	if p.MayInvite == nil {
		return by == authcore.Operator, nil
	}
	return p.MayInvite(ctx, s, by)
}

func (p *Passwords) mayRegister(email string) bool {
	return p.MayRegister != nil && p.MayRegister(email)
}

// newHash checks and hashes a new password.
func (p *Passwords) newHash(ctx context.Context, password, email string) (string, error) {
	if err := p.checkNew(password, email); err != nil {
		return "", err
	}
	return p.Hasher.Hash(ctx, password)
}

// knows reports whether this is the receipt of the registration. One without a receipt knows none.
func (u pending) knows(receipt string) bool {
	h := authcore.HashSecret(receipt)
	return subtle.ConstantTimeCompare(h[:], u.Receipt) == 1
}

// longUsername is the username of an account whose address is, or was, the username of another one.
func longUsername(email, userID string) string { return email + "." + userID[:min(8, len(userID))] }

// newConfirmation makes a key of 128 random bits, and what waits for it.
func (p *Passwords) newConfirmation(purpose authcore.ConfirmationPurpose, subject string, data any, ttl time.Duration) (key string, c authcore.Confirmation, err error) {
	if key, err = p.newID(); err != nil {
		return "", c, err
	}
	now := p.now()
	c = authcore.Confirmation{KeyHash: authcore.HashSecret(key), Purpose: purpose, Subject: subject, Created: now, Expires: now.Add(ttl)}
	c.Data, err = json.Marshal(data)
	return key, c, err
}

// readConfirmation answers what waits for a key, where that is still good, and leaves it.
func readConfirmation[T any](ctx context.Context, p *Passwords, purpose authcore.ConfirmationPurpose, keyHash [32]byte) (authcore.Confirmation, T, error) {
	var data T
	c, err := p.Stores.Confirmations.Confirmation(ctx, purpose, keyHash)
	switch {
	case err != nil:
		err = authcore.StoreError("password: confirm", err, authcore.ErrConfirmationNotFound)
	case !p.now().Before(c.Expires):
		err = fmt.Errorf("password: confirm: %w", authcore.ErrConfirmationExpired)
	default:
		err = json.Unmarshal(c.Data, &data)
	}
	return c, data, err
}
