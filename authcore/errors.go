package authcore

import (
	"errors"
	"fmt"
	"slices"
)

// The errors by which callers tell cases apart (errors.Is). Stores and mechanisms wrap them with the noun of their
// package; anything else that a store returns is treated as ErrUnavailable.
var (
	// ErrUnavailable says that a store, or a service behind a mechanism, could not do the work now. It is never a verdict.
	ErrUnavailable = errors.New("unavailable")
	// ErrConflict says that a compare-and-set lost: somebody else was first. Read again and decide anew.
	ErrConflict = errors.New("changed by somebody else")

	ErrUserNotFound       = errors.New("user not found")
	ErrUsernameTaken      = errors.New("username is taken")
	ErrEmailTaken         = errors.New("e-mail address belongs to another account")
	ErrInvalidUsername    = errors.New("username is not valid")
	ErrCredentialNotFound = errors.New("credential not found")
	ErrCredentialInUse    = errors.New("credential belongs to another account")
	ErrLastCredential     = errors.New("the last credential cannot be deleted")

	// ErrChallengeNotFound covers what an outsider must not tell apart: never issued, spent already, and issued for another
	// purpose, origin or subject.
	ErrChallengeNotFound = errors.New("challenge not found")
	ErrChallengeExpired  = errors.New("challenge expired")
	// ErrChallengeLimit says that a bounded store holds as many unanswered challenges as it may.
	ErrChallengeLimit = errors.New("too many unanswered challenges")

	// ErrConfirmationNotFound covers keys that never were, were used, were replaced by a newer one, or are for something else.
	ErrConfirmationNotFound = errors.New("confirmation key not found")
	ErrConfirmationExpired  = errors.New("confirmation key expired")

	ErrInviteNotFound = errors.New("invite not found")
	ErrInviteExpired  = errors.New("invite expired or used up")

	ErrPersonalAccessTokenNotFound = errors.New("personal access token not found")

	ErrInvalidCursor = errors.New("no such place in the list")

	ErrSessionNotFound = errors.New("session not found")
)

// StoreError wraps err, which a store answered, with what was being done ("wallet: challenges"). Where it is none of known,
// the verdicts that the caller passes on, it is ErrUnavailable: nothing else that a store says is a verdict.
func StoreError(doing string, err error, known ...error) error {
	if errors.Is(err, ErrUnavailable) || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
}
