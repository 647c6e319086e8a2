package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// KeysRotatePath is where the endpoint rotates the signing keys: a KeysQuestion, answered by KeysRotated.
const KeysRotatePath = "/authgate/keys/rotate"

// KeysQuestion says how the signing keys are rotated.
type KeysQuestion struct {
	// AtOnce is for a key that somebody else may have: the new one signs at once, and those before it count no more.
	AtOnce bool `json:"at_once,omitempty"`
}

// KeysRotated says what was done.
type KeysRotated struct {
	Key   string    `json:"key"`   // the id of the newest key
	Signs time.Time `json:"signs"` // when that begins to sign
	// Waiting is true where it had been made before, and nothing was done.
	Waiting   bool `json:"waiting,omitempty"`
	Deleted   int  `json:"deleted,omitempty"`    // how many keys before it count no more
	LostMails int  `json:"lost_mails,omitempty"` // how many mails waited that nobody can open any more
	Untold    bool `json:"untold,omitempty"`     // other instances could not be told, and hear of it within a minute
}

func keysGroup(to *endpoint) *cobra.Command {
	return group(&cobra.Command{Use: "keys", Short: "Rotates the signing keys"}, keysRotate(to))
}

func keysRotate(to *endpoint) *cobra.Command {
	var q KeysQuestion
	c := &cobra.Command{
		Use:   "rotate [--at-once]",
		Short: "Makes the next signing key before its time",
		Long: `
Makes the next signing key, which otherwise happens every 30 days. It is
published at once and signs a day later, so that whoever verifies assertions has
it by then.

--at-once is for a key that somebody else may have, from a lost backup say: the
new key signs at once, and what those before it have signed counts no more, on
all instances. Whoever is signed in goes on; mails that wait are lost.`,
		Example: `  caddy authgate keys rotate
  caddy authgate keys rotate --at-once`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			var did KeysRotated
			if err := to.ask(c, KeysRotatePath, q, &did); err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) { writeKeys(out, did) })
		}),
	}
	c.Flags().BoolVar(&q.AtOnce, "at-once", false, "The present key is known to somebody else: it counts no more")
	return c
}

func writeKeys(out io.Writer, did KeysRotated) {
	switch {
	case did.Waiting:
		fmt.Fprintf(out, "Nothing to do: key %s was made already and signs from %s on.\n", plain(did.Key), moment(did.Signs))
		return
	case did.Deleted == 0:
		fmt.Fprintf(out, "Made key %s, which signs from %s on.\n", plain(did.Key), moment(did.Signs))
		return
	}
	fmt.Fprintf(out, "Made key %s, which signs now. Keys that count no more: %d.\n", plain(did.Key), did.Deleted)
	if did.LostMails > 0 {
		fmt.Fprintf(out, "Mails that waited and are lost: %d. Who waits for one asks again.\n", did.LostMails)
	}
	if did.Untold {
		fmt.Fprintln(out, "Other instances could not be told; they hear of it within a minute.")
	}
}
