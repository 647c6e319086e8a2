package caddymodule

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
