package authcore

import "context"

// UserOrder is by what lists of users are sorted.
type UserOrder string

const (
	ByUsername UserOrder = "username" // compared without case
	ByCreated  UserOrder = "created"
)

// UserQuery chooses users. The zero value of a field chooses all.
type UserQuery struct {
	// Search is the beginning of a username, of a word of the name, of an e-mail address or of a linked wallet's address,
	// without regard to case, or a whole id.
	Search     string
	Role       string // stored with the user; what the configuration grants is not known to stores
	Disabled   *bool
	Order      UserOrder // default ByUsername
	Descending bool
	After      string // the cursor that the page before answered; empty: the first page
	Limit      int    // at most so many; default 50
}

// UserPage is a part of a list of users.
type UserPage struct {
	Users []User
	Next  string // the cursor of the next page; empty: there is none
}

// Directory finds users.
type Directory interface {
	// FindUsers answers the users that the query chooses. It looks at no more of them than it answers, by much, however many
	// there are. A cursor that no page answered is ErrInvalidCursor.
	FindUsers(ctx context.Context, q UserQuery) (UserPage, error)
	// CountUsers answers how many users there are; beyond a few ten thousands it may be an estimate.
	CountUsers(ctx context.Context) (n int, err error)
}
