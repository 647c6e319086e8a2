package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// RecoverPath is where the endpoint makes a recovery link: a RecoverQuestion, answered by Recovery.
const RecoverPath = "/authgate/recover"

// RecoverQuestion names an account and the site that the link leads to.
type RecoverQuestion struct {
	UserQuestion
	Origin string `json:"origin,omitempty"` // empty: there is one site
}

// Recovery is a link by which a user adds a new way to sign in. Whoever has it can sign in as that user.
type Recovery struct {
	User    User      `json:"user"`
	Link    string    `json:"link"`
	Expires time.Time `json:"expires"`
}

func recoverUser(to *endpoint) *cobra.Command {
	var origin string
	c := &cobra.Command{
		Use:   "recover <user> [--origin <origin>]",
		Short: "Prints a link by which a user who lost every way to sign in adds a new one",
		Long: `
Prints a link by which a user who has lost every way to sign in adds a new one: a
passkey, a wallet, or a password where the account has a confirmed e-mail
address. It is good once and for a day; a link that was made before is good no
more. When it is used, all sessions of the user end. The user is told by mail,
where there is an address.

The link is shown this once: only a hash of it is stored. Whoever has it can sign
in as that user, so make sure who asks for it, and hand it over on a way that
nobody else reads.`,
		Example: `  caddy authgate recover alice@example.com
  caddy authgate recover alice --origin https://app.example.com`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var did Recovery
			err := to.askOf(c, RecoverPath, args[0], RecoverQuestion{UserQuestion{args[0]}, origin}, &did)
			if err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				fmt.Fprintln(out, plain(did.Link))
				fmt.Fprintln(out)
				fields(out, "for", plain(did.User.Username), "expires", moment(did.Expires))
			})
		}),
	}
	c.Flags().StringVar(&origin, "origin", "", "Origin of the site that the link leads to, where there are several")
	return c
}
