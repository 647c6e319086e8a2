package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-authgate/authgate/caddymodule/check"
)

// Checked says what a check of a configuration has found.
type Checked struct {
	Findings []check.Finding `json:"findings"` // the worst first
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Notes    int             `json:"notes"`
}

type checking struct {
	to               *endpoint
	running, strict  bool
	text             []byte // Caddy's JSON
	file             string // from which it was adapted; empty: from none
	adapter, problem string // problem: why Caddy would not take it
}

func checkConfig(to *endpoint) *cobra.Command {
	k := checking{to: to}
	c := &cobra.Command{
		Use:   "check [--config file] [--adapter name] [--running] [--strict]",
		Short: "Says what of a configuration is served without a gate, or cannot work",
		Long: `
Checks a configuration as caddy validate does, and then walks what its servers
do: it says what is served without asking authgate, before it or beside it,
what handle_errors hands out of what was refused, which sites have no gate, and
what a gate is told that comes to nothing. caddy validate, caddy reload and caddy
run see nothing of that, and only refuse what is invalid.

The configuration is that of --config, else the Caddyfile of the present folder;
with --running, the one that Caddy has loaded. Nothing is changed.

A finding is an error where a gate is passed by or cannot work; a warning where
that may be meant; else a note. An error or a warning says what to write
instead.

Exit codes: 0 there is no error (with --strict: no warning either); 1 there is
one, or the configuration cannot be read; 3 with --running, Caddy cannot be
reached.`,
		Example: `  caddy authgate check
  caddy authgate check --config /etc/caddy/Caddyfile --strict
  caddy authgate check --running --json`,
		Args: cobra.NoArgs,
		RunE: run(k.run),
	}
	c.Flags().BoolVar(&k.running, "running", false, "Check the configuration that Caddy has loaded")
	c.Flags().BoolVar(&k.strict, "strict", false, "Fail on warnings too")
	return c
}

func (k *checking) run(c *cobra.Command, _ []string) error {
	if err := k.load(c); err != nil {
		return err
	}
	findings, err := check.Configuration(k.text)
	if err != nil {
		return err
	}
	if k.problem != "" {
		findings = append([]check.Finding{{Level: check.Error, Code: "invalid", Message: "Caddy does not take it: " + k.problem}}, findings...)
	}
	if k.adapter == "caddyfile" && k.file != "-" {
		text, err := os.ReadFile(k.file)
		if err != nil {
			return err
		}
		if err := check.Locate(findings, k.file, text); err != nil {
			return err
		}
	}
	did := Checked{
		Findings: append([]check.Finding{}, findings...),
		Errors:   check.Count(findings, check.Error), Warnings: check.Count(findings, check.Warning), Notes: check.Count(findings, check.Note),
	}
	if err := k.to.show(c, did, func(out io.Writer) { writeChecked(out, did) }); err != nil {
		return err
	}
	if did.Errors > 0 || k.strict && did.Warnings > 0 {
		return errors.New("the configuration has " + tally(did))
	}
	return nil
}

// load gets the configuration, and has Caddy validate what it has not loaded yet.
func (k *checking) load(c *cobra.Command) error {
	if k.running {
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		return k.to.send(ctx, http.MethodGet, "/config/", nil, func(configured string, body io.Reader) (err error) {
			k.text, err = io.ReadAll(io.LimitReader(body, maxAnswer))
			if err != nil {
				return unreachable(configured, err)
			}
			return nil
		})
	}
	var err error
	if k.text, k.file, k.adapter, err = caddycmd.LoadConfig(k.to.config, k.to.adapter); err != nil {
		return err
	}
	if len(k.text) == 0 {
		return errors.New("there is no Caddyfile here; name the configuration with --config, or check the one that runs with --running")
	}
	k.text = caddy.RemoveMetaFields(k.text)
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(k.text, &config); err != nil {
		k.problem = err.Error()
		return nil
	}
	if config.Logging == nil { // what Caddy says at every start is not what was asked for
		config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	}
	if err := caddy.Validate(config); err != nil {
		k.problem = err.Error()
	}
	return nil
}

// validates is said under every report: whoever runs caddy validate alone would take its silence for this one.
const validates = "caddy validate and a reload know only what is invalid; the rest is looked for here alone."

func writeChecked(out io.Writer, did Checked) {
	for _, f := range did.Findings {
		at := f.Source
		if at == "" {
			at = f.At
		}
		if f.Site != "" {
			if at != "" {
				at += ", "
			}
			at += "site " + f.Site
		}
		fmt.Fprintf(out, "%s %s", f.Level, plain(f.Code))
		if at != "" {
			fmt.Fprintf(out, " (%s)", plain(at))
		}
		fmt.Fprintf(out, "\n  %s.\n", plain(f.Message))
		if f.Advice != "" {
			fmt.Fprintf(out, "  > %s\n", plain(f.Advice))
		}
		fmt.Fprintln(out)
	}
	if len(did.Findings) == 0 {
		fmt.Fprintf(out, "Nothing found: what is served asks authgate. %s\n", validates)
		return
	}
	fmt.Fprintf(out, "%s. %s\n", tally(did), validates)
}

// tally counts what was found.
func tally(did Checked) string {
	count := func(n int, of string) string {
		if n != 1 {
			of += "s"
		}
		return fmt.Sprintf("%d %s", n, of)
	}
	return count(did.Errors, "error") + ", " + count(did.Warnings, "warning") + " and " + count(did.Notes, "note")
}
