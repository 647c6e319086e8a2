package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Where the endpoint gives and takes roles: a RoleChange, answered by RoleChanged.
const (
	RoleGrantPath  = "/authgate/role/grant"
	RoleRevokePath = "/authgate/role/revoke"
)

// RoleChange names an account and a role.
type RoleChange struct {
	UserChange
	Role string `json:"role"`
}

// RoleChanged says who has which roles now.
type RoleChanged struct {
	User User `json:"user"`
	// Unknown is true where no rule, grant or account knew the role before.
	Unknown bool `json:"unknown,omitempty"`
}

func roleGroup(to *endpoint) *cobra.Command {
	return group(&cobra.Command{Use: "role", Short: "Gives and takes away roles"}, roleGrant(to), roleRevoke(to))
}

func roleGrant(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use:   "grant <user> <role>",
		Short: "Gives a user a role",
		Long: `
Gives a user a role. It holds for the next request, on all instances. Roles that
the configuration grants are changed there.`,
		Example: `  caddy authgate role grant alice@example.com editor`,
		Args:    cobra.ExactArgs(2), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var did RoleChanged
			err := to.askOf(c, RoleGrantPath, args[0], RoleChange{UserChange{UserQuestion: UserQuestion{args[0]}}, args[1]}, &did)
			if err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				fmt.Fprintf(out, "%s has the roles: %s.\n", plain(did.User.Username), plainList(did.User.Roles))
				if did.Unknown {
					fmt.Fprintf(out, "No rule names %s so far. Is it written as in the Caddyfile?\n", plain(args[1]))
				}
			})
		}),
	}
}

func roleRevoke(to *endpoint) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "revoke <user> <role>",
		Short:   "Takes a role away from a user",
		Example: `  caddy authgate role revoke alice@example.com editor`,
		Args:    cobra.ExactArgs(2), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var did RoleChanged
			err := to.askOf(c, RoleRevokePath, args[0], RoleChange{UserChange{UserQuestion{args[0]}, force}, args[1]}, &did)
			if err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				if len(did.User.Roles) == 0 {
					fmt.Fprintf(out, "%s has no roles now.\n", plain(did.User.Username))
					return
				}
				fmt.Fprintf(out, "%s has the roles: %s.\n", plain(did.User.Username), plainList(did.User.Roles))
			})
		}),
	}
	c.Flags().BoolVar(&force, "force", false, "Also the role admin of the last administrator who can sign in")
	return c
}
