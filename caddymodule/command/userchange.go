package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Where the endpoint changes whether somebody may sign in: a UserChange, answered by the User, as it is then or was last.
const (
	UserDisablePath = "/authgate/user/disable"
	UserEnablePath  = "/authgate/user/enable"
	UserDeletePath  = "/authgate/user/delete"
)

// UserChange names an account that is to be changed.
type UserChange struct {
	UserQuestion
	Force bool `json:"force,omitempty"` // also the last administrator
}

func userChange(to *endpoint, use, path, short, long, example, says string) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: use + " <user>", Short: short, Long: long, Example: example,
		Args: cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var u User
			if err := to.askOf(c, path, args[0], UserChange{UserQuestion{args[0]}, force}, &u); err != nil {
				return err
			}
			return to.show(c, u, func(out io.Writer) { fmt.Fprintf(out, says+"\n", plain(u.Username)) })
		}),
	}
	if path != UserEnablePath {
		c.Flags().BoolVar(&force, "force", false, "Also the last administrator who can sign in")
	}
	return c
}

func userDisable(to *endpoint) *cobra.Command {
	return userChange(to, "disable", UserDisablePath, "Keeps a user from signing in, and ends all sessions", `
Keeps a user from signing in by any method and ends all sessions, on all
instances. Nothing is deleted: enable undoes it.`,
		`  caddy authgate user disable alice@example.com`, "%s is disabled, and signed out everywhere.")
}

func userEnable(to *endpoint) *cobra.Command {
	return userChange(to, "enable", UserEnablePath, "Lets a disabled user sign in again", "",
		`  caddy authgate user enable alice@example.com`, "%s may sign in again.")
}

func userDelete(to *endpoint) *cobra.Command {
	return userChange(to, "delete", UserDeletePath, "Deletes a user with all that is theirs", `
Deletes a user: sign-in methods, sessions, what waits to be confirmed, and what is
personal in the audit log. The username is never given to anybody else. This
cannot be undone; disable can.`,
		`  caddy authgate user delete 0x52908400098527886E0F7030069857D2E4169EE7`, "%s is deleted.")
}
