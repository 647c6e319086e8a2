package caddymodule

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// PasswordOptions configure sign-in with an e-mail address and a password. It is on where mail is configured, by which
// addresses are confirmed, and nowhere else.
type PasswordOptions struct {
	// Switches it off.
	Off bool `json:"off,omitempty"`
	// How many characters a new password has at least. Default, and least: 12.
	MinLength int `json:"min_length,omitempty"`
	// How many bytes a password has at most. Default, and least: 1024; most: 8192.
	MaxLength int `json:"max_length,omitempty"`
	// When password sign-in to an account is suspended.
	Lockout LockoutOptions `json:"lockout,omitzero"`
	// How long a registration, or a new address, can be confirmed. Default: 7d.
	ConfirmTTL caddy.Duration `json:"confirm_ttl,omitempty"`
	// How long a mailed link sets a new password. Default: 1h.
	ResetTTL caddy.Duration `json:"reset_ttl,omitempty"`
}

// LockoutOptions say when password sign-in to an account is suspended. Other ways to sign in stay open, and so does the
// password from a browser that signed in before.
type LockoutOptions struct {
	// After how many failures in a row. Default: 5.
	Tries int `json:"tries,omitempty"`
	// For how long. Default: 15m.
	Suspend caddy.Duration `json:"suspend,omitempty"`
}

// errNoMail says why passwords cannot be on.
var errNoMail = errors.New("passwords need mail, by which addresses are confirmed; configure mail { from … smtp … } in the global authgate options")

// config is what the gateway takes the options for where mail is configured: nil where passwords are off.
func (o *PasswordOptions) config() *gateway.PasswordConfig {
	if o == nil {
		return &gateway.PasswordConfig{}
	}
	if o.Off {
		return nil
	}
	return &gateway.PasswordConfig{
		MinLength: o.MinLength, MaxLength: o.MaxLength,
		Lockout:    authcore.Lockout{Tries: o.Lockout.Tries, Suspend: time.Duration(o.Lockout.Suspend)},
		ConfirmTTL: time.Duration(o.ConfirmTTL), ResetTTL: time.Duration(o.ResetTTL),
	}
}

// check reports what is wrong with the options, wherever mail stands.
func (o *PasswordOptions) check() error {
	return (&App{Password: o, Mail: new(MailOptions)}).check()
}

// checkSoFar is check while max_length may still follow.
func (o *PasswordOptions) checkSoFar() error {
	c := *o
	if c.MaxLength == 0 {
		c.MaxLength = min(max(c.MinLength, 1024), 8192)
	}
	return c.check()
}

// checkMailed reports passwords without the mail that they need.
func (a *App) checkMailed() error {
	if a.Password != nil && !a.Password.Off && a.Mail == nil {
		return errNoMail
	}
	return nil
}

// checkMethods reports a site's sign-in methods that need mail where none is configured.
func (a *App) checkMethods(methods []string) error {
	for _, m := range methods {
		if authcore.Method(m) == authcore.Password && a.Mail == nil {
			return errNoMail
		}
	}
	return nil
}

func (a *App) parsePassword(d *caddyfile.Dispenser, args []string) error {
	a.Password = new(PasswordOptions)
	o := a.Password
	if len(args) == 1 {
		if args[0] != "off" {
			return d.Errf("unknown %q; write: password off, or password and a block of options", args[0])
		}
		o.Off = true
		if d.NextBlock(d.Nesting()) {
			return d.Errf("password is off and so has no options")
		}
		return nil
	}
	return parseBlock(d, "password", []option{
		countOption("min_length <characters>", &o.MinLength).checked(o.checkSoFar),
		countOption("max_length <bytes>", &o.MaxLength).checked(o.checkSoFar),
		option{usage: "lockout <tries> <duration>", min: 2, max: 2, parse: o.parseLockout}.checked(o.checkSoFar),
		durationOption("confirm_ttl", &o.ConfirmTTL).checked(o.checkSoFar),
		durationOption("reset_ttl", &o.ResetTTL).checked(o.checkSoFar),
	})
}

func (o *PasswordOptions) parseLockout(d *caddyfile.Dispenser, args []string) (err error) {
	if o.Lockout.Tries, err = strconv.Atoi(args[0]); err != nil || o.Lockout.Tries <= 0 {
		return d.Errf("%q is no number of tries, or less than 1; write for example: lockout 5 15m", args[0])
	}
	o.Lockout.Suspend, err = parseDuration(d, args[1])
	return err
}
