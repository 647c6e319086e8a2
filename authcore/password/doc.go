// Package password signs users in with an e-mail address and a password, and does what that takes: registration with a
// confirmed address, lockout, recovery, and changing the password or the address.
//
// What it promises:
//
//   - Passwords are kept as argon2id hashes with a salt each, mailed keys as plain hashes of 128 random bits.
//   - The same answer, and the same work, for a wrong password, an unknown or pending address, an account without a
//     password and a suspended one: the same reads, one count and one hash. (A hash that was stored with cheaper
//     parameters than those configured now is cheaper to compare, until its owner signs in.)
//   - A try is counted before it is hashed, for the account and not for what was typed, so that neither parallel guesses
//     nor other spellings of an address win tries. What was too many for the queue was neither hashed nor counted.
//   - Strangers can suspend the password sign-in of an account, but not that of a browser that signed in before.
//   - Whoever registers, or asks for a new password, learns nothing of whether there is an account: only the mailbox does.
//   - A stranger's registration of somebody's address gains nothing: see Activate.
//   - What a mail announces is stored in the same transaction as the mail.
//   - A new password ends the other sessions and makes all that was mailed before worthless.
//
// What it will not do: ask a service whether a password was leaked; demand kinds of characters, or a new password now and
// then (NIST SP 800-63B-4, section 3.1.1.2); open sessions, which its caller does; judge whether an account is disabled,
// which its caller does too; send mails.
package password

import (
	"errors"
	"fmt"

	"github.com/caddy-authgate/authgate/authcore"
)

// The errors by which callers tell the refusals apart (errors.Is), beside those of authcore.
var (
	ErrInvalidEmail = errors.New("e-mail address is not valid")
	// ErrInvalidCredentials is the one refusal of a sign-in.
	ErrInvalidCredentials = errors.New("address and password do not fit")
	// ErrSuspended is an ErrInvalidCredentials, told apart for logs and counts and not for the public: this try began a
	// suspension, or came during one. There are suspensions of addresses without an account too.
	ErrSuspended = fmt.Errorf("suspended: %w", ErrInvalidCredentials)

	ErrWeakPassword = errors.New("password is too weak") // always a *WeakError
	ErrClosed       = errors.New("registration is closed to this address")
	// ErrPasswordRequired says that the key alone is not enough, since somebody else may have registered.
	ErrPasswordRequired = errors.New("a password must be given with the key")
	ErrNoEmail          = errors.New("the account has no confirmed address")
	// ErrBusy is an authcore.ErrUnavailable: more passwords wait to be hashed than may.
	ErrBusy = fmt.Errorf("too many passwords wait to be hashed: %w", authcore.ErrUnavailable)
	// ErrInvalidHash says that a stored hash is not one of this package, or costs more than it may.
	ErrInvalidHash = errors.New("stored hash is not valid")
)

// The reasons of a WeakError.
const (
	TooShort = "too_short"
	TooLong  = "too_long"
	Common   = "common" // easy to guess: a common password or a variant of one, or the user's own address
	Site     = "site"   // the name of the site and little more
)

// WeakError is an ErrWeakPassword and says why.
type WeakError struct {
	Reason string // one of the constants above
}

func (e *WeakError) Error() string { return "password: too weak: " + e.Reason }

func (e *WeakError) Unwrap() error { return ErrWeakPassword }
