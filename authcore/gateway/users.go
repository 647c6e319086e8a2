package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// The errors by which callers of what administers users tell cases apart.
var (
	// ErrLastAdministrator says that nobody would be left who can sign in and administer.
	ErrLastAdministrator = errors.New("nobody would be left who can sign in and administer")
	// ErrGranted says that a role is given in the configuration, and taken away there.
	ErrGranted = errors.New("the role is granted in the configuration")
	// ErrInvalidRole says that a text is no name of a role.
	ErrInvalidRole = errors.New("a role is 1 to 64 letters, digits, '-', '_', '.' and ':'")
	// ErrOwnAccount says that administrators do not do this to their own accounts.
	ErrOwnAccount = errors.New("not to one's own account")
	// ErrNotAdministrator says that who does something is no administrator any more.
	ErrNotAdministrator = errors.New("not an administrator, or no longer")
)

// ListedUser is a user in a list.
type ListedUser struct {
	authcore.User                   // its Roles are those stored and those that the configuration grants
	Granted       []string          // those of the roles that the configuration grants
	Methods       []authcore.Method // kinds of the credentials, each once
	LastSeen      time.Time         // zero: never, or too long ago to be known
}

// UserList is a part of a list of users.
type UserList struct {
	Users []ListedUser
	Next  string // see authcore.UserPage
	Total int    // how many users there are at all; many may be an estimate
}

// shortPages is how often a page is filled up that has fewer users than it might.
const shortPages = 4

// Users answers users that administrators look for. Who has the role that is asked for from the configuration is on the first
// page, beyond its limit.
func (r *Realm) Users(ctx context.Context, q authcore.UserQuery) (list UserList, err error) {
	q.Limit = cmp.Or(q.Limit, 50)
	var users []authcore.User
	if q.Role != "" && q.After == "" {
		if users, err = r.grantedUsers(ctx, q); err != nil {
			return list, err
		}
	}
	beyond := len(users)
	for range shortPages {
		left := q.Limit - (len(users) - beyond)
		part := q
		part.Limit = left
		page, err := r.Stores.Directory.FindUsers(ctx, part)
		if err != nil {
			return list, err
		}
		users = append(users, page.Users...)
		list.Next, q.After = page.Next, page.Next
		if page.Next == "" || len(users)-beyond >= q.Limit {
			break
		}
	}
	for _, u := range users {
		one, err := r.listed(ctx, u)
		if err != nil {
			return list, err
		}
		list.Users = append(list.Users, one)
	}
	list.Total, err = r.Stores.Directory.CountUsers(ctx)
	return list, err
}

// grantedUsers answers whom the query chooses who have its role from the configuration only.
func (r *Realm) grantedUsers(ctx context.Context, q authcore.UserQuery) (users []authcore.User, err error) {
	all, err := r.holders(ctx, q.Role)
	if err != nil {
		return nil, err
	}
	role := q.Role
	q.Role = ""
	for _, u := range all {
		wallets, err := r.walletsOf(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		if _, chosen := q.Place(u, wallets); chosen && !slices.Contains(u.Roles, role) {
			users = append(users, u)
		}
	}
	slices.SortFunc(users, func(a, b authcore.User) int {
		return cmp.Or(cmp.Compare(a.Username, b.Username), cmp.Compare(a.ID, b.ID))
	})
	return users, nil
}

// holders answers the users to whom the configuration grants a role.
func (r *Realm) holders(ctx context.Context, role string) (users []authcore.User, err error) {
	for to, roles := range r.grants {
		if !slices.Contains(roles, role) {
			continue
		}
		u, err := r.named(ctx, to)
		switch {
		case errors.Is(err, authcore.ErrUserNotFound), errors.Is(err, ErrAmbiguousUser):
			continue
		case err != nil:
			return nil, err
		}
		// A name may be somebody's who does not have what it names.
		_, granted, err := r.rolesOf(ctx, r.Stores, u)
		if err != nil {
			return nil, err
		}
		if slices.Contains(granted, role) && !slices.ContainsFunc(users, func(other authcore.User) bool { return other.ID == u.ID }) {
			users = append(users, u)
		}
	}
	return users, nil
}

func (r *Realm) walletsOf(ctx context.Context, userID string) (keys []string, err error) {
	credentials, err := r.Stores.Credentials.CredentialsOf(ctx, userID)
	for _, c := range credentials {
		if c.Kind == authcore.Wallet {
			keys = append(keys, c.Key)
		}
	}
	return keys, err
}

// rolesOf answers all roles of a user but those that depend on chains, and those of them that the configuration grants.
func (r *Realm) rolesOf(ctx context.Context, s authcore.Stores, u authcore.User) (all, granted []string, err error) {
	credentials, err := s.Credentials.CredentialsOf(ctx, u.ID)
	if err != nil {
		return nil, nil, err
	}
	id := authcore.Identity{Subject: u.ID, Email: u.Email}
	r.fill(&id, u, credentials)
	return id.Roles, r.grants.roles(&id), nil
}

func (r *Realm) listed(ctx context.Context, u authcore.User) (ListedUser, error) {
	one := ListedUser{User: u}
	credentials, err := r.Stores.Credentials.CredentialsOf(ctx, u.ID)
	if err != nil {
		return one, err
	}
	id := authcore.Identity{Subject: u.ID, Email: u.Email}
	r.fill(&id, u, credentials)
	one.Roles, one.Granted = id.Roles, r.grants.roles(&id)
	for _, c := range credentials {
		if !slices.Contains(one.Methods, c.Kind) {
			one.Methods = append(one.Methods, c.Kind)
		}
		if c.LastUsed.After(one.LastSeen) {
			one.LastSeen = c.LastUsed
		}
	}
	sessions, err := r.Stores.Sessions.SessionsOf(ctx, u.ID, r.Now())
	for _, s := range sessions {
		if s.LastSeen.After(one.LastSeen) {
			one.LastSeen = s.LastSeen
		}
	}
	return one, err
}

// Roles answers the roles that are known: those of the rules of all sites, those that the configuration grants, and that of
// administrators.
func (r *Realm) Roles() []string {
	roles := []string{AdminRole}
	for _, g := range r.State.gateways(r) {
		for _, rule := range g.site.Rules {
			roles = append(roles, rule.Roles...)
		}
	}
	for _, granted := range r.grants {
		roles = append(roles, granted...)
	}
	for _, c := range r.Grants {
		roles = append(roles, c.Role)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
