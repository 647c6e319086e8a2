package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// PasswordConfig configures sign-in with e-mail address and password. The zero value of a field is its default.
type PasswordConfig struct {
	MinLength  int              // characters; default and least 12
	MaxLength  int              // bytes; default and least 1024, at most 8192
	Lockout    authcore.Lockout // default: 5 tries, then 15 min; forgotten after 24 h
	ConfirmTTL time.Duration    // how long an address can be confirmed; default 7 days
	ResetTTL   time.Duration    // how long a mailed key sets a new password; default 1 h
	// Sites are names of the sites that nobody may have as password; the hosts of their origins are added.
	Sites []string
	// Hasher bounds the work of hashing. It is to be shared by all realms of a process. Default: a new one.
	Hasher *password.Hasher
}

// mailedAccounts answers what needs a confirmed address, nil where no mail is sent.
func (r *Realm) mailedAccounts() (*password.Passwords, error) {
	if r.Mail == nil {
		if r.Password != nil {
			return nil, errors.New("gateway: password needs mail, by which addresses are confirmed: configure mail, or switch password off")
		}
		return nil, nil
	}
	s := r.Stores
	if s.Confirmations == nil || s.Outbox == nil || s.Transactions == nil {
		return nil, errors.New("gateway: mail needs a store with confirmations, an outbox and transactions")
	}
	if r.Mail.Wake != nil {
		r.Stores.Transactions = mailing{s.Transactions, r.Mail.Wake}
	}
	c := r.Password
	if c == nil {
		c = &PasswordConfig{}
	}
	p := &password.Passwords{
		Stores: r.Stores, Attempts: r.Challenges.Attempts, Hasher: c.Hasher,
		MinLength: cmp.Or(c.MinLength, 12), MaxLength: c.MaxLength, Sites: c.Sites, Lockout: c.Lockout, ConfirmTTL: c.ConfirmTTL, ResetTTL: c.ResetTTL,
		Seal: r.seal, MayRegister: r.mayRegister, MayInvite: r.mayAdminister, Selective: r.grants.emails(), Now: r.Now, Rand: r.Rand,
	}
	if p.Hasher == nil {
		p.Hasher = &password.Hasher{Rand: r.Rand}
	}
	return p, p.Validate()
}

// accountsOf answers the same for a site, whose host is no password.
func (r *Realm) accountsOf(o origin) *password.Passwords {
	if r.passwords == nil {
		return nil
	}
	p := *r.passwords
	p.Sites = append(slices.Clone(p.Sites), o.host)
	return &p
}

// mayRegister reports whether whoever has this address may open an account.
func (r *Realm) mayRegister(email string) bool { return r.OpenRegistration || r.grants.any("", email) }

// Suspended answers until when password sign-in of a user is suspended; the zero time where it is not.
func (r *Realm) Suspended(ctx context.Context, userID string) (time.Time, error) {
	if r.passwords == nil {
		return time.Time{}, nil
	}
	return r.passwords.Suspended(ctx, userID)
}
