package command

import (
	"io"

	"github.com/spf13/cobra"
)

// UserShowPath is where the endpoint tells of a user: a UserQuestion, answered by a User.
const UserShowPath = "/authgate/user/show"

func userShow(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use:   "show <user>",
		Short: "Shows an account: who it is, how it signs in, whether it is suspended",
		Example: `  caddy authgate user show alice@example.com
  caddy authgate user show 0x52908400098527886E0F7030069857D2E4169EE7 --json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var u User
			if err := to.askAboutUser(c, UserShowPath, args[0], &u); err != nil {
				return err
			}
			return to.show(c, u, func(out io.Writer) { writeUser(out, u) })
		}),
	}
}

func writeUser(out io.Writer, u User) {
	methods := make([]string, len(u.Methods))
	for i, m := range u.Methods {
		methods[i] = m.Kind
		if m.Name != "" {
			methods[i] += " (" + m.Name + ")"
		}
	}
	byChain := make([]string, len(u.ChainRoles))
	for i, one := range u.ChainRoles {
		if byChain[i] = one.Role + " (" + one.Holding + ")"; !one.Has {
			byChain[i] = "not " + byChain[i]
		}
	}
	state, suspended := "active", ""
	if u.Disabled {
		state = "disabled"
	}
	if !u.SuspendedUntil.IsZero() {
		suspended = moment(u.SuspendedUntil) + ", for passwords"
	}
	fields(
		out,
		"id", plain(u.ID),
		"username", plain(u.Username),
		"name", plain(u.Name),
		"e-mail", plain(u.Email),
		"roles", plainList(u.Roles),
		"roles by chains", plainList(byChain),
		"signs in with", plainList(methods),
		"state", state,
		"suspended until", suspended,
		"created", moment(u.Created),
	)
}
