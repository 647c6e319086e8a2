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
}

// AuthTime is when the user last proved something in this session, by any method.
func (id *Identity) AuthTime() time.Time { return latestUse(id.Methods) }
