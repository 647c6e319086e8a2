package command

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// StatusPath is where the endpoint tells how all parts do: an empty object, answered by a Status.
const StatusPath = "/authgate/status"

// Status is how all parts do.
type Status struct {
	Ready   bool      `json:"ready"` // as health/ready tells it
	Leaving bool      `json:"leaving,omitempty"`
	Parts   []Part    `json:"parts"`
	Keys    int       `json:"keys"`                   // how many are published
	Signing time.Time `json:"signing_since,omitzero"` // the present key
	Version string    `json:"version"`
}

// Part is one thing that sign-ins need.
type Part struct {
	Name    string  `json:"name"`
	State   string  `json:"state"` // "ok", "degraded", "down" or "off"
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
}

var errNotReady = errors.New("not ready")

func status(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tells how stores, keys and clocks do; exits with 1 where sign-ins cannot work",
		Example: `  caddy authgate status
  caddy authgate status --json`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			var s Status
			if err := to.ask(c, StatusPath, struct{}{}, &s); err != nil {
				return err
			}
			if err := to.show(c, s, func(out io.Writer) { writeStatus(out, s) }); err != nil {
				return err
			}
			if !s.Ready {
				return errNotReady
			}
			return nil
		}),
	}
}

func writeStatus(out io.Writer, s Status) {
	rows := make([][]string, len(s.Parts))
	for i, p := range s.Parts {
		state, took := plain(p.State), ""
		if p.State == "off" {
			state = "not used" // a clock that is off would be a wrong one
		} else {
			took = time.Duration(p.Seconds * float64(time.Second)).Round(10 * time.Microsecond).String()
		}
		rows[i] = []string{plain(p.Name), state, took, plain(p.Detail)}
	}
	table(out, []string{"part", "state", "took", "detail"}, rows)
	ready := "yes"
	switch {
	case s.Leaving:
		ready = "no: this instance is about to end"
	case !s.Ready:
		ready = "no"
	}
	fmt.Fprintln(out)
	fields(out, "ready", ready, "keys", fmt.Sprintf("%d published; the present one signs since %s", s.Keys, moment(s.Signing)), "version", plain(s.Version))
}
