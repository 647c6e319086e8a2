package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// UserUnlockPath is where the endpoint lifts a suspension: a UserQuestion, answered by UserUnlocked.
const UserUnlockPath = "/authgate/user/unlock"

// UserUnlocked says what was lifted.
type UserUnlocked struct {
	User User `json:"user"` // as it is now
	// SuspendedUntil is when the suspension would have ended; absent where there was none, but perhaps failures to forget.
	SuspendedUntil time.Time `json:"suspended_until,omitzero"`
}

func userUnlock(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use:     "unlock <user>",
		Short:   "Lifts the suspension of password sign-in after too many failures",
		Example: `  caddy authgate user unlock alice@example.com`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var did UserUnlocked
			if err := to.askAboutUser(c, UserUnlockPath, args[0], &did); err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				if did.SuspendedUntil.IsZero() {
					fmt.Fprintf(out, "%s was not suspended; failures so far are forgotten.\n", plain(did.User.Username))
					return
				}
				fmt.Fprintf(out, "%s may sign in with the password again; it was suspended until %s.\n",
					plain(did.User.Username), moment(did.SuspendedUntil))
			})
		}),
	}
}
