package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// chainGrantAt is a grant by a chain and where it stands. The chain's endpoints may stand below it.
type chainGrantAt struct {
	grant int // index in App.Grants
	at    *caddyfile.Dispenser
}

// parseGrant reads grant <role> and whom it is for, or what they have on a chain.
func (a *App) parseGrant(d *caddyfile.Dispenser, args []string) error {
	if holding, err := wallet.ParseHolding(args[1:]); err == nil {
		a.chainGrants = append(a.chainGrants, chainGrantAt{len(a.Grants), here(d)})
		a.unasked = append(a.unasked, holding.Chain)
	}
	a.Grants = append(a.Grants, Grant{Source: position(d), Role: args[0], To: args[1:]})
	return nil
}

// checkChainGrants checks the grants by chains once the whole configuration is read.
func (a *App) checkChainGrants() error {
	a.unasked = nil
	all := a.Grants
	defer func() { a.Grants = all }()
	for _, one := range a.chainGrants {
		a.Grants = all[one.grant : one.grant+1]
		if err := a.check(); err != nil {
			return one.at.WrapErr(err)
		}
	}
	return nil
}

// askAll adds to the endpoints of a check those of chains that are granted by and whose endpoints may not be read yet.
func (a *App) askAll(chains map[uint64][]string) {
	for _, chain := range a.unasked {
		if chains[chain] == nil {
			chains[chain] = []string{"https://placeholder.invalid/"}
		}
	}
}
