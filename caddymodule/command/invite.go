package command

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// InvitePath is where the endpoint makes an invite: an InviteQuestion, answered by Invited.
const InvitePath = "/authgate/invite"

// InviteQuestion says what an invite is to be; what is zero is left to the defaults.
type InviteQuestion struct {
	Roles   []string `json:"roles,omitempty"`
	Uses    int      `json:"uses,omitempty"`
	Expires string   `json:"expires,omitempty"` // as Go writes durations, or with d for days
	Origin  string   `json:"origin,omitempty"`  // of the site that the link leads to; empty: there is one site
	Note    string   `json:"note,omitempty"`
}

// Invited is an invite that was made. Whoever has the link can open an account.
type Invited struct {
	ID      string    `json:"id"`
	Link    string    `json:"link"`
	Roles   []string  `json:"roles"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
	Note    string    `json:"note,omitempty"`
}

func (r recovery) invite() *cobra.Command {
	var q InviteQuestion
	c := &cobra.Command{
		Use:   "invite [--role <role>]… [--uses <n>] [--expires <duration>] [--origin <origin>] [--note <text>]",
		Short: "Prints a link by which somebody opens an account",
		Long: `
Prints a link by which somebody opens an account, with a passkey, a wallet or a
password, as the site offers. It is the way to the first administrator:

    caddy authgate invite --role admin

The link is good once and for a day, unless told otherwise, and is shown this
once: only a hash of it is stored. Whoever has it can open an account with the
roles, so hand it to them on a way that nobody else reads.

Caddy is asked for it over its admin endpoint. Where it is down, or has no admin
endpoint, the store that --config names is written directly; do that as the user
whom Caddy runs as, with the environment that its configuration needs.`,
		Example: `  caddy authgate invite --role admin
  caddy authgate invite --role editor --uses 5 --expires 72h --note "the new team"
  caddy authgate invite --origin https://app.example.com`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			var did Invited
			err := r.to.ask(c, InvitePath, q, &did)
			var f *failure
			if errors.As(err, &f) && f.code == exitUnreachable && r.to.config != "" {
				fmt.Fprintln(c.ErrOrStderr(), "Caddy does not answer; writing to the store directly.")
				did, err = r.backups.Invite(c.Context(), Configuration{r.to.config, r.to.adapter}, q)
			}
			if err != nil {
				return err
			}
			return r.to.show(c, did, func(out io.Writer) { writeInvite(out, did) })
		}),
	}
	flags := c.Flags()
	flags.StringArrayVar(&q.Roles, "role", nil, "Role that who opens an account with it gets; may be given several times")
	flags.IntVar(&q.Uses, "uses", 1, "How many accounts may be opened with it")
	flags.StringVar(&q.Expires, "expires", "24h", "For how long it is good, as 90m, 24h or 7d")
	flags.StringVar(&q.Origin, "origin", "", "Origin of the site that the link leads to, where there are several")
	flags.StringVar(&q.Note, "note", "", "For whom it is; shown to administrators")
	return c
}

func writeInvite(out io.Writer, did Invited) {
	fmt.Fprintln(out, plain(did.Link))
	fmt.Fprintln(out)
	uses := ""
	if did.Uses > 1 {
		uses = fmt.Sprint(did.Uses)
	}
	fields(out, "roles", plainList(did.Roles), "accounts", uses, "expires", moment(did.Expires), "note", plain(did.Note), "id", plain(did.ID))
}
