package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Register adds the commands to those of Caddy.
func Register(backups Backups) {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "authgate",
		Usage: "<command>",
		Short: "Shows and changes the accounts of a Caddy with Authgate, and keeps them safe",
		Long: `
Shows and changes the accounts of a running Caddy with Authgate, over Caddy's
admin endpoint; backs up, restores and moves the store.

The endpoint is found as by Caddy's own commands: --address, else the admin
option of the configuration that --config names, else localhost:2019.

A <user> is an id, a username, a confirmed e-mail address or a linked wallet.

Exit codes: 0 done, 1 not done, 2 there is no such user, 3 Caddy cannot be
reached.`,
		CobraFunc: func(c *cobra.Command) {
			to := new(endpoint)
			to.addFlags(c)
			members(c, to, backups)
		},
	})
}

// members adds all commands.
func members(c *cobra.Command, to *endpoint, backups Backups) {
	recovery := recovery{to, backups}
	group(
		c, userGroup(to), roleGroup(to), sessionGroup(to), tokenGroup(to), audit(to), explain(to), checkConfig(to), keysGroup(to), status(to), dashboard(), alerts(),
		recovery.invite(), recoverUser(to), recovery.backup(), recovery.restore(), recovery.migrate(),
	)
}

// group makes a command of commands: alone it shows its help, and what it does not know is an error.
func group(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(members...)
	return c
}
