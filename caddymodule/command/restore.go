package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// Restored says what was put where.
type Restored struct {
	Store string `json:"store"`
	Holding
}

func (r recovery) restore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore <file>",
		Short: "Fills an empty store with a backup, while Caddy is down",
		Long: `
Fills the store that the configuration (--config, or the Caddyfile here) names
with what a backup holds, all of it or nothing. Caddy must be down on all
machines that share the store, and the store must be empty; nothing is ever
mixed or overwritten. The store may be of another kind than the one that was
backed up.

Do this as the user whom Caddy runs as, with the environment that its
configuration needs. Everything is as it was when the backup was taken: who had
signed out since, or had changed the password, has not any more.

The file - is standard input.`,
		Example: `  caddy authgate restore --config Caddyfile authgate.backup
  age -d -i key.txt authgate.backup.age | caddy authgate restore --config Caddyfile -`,
		Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			config := Configuration{r.to.config, r.to.adapter}
			place, err := r.backups.Place(config)
			if err != nil {
				return err
			}
			if err := down(place); err != nil {
				return err
			}
			did := Restored{Store: place.Store}
			did.Holding, err = r.fill(c, config, args[0])
			if err != nil {
				return err
			}
			return r.to.show(c, did, func(out io.Writer) {
				fmt.Fprintf(out, "%s: %s, as of %s.\n", did.Store, did.Holding, moment(did.Time))
			})
		}),
	}
}

func (r recovery) fill(c *cobra.Command, config Configuration, name string) (Holding, error) {
	if name == "-" {
		return r.backups.Restore(c.Context(), config, c.InOrStdin())
	}
	file, err := os.Open(name)
	if err != nil {
		return Holding{}, err
	}
	defer file.Close()
	// A file that is not whole does not even make a store.
	if _, err := r.backups.Check(file); err != nil {
		return Holding{}, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Holding{}, err
	}
	return r.backups.Restore(c.Context(), config, file)
}

// down answers an error where somebody listens at the admin endpoint of a configuration. It does not wait for an answer: a
// Caddy that is paused or hangs gives none, and goes on later with the store that it had.
func down(place Place) error {
	if place.Admin == "" {
		return nil
	}
	_, address, err := (&endpoint{address: place.Admin}).at()
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout(address.Network, dialed(address), 5*time.Second)
	if err == nil {
		conn.Close()
		return errors.New("a Caddy is running at the admin endpoint of this configuration, " + place.Admin + "; stop it first: what it did meanwhile would be lost")
	}
	return gone(err)
}

// gone answers nil where an endpoint that could not be connected to is not there, and an error where it may be.
func gone(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("whether a Caddy is running cannot be seen: %w; run this as the user whom it runs as", err)
	}
	return nil
}
