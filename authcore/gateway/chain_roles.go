package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// chainGrant gives a role to whoever has something on a chain.
type chainGrant struct {
	role    string
	holding wallet.Holding
}

// isChainGrant reports whether the words after a role name something on a chain. No address begins with one of them.
func isChainGrant(to []string) bool {
	return len(to) > 0 && slices.Contains([]wallet.HoldingKind{wallet.NFT, wallet.Token, wallet.ENS}, wallet.HoldingKind(to[0]))
}

// newHoldings answers nil where nothing is granted by chains.
func newHoldings(c RealmConfig, granted []chainGrant) (*wallet.Holdings, error) {
	if len(granted) == 0 {
		return nil, nil //nolint:nilnil // nothing is asked
	}
	if c.Wallet == nil {
		return nil, fmt.Errorf("gateway: grant %s %s: nobody has a wallet where wallet sign-in is off", granted[0].role, granted[0].holding)
	}
	asked := make([]wallet.Holding, len(granted))
	for i, g := range granted {
		asked[i] = g.holding
	}
	h, err := wallet.NewHoldings(wallet.HoldingsConfig{Contracts: c.Wallet.Contracts, Answers: c.State.holdingsBy(c.Wallet.Contracts), TTL: c.Wallet.RolesTTL, Now: c.Now}, asked)
	if err != nil {
		return nil, fmt.Errorf("gateway: grant: %w", err)
	}
	return h, nil
}

// ChainRole is a role that depends on what is on a chain, for one account.
type ChainRole struct {
	Role    string
	Holding string // as in the configuration: "nft 1 0x… min 2"
	Has     bool   // false also where the chain could not be asked
}

// chainRoles answers the roles that depend on chains, for who has these wallets (credential keys). failed tells why some
// of them may be missing.
func (r *Realm) chainRoles(ctx context.Context, wallets []string) (roles []ChainRole, failed error) {
	if len(r.chainGrants) == 0 {
		return nil, nil
	}
	var accounts []wallet.Account
	for _, key := range wallets {
		if a, err := wallet.ParseAccount(key); err == nil {
			accounts = append(accounts, a)
		}
	}
	holdings := make([]wallet.Holding, len(r.chainGrants))
	for i, g := range r.chainGrants {
		holdings[i] = g.holding
	}
	has, failed := r.holdings.Of(ctx, accounts, holdings)
	roles = make([]ChainRole, len(r.chainGrants))
	for i, g := range r.chainGrants {
		roles[i] = ChainRole{g.role, g.holding.String(), has[i]}
	}
	return roles, failed
}

// addChainRoles adds to an identity the roles that its wallets have by what is on chains. A chain that cannot be asked
// costs those roles, until it can, and nothing else.
func (r *Realm) addChainRoles(ctx context.Context, id *authcore.Identity) {
	roles, failed := r.chainRoles(ctx, id.Wallets)
	if failed != nil {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "roles from chains may be missing", slog.String("user", id.Subject), slog.String("cause", failed.Error()))
	}
	for _, one := range roles {
		if one.Has && !slices.Contains(id.Roles, one.Role) {
			id.Roles = append(id.Roles, one.Role)
		}
	}
	slices.Sort(id.Roles)
}

// grantedByChain reports whether a chain gives a role to a wallet (a credential key), so that it may register. failed tells
// why that may not be known.
func (r *Realm) grantedByChain(ctx context.Context, key string) (granted bool, failed error) {
	roles, failed := r.chainRoles(ctx, []string{key})
	return slices.ContainsFunc(roles, func(one ChainRole) bool { return one.Has }), failed
}
