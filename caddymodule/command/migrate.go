package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Migrated says what was moved.
type Migrated struct {
	From string `json:"from"`
	To   string `json:"to"`
	Holding
}

func (r recovery) migrate() *cobra.Command {
	from, to := Configuration{}, Configuration{}
	c := &cobra.Command{
		Use:   "migrate --from <configuration> --to <configuration>",
		Short: "Copies everything from one store into another, while Caddy is down",
		Long: `
Copies everything in the store that one configuration names into the store that
another one names, which must be empty; from SQLite to PostgreSQL, say.

Both stores are opened as Caddy would open them, so passwords stay in the
environment or in files and are no arguments. Do this as the user whom Caddy
runs as. All is copied or nothing, and every row is read back and compared before
it counts. The old store stays as it is.`,
		Example: `  cp Caddyfile Caddyfile.new      # and write there: store postgres {env.DSN}
  systemctl stop caddy
  caddy authgate migrate --from Caddyfile --to Caddyfile.new
  mv Caddyfile.new Caddyfile
  systemctl start caddy`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			if from.File == "" || to.File == "" {
				return errors.New("write: caddy authgate migrate --from <configuration> --to <configuration>")
			}
			from.Adapter, to.Adapter = r.to.adapter, r.to.adapter
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			did, err := r.copy(ctx, from, to)
			if err != nil {
				return err
			}
			return r.to.show(c, did, func(out io.Writer) {
				fmt.Fprintf(out, "From %s to %s: %s.\n", did.From, did.To, did.Holding)
			})
		}),
	}
	c.Flags().StringVar(&from.File, "from", "", "Configuration that names the store to read")
	c.Flags().StringVar(&to.File, "to", "", "Configuration that names the store to fill")
	return c
}

func (r recovery) copy(ctx context.Context, from, to Configuration) (Migrated, error) {
	var did Migrated
	for _, one := range []struct {
		config Configuration
		store  *string
	}{{from, &did.From}, {to, &did.To}} {
		place, err := r.backups.Place(one.config)
		if err == nil {
			err = down(place)
		}
		if err != nil {
			return did, fmt.Errorf("%s: %w", one.config.File, err)
		}
		*one.store = place.Store
	}
	if did.From == did.To {
		return did, fmt.Errorf("both configurations name the same store, %s", did.From)
	}
	in, out := io.Pipe()
	type end struct {
		Holding
		err error
	}
	read := make(chan end, 1)
	go func() {
		h, err := r.backups.Dump(ctx, from, out)
		out.CloseWithError(err) // nil: the end
		read <- end{h, err}
	}()
	var err error
	did.Holding, err = r.backups.Restore(ctx, to, in)
	in.CloseWithError(errStopped)
	given := <-read
	switch {
	case given.err != nil && !errors.Is(given.err, errStopped):
		return did, fmt.Errorf("%s: %w", did.From, given.err)
	case err != nil:
		return did, fmt.Errorf("%s: %w", did.To, err)
	case !maps.Equal(given.Rows, did.Rows):
		return did, fmt.Errorf("what was read is not what was stored: %v and %v rows", given.Rows, did.Rows)
	}
	return did, nil
}
