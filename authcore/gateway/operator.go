package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// Account is an account as its operator sees it.
type Account struct {
	authcore.User // its Roles are those stored, those granted in the configuration and those that it has by chains
	Credentials   []authcore.Credential
	// ChainRoles are the roles that depend on chains, whether or not the account has them at this moment.
	ChainRoles []ChainRole
	// SuspendedUntil is when password sign-in is possible again after too many failures; zero where it is now.
	SuspendedUntil time.Time
}

// ErrAmbiguousUser says that a name stands for several accounts, as a username of one and an address of another.
var ErrAmbiguousUser = errors.New("the name stands for several accounts")

// Account answers the account that an operator names, by id, username, confirmed e-mail address or linked wallet. It is
// authcore.ErrUserNotFound where there is none, and ErrAmbiguousUser, with the ids, where an operator must choose.
func (r *Realm) Account(ctx context.Context, name string) (Account, error) {
	u, err := r.named(ctx, name)
	if err != nil {
		return Account{}, err
	}
	a := Account{User: u}
	if a.Credentials, err = r.Stores.Credentials.CredentialsOf(ctx, u.ID); err != nil {
		return Account{}, err
	}
	id := authcore.Identity{Email: u.Email}
	r.fill(&id, u, a.Credentials)
	r.addChainRoles(ctx, &id)
	a.Roles = id.Roles
	a.ChainRoles, _ = r.chainRoles(ctx, id.Wallets) // what failed is logged above
	a.SuspendedUntil, err = r.Suspended(ctx, u.ID)
	return a, err
}

// named answers the user who has this name, whatever kind of name it is. An id goes before all else: a username may be
// chosen so that it looks like the id of somebody else.
func (r *Realm) named(ctx context.Context, name string) (authcore.User, error) {
	u, err := r.Stores.Users.User(ctx, name)
	if !errors.Is(err, authcore.ErrUserNotFound) {
		return u, err
	}
	var found []authcore.User
	for _, look := range []func(context.Context, string) (authcore.User, error){
		r.Stores.Users.UserByUsername, r.userByEmail, r.userByWallet,
	} {
		u, err := look(ctx, name)
		switch {
		case errors.Is(err, authcore.ErrUserNotFound):
		case err != nil:
			return authcore.User{}, err
		case !slices.ContainsFunc(found, func(other authcore.User) bool { return other.ID == u.ID }):
			found = append(found, u)
		}
	}
	switch len(found) {
	case 0:
		return authcore.User{}, fmt.Errorf("gateway: operator: %w", authcore.ErrUserNotFound)
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, u := range found {
		ids[i] = u.ID
	}
	return authcore.User{}, fmt.Errorf("gateway: operator: %w: %s", ErrAmbiguousUser, strings.Join(ids, ", "))
}

func (r *Realm) userByEmail(ctx context.Context, text string) (authcore.User, error) {
	email, err := password.ParseEmail(text)
	if err != nil {
		return authcore.User{}, authcore.ErrUserNotFound
	}
	return r.Stores.Users.UserByEmail(ctx, email)
}

// userByWallet answers the user to whom a wallet or a program's key is linked, by its address, for a contract wallet by
// eip155:<chain>:<address>, and for others by the credential key.
func (r *Realm) userByWallet(ctx context.Context, text string) (authcore.User, error) {
	kind, key := authcore.Wallet, ""
	if a, err := keysign.ParseAccount(text); err == nil {
		kind, key = methodOf(a.Kind), a.Key()
	} else {
		i := strings.LastIndexByte(text, ':') + 1
		address, err := wallet.ParseAddress(text[i:])
		if err != nil {
			return authcore.User{}, authcore.ErrUserNotFound
		}
		key = text[:i] + address.String()
	}
	c, err := r.Stores.Credentials.CredentialByKey(ctx, kind, key)
	if errors.Is(err, authcore.ErrCredentialNotFound) {
		return authcore.User{}, authcore.ErrUserNotFound
	}
	if err != nil {
		return authcore.User{}, err
	}
	return r.Stores.Users.User(ctx, c.UserID)
}
