package password

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultMinLength  = 12
	defaultMaxLength  = 1024
	mostMaxLength     = 8192
	defaultConfirmTTL = 7 * 24 * time.Hour
	defaultResetTTL   = time.Hour

	defaultTries   = 5
	defaultSuspend = 15 * time.Minute
	defaultForget  = 24 * time.Hour

	// mailsPerWindow is how many mails about one thing strangers can have sent to one address in a window.
	mailsPerWindow = 5
	mailWindow     = time.Hour
)

// Passwords signs in, registers and recovers. The zero value of every field is its default, but for those that are
// required. It may be used from many goroutines, and from many instances on one store.
type Passwords struct {
	Stores   authcore.Stores         // required: Users, Credentials, Sessions, Confirmations, Outbox, Events, PersonalAccessTokens, Transactions
	Attempts authcore.AttemptCounter // required
	Hasher   *Hasher                 // required; one for all in the process, since it is what bounds their number

	MinLength int // of a new password, in characters; default and least 12
	MaxLength int // of a password, in bytes; default and least 1024, at most 8192
	// Sites are the names of the site, hosts and others, which a password must not be made of.
	Sites []string
	// Lockout is when password sign-in of an account is suspended; each zero field is its default: 5 tries, 15 min, 24 h.
	Lockout    authcore.Lockout
	ConfirmTTL time.Duration // how long a registration, or a new address, can be confirmed; default 7 days
	ResetTTL   time.Duration // how long a new password can be set after it was asked for; default 1 h

	// Seal, which is required, makes a mail unreadable for who reads the store, and names it: ID and Sealed. It is never
	// called inside a transaction.
	Seal func(context.Context, authcore.Mail) (authcore.SealedMail, error)
	// MayRegister says who may open an account without an invite. Without it nobody may.
	MayRegister func(email string) bool
	// MayInvite says whether somebody, by their id, may make invites and recovery links now: what they made before is good for
	// as long. It is called inside transactions too, and just before them with the stores outside. Without it only
	// authcore.Operator may.
	MayInvite func(ctx context.Context, s authcore.Stores, by string) (bool, error)
	// Selective says that MayRegister takes some addresses and not others, of which nobody is told.
	Selective bool

	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader
}

// Validate reports a configuration that could not work, or would be weaker than this package allows.
func (p *Passwords) Validate() error {
	s := p.Stores
	l := p.lockout()
	switch {
	case s.Users == nil || s.Credentials == nil || s.Sessions == nil || s.Confirmations == nil || s.Outbox == nil || s.Events == nil || s.PersonalAccessTokens == nil || s.Transactions == nil:
		return errors.New("password: a store is missing")
	case p.Attempts == nil:
		return errors.New("password: nothing counts attempts")
	case p.Hasher == nil:
		return errors.New("password: the hasher is missing")
	case p.Seal == nil:
		return errors.New("password: nothing seals mails")
	case p.minLength() < defaultMinLength:
		return fmt.Errorf("password: min_length %d is less than %d; write %d or more", p.minLength(), defaultMinLength, defaultMinLength)
	case p.maxLength() < defaultMaxLength:
		return fmt.Errorf("password: max_length %d is less than %d; write %d or more", p.maxLength(), defaultMaxLength, defaultMaxLength)
	case p.maxLength() > mostMaxLength: // a password stands in a JSON object, escaped, and bodies are 64 KiB at most
		return fmt.Errorf("password: max_length %d is more than %d; write %d or less", p.maxLength(), mostMaxLength, mostMaxLength)
	case p.minLength() > p.maxLength():
		return fmt.Errorf("password: min_length %d is more than max_length %d", p.minLength(), p.maxLength())
	case l.Tries < 1 || l.Suspend < 0 || l.Forget < 0:
		return errors.New("password: lockout: write a number of tries and for how long they are suspended then, lockout 5 15m")
	case p.ConfirmTTL < 0:
		return errors.New("password: confirm_ttl is negative")
	case p.ResetTTL < 0:
		return errors.New("password: reset_ttl is negative")
	}
	return p.Hasher.Validate()
}

func (p *Passwords) minLength() int { return orDefault(p.MinLength, defaultMinLength) }
func (p *Passwords) maxLength() int { return orDefault(p.MaxLength, defaultMaxLength) }

func (p *Passwords) lockout() authcore.Lockout {
	return authcore.Lockout{
		Tries:   orDefault(p.Lockout.Tries, defaultTries),
		Suspend: orDefault(p.Lockout.Suspend, defaultSuspend),
		Forget:  orDefault(p.Lockout.Forget, defaultForget),
	}
}

// now is the time in the precision in which stores keep it.
func (p *Passwords) now() time.Time {
	now := p.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

func (p *Passwords) random(n int) ([]byte, error) { return random(p.Rand, n) }

// newID answers 128 random bits as text.
func (p *Passwords) newID() (string, error) {
	b, err := p.random(16)
	return hex.EncodeToString(b), err
}

func random(from io.Reader, n int) ([]byte, error) {
	if from == nil {
		from = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, fmt.Errorf("password: random bytes: %w", err)
	}
	return b, nil
}

func orDefault[T int | uint32 | uint8 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
