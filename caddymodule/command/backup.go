package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// BackupPath is where the endpoint writes a backup: a BackupQuestion, answered by its bytes. An answer that was broken off
// is no whole backup, and Check tells.
const BackupPath = "/authgate/backup"

// BackupQuestion asks for a backup of everything.
type BackupQuestion struct{}

// BackedUp says what was written where.
type BackedUp struct {
	File string `json:"file,omitempty"` // absent: standard output
	Holding
}

func (r recovery) backup() *cobra.Command {
	force := false
	c := &cobra.Command{
		Use:   "backup <file>",
		Short: "Writes everything in the store to a file, while Caddy runs or is down",
		Long: `
Writes everything in the store to a file: accounts, sessions, signing keys and
waiting mail, as they are at one moment. Sign-ins go on meanwhile.

Caddy is asked for it over its admin endpoint. Where it is down, or has no admin
endpoint, the store that --config names is read directly; do that as the user
whom Caddy runs as, with the environment that its configuration needs.

The file can be read by its owner alone, and appears under its name once it is
complete and on the disk. It holds the private signing keys: whoever has it can
sign in as anybody. The file - is standard output, to be encrypted on the way.`,
		Example: `  caddy authgate backup authgate.backup
  caddy authgate backup --config Caddyfile --force authgate.backup
  caddy authgate backup - | age -r age1… >authgate.backup.age`,
		Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			did := BackedUp{File: args[0]}
			write := func(to io.Writer) error {
				var err error
				did.Holding, err = r.checked(to, func(to io.Writer) error { return r.dump(ctx, c, to) })
				if over := ctx.Err(); over != nil && err != nil {
					return errors.New("stopped")
				}
				return err
			}
			if args[0] == "-" {
				did.File = ""
				return toOutput(c, write)
			}
			if err := writeFile(args[0], force, write); err != nil {
				return err
			}
			return r.to.show(c, did, func(out io.Writer) { fmt.Fprintf(out, "%s: %s.\n", did.File, did.Holding) })
		}),
	}
	c.Flags().BoolVar(&force, "force", false, "Replace the file where there is one")
	return c
}

// toOutput writes a backup to standard output, unless that is the screen.
func toOutput(c *cobra.Command, write func(io.Writer) error) error {
	out := c.OutOrStdout()
	if file, ok := out.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return errors.New("a backup is not for the screen; name a file, or send it on: caddy authgate backup - | …")
		}
	}
	return write(out)
}

// dump writes what the running Caddy has, or where there is none what the store has that is configured.
func (r recovery) dump(ctx context.Context, c *cobra.Command, to io.Writer) error {
	err := r.to.post(ctx, BackupPath, BackupQuestion{}, func(_ string, body io.Reader) error {
		_, err := io.Copy(to, body)
		if err != nil && !errors.Is(err, errStopped) {
			err = fmt.Errorf("the backup broke off: %w; why may stand in the log of Caddy", err)
		}
		return err
	})
	var f *failure
	if !errors.As(err, &f) || f.code != exitUnreachable || r.to.config == "" {
		return err
	}
	fmt.Fprintln(c.ErrOrStderr(), "Caddy does not answer; reading the store directly.")
	_, err = r.backups.Dump(ctx, Configuration{r.to.config, r.to.adapter}, to)
	return err
}
