package caddymodule

import "github.com/caddy-authgate/authgate/authcore/wallet"

// welcome tells how the first administrator comes in, where nobody else would let anybody in.
func (a *App) welcome() {
	unmanned, err := a.realm.Unmanned(a.ctx)
	switch {
	case err != nil:
		a.logger.Debug("whether there are accounts is not known", "error", err)
	case unmanned:
		a.logger.Warn("nobody can sign in yet: there are no accounts, and registration is by invite; " +
			"make a link for the first administrator with: caddy authgate invite --role admin")
	}
}

// warnUnheld tells of grants to what no account can come to have any more. They are no errors: where a way to sign in was
// switched off, or this instance is one of several and sends no mail, accounts still have their addresses, wallets and keys,
// and would lose their roles with the grants.
func (a *App) warnUnheld() {
	ways := a.realm.Ways()
	for _, g := range a.Grants {
		if _, err := wallet.ParseHolding(g.To); err == nil {
			continue
		}
		for _, to := range g.To {
			if missing := ways.Missing(to); missing != "" {
				a.logger.Warn("a grant is only for accounts that have what it names from before, and lets nobody in: "+missing, "role", g.Role, "to", to, "source", g.Source)
			}
		}
	}
}

// warnUnheld tells of rules for users whom nobody can become any more, which are no errors for the same reason.
func (h *Handler) warnUnheld(a *App) {
	ways := a.realm.Ways()
	for _, rule := range h.Rules {
		for _, user := range rule.Users {
			if missing := ways.Missing(user); missing != "" {
				h.logger.Warn("a rule is only for an account that has what it names from before: "+missing, "user", user, "source", rule.Source)
			}
		}
	}
}
