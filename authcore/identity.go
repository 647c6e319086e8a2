package authcore

import "time"

// Identity is who a request is, as its access token says: complete enough to judge rules and to tell the backend,
// without a store.
type Identity struct {
	Subject   string // User.ID
	SessionID string
	Username  string
	Name      string
	Email     string
	Roles     []string // sorted, without duplicates; those stored and those granted in the configuration
	Wallets   []string // credential keys of linked wallets, the oldest first
	Keys      []string // credential keys of linked keys of programs, the oldest first
	Methods   []MethodUse

	// Token says that a personal access token stands for the user. It has no methods, and meets no rule that asks for some.
	Token bool
	// Reach is where that token is good; nil: wherever rules let it.
	Reach Reach
}

// Reach is a set of paths.
type Reach interface {
	// Reaches reports whether an escaped path, as it stands in a request, is in the set whichever way a backend reads it.
	Reaches(path string) bool
}

// AuthTime is when the user last proved something in this session, by any method.
func (id *Identity) AuthTime() time.Time { return latestUse(id.Methods) }
