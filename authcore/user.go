package authcore

import (
	"context"
	"strings"
	"time"
)

// User is an account: somebody who can sign in.
type User struct {
	ID       string // stable and opaque, the "subject"; at most 64 printable ASCII characters
	Username string // unique without regard to case; see ValidUsername
	Name     string // for display, chosen by the user; may be empty
	Email    string // a confirmed address, in the one form in which addresses are compared, or empty; unique
	Roles    []string
	Disabled bool
	Created  time.Time
	Version  int64 // changed by the store at each update, for compare-and-set
}

// Users keeps accounts.
type Users interface {
	// CreateUser stores a new user together with the first credential, both or neither. It answers ErrUsernameTaken where
	// the username belongs, or ever belonged, to another account, ErrEmailTaken where the address belongs to another one, and
	// ErrCredentialInUse where the credential does.
	CreateUser(ctx context.Context, u User, first Credential) error
	// User answers the user with this id, or ErrUserNotFound.
	User(ctx context.Context, id string) (User, error)
	// UserByUsername answers the user who has this username now, compared without case, or ErrUserNotFound.
	UserByUsername(ctx context.Context, username string) (User, error)
	// UserByEmail answers the user who has this confirmed address, or ErrUserNotFound.
	UserByEmail(ctx context.Context, email string) (User, error)
	// UpdateUser replaces the user with the same ID where the stored Version equals u.Version, and increments it. Else it
	// answers ErrConflict, ErrUserNotFound, or ErrUsernameTaken or ErrEmailTaken as CreateUser does.
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser deletes the user with all credentials, sessions and personal access tokens. Usernames the account ever had stay reserved.
	DeleteUser(ctx context.Context, id string) error
}

// ValidUsername reports whether a person may choose s as username: 1 to 64 of a–z 0–9 . _ - (upper case is folded by
// FoldUsername before), beginning with a letter or digit, and not in the form of an Ethereum address. A name in the form
// of an e-mail has an "@" and so is refused as well. Names that are given by the gateway, an address or a confirmed
// e-mail, are outside of this set, so that nobody can choose somebody else's.
func ValidUsername(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return !looksLikeAddress(s)
}

// FoldUsername is the form in which usernames are compared.
func FoldUsername(s string) string { return strings.ToLower(s) }

func looksLikeAddress(s string) bool {
	if len(s) != 42 || s[:2] != "0x" {
		return false
	}
	for _, c := range s[2:] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
