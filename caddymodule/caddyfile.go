package caddymodule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// option is one word that may stand in a block of the Caddyfile.
type option struct {
	usage    string // as it is written, the name first: "origin <url>"
	min, max int    // number of arguments; max -1: any
	repeat   bool   // may be written more than once
	// block says that parse reads the block that may follow the arguments; without it a block is an error.
	block bool
	// expands says that placeholders are replaced in the arguments when the configuration is loaded.
	expands bool
	// parse is given the arguments; the dispenser stands on the last of them.
	parse func(d *caddyfile.Dispenser, args []string) error
	// parseGuest, in place of parse, hands the line and its block to a guest module; the dispenser stands on the name of
	// the option.
	parseGuest func(d *caddyfile.Dispenser) error
}

func (o option) name() string {
	name, _, _ := strings.Cut(o.usage, " ")
	return name
}

// checked is the option with a check made after it, and its block, were read. What that finds stands at the option's
// line.
func (o option) checked(check func() error) option {
	parse := o.parse
	o.parse = func(d *caddyfile.Dispenser, args []string) error {
		at := here(d)
		if err := parse(d, args); err != nil {
			return err
		}
		if err := check(); err != nil {
			return at.WrapErr(err)
		}
		return nil
	}
	return o
}

// notingPlace is the option that notes its place, for a check that can be made only later.
func (o option) notingPlace(at **caddyfile.Dispenser) option {
	parse := o.parse
	o.parse = func(d *caddyfile.Dispenser, args []string) error {
		*at = here(d)
		return parse(d, args)
	}
	return o
}

// expanding is the option with placeholders that are replaced.
func (o option) expanding() option {
	o.expands = true
	return o
}

// checkExpanded refuses a placeholder where none is replaced, as the text that it is could be meant by nobody.
func (o option) checkExpanded(d *caddyfile.Dispenser, args []string) error {
	for _, arg := range args {
		for _, kind := range []string{"{env.", "{file."} {
			_, rest, found := strings.Cut(arg, kind)
			name, _, closed := strings.Cut(rest, "}")
			switch {
			case o.expands || !found || !closed:
			case kind == "{env.":
				return d.Errf("%s: placeholders are not replaced here; write {$%s}, which is replaced when the Caddyfile is read", arg, name)
			default:
				return d.Errf("%s: placeholders are not replaced here; write the text itself, or {$NAME} for a variable of the environment", arg)
			}
		}
	}
	return nil
}

// here is a copy of the dispenser that stays where d stands now, to tell that place in an error.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := *d
	return &at
}

// parseBlock reads the block that follows on the line, if one does. What is unknown, written twice, or has too many or
// too few arguments is an error that says what to write instead; of names the block in that error.
func parseBlock(d *caddyfile.Dispenser, of string, options []option) error {
	first := make(map[string]string)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name, at := d.Val(), position(d)
		i := slices.IndexFunc(options, func(o option) bool { return o.name() == name })
		if i < 0 {
			return d.Errf("unknown option %q in %s; known are: %s", name, of, names(options))
		}
		o := options[i]
		if before, twice := first[name]; twice && !o.repeat {
			return d.Errf("%q stands twice in %s, before at %s", name, of, before)
		}
		first[name] = at
		if o.parseGuest != nil {
			if err := o.parseGuest(d); err != nil {
				return err
			}
			continue
		}
		args := d.RemainingArgs()
		if len(args) < o.min || o.max >= 0 && len(args) > o.max {
			return d.Errf("wrong number of arguments for %q; write: %s", name, o.usage)
		}
		if slices.Contains(args, "") {
			return d.Errf("an argument of %q is empty", name)
		}
		if err := o.checkExpanded(d, args); err != nil {
			return err
		}
		if err := o.parse(d, args); err != nil {
			return err
		}
		if !o.block && d.NextBlock(d.Nesting()) {
			return d.Errf("%q takes no block; write: %s", name, o.usage)
		}
	}
	return nil
}

func names(options []option) string {
	all := make([]string, len(options))
	for i, o := range options {
		all[i] = o.name()
	}
	return strings.Join(all, ", ")
}

// position is where the dispenser stands, as "file:line".
func position(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// parseDuration reads a duration that must be longer than nothing.
func parseDuration(d *caddyfile.Dispenser, arg string) (caddy.Duration, error) {
	t, err := caddy.ParseDuration(arg)
	if err != nil || t <= 0 {
		return 0, d.Errf("%q is no duration; write for example 90s, 12h or 7d", arg)
	}
	return caddy.Duration(t), nil
}

// durationOption is an option whose one argument is a duration.
func durationOption(name string, into *caddy.Duration) option {
	return option{
		usage: name + " <duration>", min: 1, max: 1,
		parse: func(d *caddyfile.Dispenser, args []string) (err error) {
			*into, err = parseDuration(d, args[0])
			return err
		},
	}
}

// countOption is an option whose one argument is a number of things, at least one.
func countOption(usage string, into *int) option {
	return option{
		usage: usage, min: 1, max: 1,
		parse: func(d *caddyfile.Dispenser, args []string) (err error) {
			if *into, err = strconv.Atoi(args[0]); err != nil || *into <= 0 {
				return d.Errf("%q is no number, or less than 1; write: %s", args[0], usage)
			}
			return nil
		},
	}
}

// listOption is an option with one argument or more.
func listOption(usage string, into *[]string) option {
	return option{
		usage: usage, min: 1, max: -1,
		parse: func(_ *caddyfile.Dispenser, args []string) error {
			*into = args
			return nil
		},
	}
}

// textOption is an option with one argument.
func textOption(usage string, into *string) option {
	return option{
		usage: usage, min: 1, max: 1,
		parse: func(_ *caddyfile.Dispenser, args []string) error {
			*into = args[0]
			return nil
		},
	}
}
