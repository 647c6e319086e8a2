package command

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Exit codes beyond 0 (done) and 1 (not done).
const (
	exitNoSuchUser  = 2
	exitUnreachable = 3
	exitBroken      = 4 // the audit log does not hold: not the same as that nobody could look
)

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// run is what a command runs. Its error is told as a sentence: Caddy would make a log entry of it.
func run(do func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := do(c, args)
		if err == nil {
			return nil
		}
		c.SilenceErrors = true
		fmt.Fprintln(c.ErrOrStderr(), "Error:", err)
		var f *failure
		if errors.As(err, &f) {
			// Only an error that Caddy makes itself carries a code to the end of the process.
			return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return f.code, nil })(c, args)
		}
		return err
	}
}
