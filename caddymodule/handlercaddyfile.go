package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// parseHandler reads the directive and gives it the site's origin where none is written.
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next()
	p := handlerParser{app: new(App), handler: new(Handler)}
	if global, ok := h.Option("authgate").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(global.Value, p.app); err != nil {
			return nil, err
		}
	}
	p.siteOrigin = func() (string, error) { return siteOrigin(h) }
	if err := p.parse(h.Dispenser); err != nil {
		return nil, err
	}
	return p.handler, nil
}

// UnmarshalCaddyfile reads the directive:
//
//	authgate [<matcher>] {
//		origin        <url>
//		path          <path>
//		methods       passkey wallet password key
//		cookie_domain <domain>
//		sign_in_at    <url>
//		allow         anyone | signed_in | role <role>... | user <user>... [<path>...] { … }
//		deny          [<path>...] { … }
//		header        <name> <value> [raw]
//		headers       off | <preset> [raw]
//		brand         { … }
//	}
//
// origin is scheme, host and port as browsers show them, https but on this machine; default: the site's address, where
// it has exactly one with a host. path is where the gateway's own routes are mounted, default /auth. methods are the
// sign-in methods offered, default all that are on and work on this origin; password is on where mail is configured. cookie_domain makes one sign-in good for all hosts below it.
// sign_in_at is the origin of another site of the same Caddyfile, where people sign in for this one. The
// rules are read from the top; see [Rule]. header adds an identity header, whose value may have the placeholders
// {subject} {username} {name} {email} {roles} {wallet} {methods}, or may be {assertion}. headers off leaves out the default ones;
// headers authelia, oauth2-proxy, authentik, pomerium, cloudflare or grafana sends what that gateway sends in place of them, and
// authgate the default ones. With raw, what is not ASCII stands as UTF-8 and is not percent-encoded. brand is as in the global
// options, and in place of it.
//
// Without a site around it, as here, origin must be written.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	p := handlerParser{app: new(App), handler: h}
	p.siteOrigin = func() (string, error) { return "", fmt.Errorf("there is no site around it") }
	return p.parse(d)
}

// handlerParser reads one directive. What an option says is checked as soon as it is read, alone, by making a gateway
// that nobody uses: so each error stands at its line and no check is written twice.
type handlerParser struct {
	app        *App // of the global options
	handler    *Handler
	siteOrigin func() (string, error)

	realm *gateway.Realm
	// where origin, cookie_domain and sign_in_at stand, which are checked at the end
	originAt, cookieAt, homeAt *caddyfile.Dispenser
}

func (p *handlerParser) parse(d *caddyfile.Dispenser) (err error) {
	if args := d.RemainingArgs(); len(args) > 0 {
		return d.Errf("unexpected %q: authgate takes a matcher (/path/*, @name or *) and a block of options", args[0])
	}
	if p.realm, err = p.app.dryRealm(); err != nil {
		return d.WrapErr(err)
	}
	directive := here(d)
	p.originAt, p.handler.Source = directive, position(d)
	if err := parseBlock(d, "authgate", p.options()); err != nil {
		return err
	}
	h := p.handler
	if h.Origin == "" {
		if h.Origin, err = p.siteOrigin(); err != nil {
			return directive.Errf("authgate: the site's origin is not known: %w; write: origin https://app.example.com", err)
		}
	}
	// Whether an origin will do depends on the methods: not every one can have passkeys.
	door := gateway.Site{Origin: h.Origin, Methods: signInMethods(h.Methods), SignInAt: h.SignInAt}
	if err := p.check(door); errors.Is(err, gateway.ErrSignInAt) {
		return p.homeAt.WrapErr(err)
	} else if err != nil {
		return p.originAt.WrapErr(err)
	}
	door.CookieDomain = h.CookieDomain
	if err := p.check(door); err != nil {
		return p.cookieAt.WrapErr(err)
	}
	site, err := h.site()
	if err == nil {
		err = p.check(site)
	}
	if err != nil {
		return directive.WrapErr(err)
	}
	return nil
}

func (p *handlerParser) check(site gateway.Site) error {
	if site.Origin == "" {
		host := "app.example.com"
		if p.realm.Passkey != nil {
			host = cmp.Or(p.realm.Passkey.RPID, host)
		}
		site.Origin = "https://" + host
	}
	_, err := gateway.New(p.realm, site)
	return err
}

func (p *handlerParser) options() []option {
	h := p.handler
	return []option{
		textOption("origin https://<host>", &h.Origin).notingPlace(&p.originAt),
		textOption("path <path>", &h.Path).checked(func() error { return p.check(gateway.Site{Path: h.Path}) }),
		listOption("methods <sign-in method>...", &h.Methods).checked(func() error {
			if err := p.app.checkMethods(h.Methods); err != nil {
				return fmt.Errorf("methods: %w", err)
			}
			return p.check(gateway.Site{Methods: signInMethods(h.Methods)})
		}),
		textOption("cookie_domain <domain>", &h.CookieDomain).notingPlace(&p.cookieAt),
		textOption("sign_in_at https://<host>", &h.SignInAt).notingPlace(&p.homeAt),
		{usage: "allow anyone | signed_in | role <role>... | user <user>... [<path>...]", max: -1, repeat: true, block: true, parse: p.rule("allow")},
		{usage: "deny [<path>...]", max: -1, repeat: true, block: true, parse: p.rule("deny")},
		option{usage: "header <name> <value> [raw]", min: 2, max: 3, repeat: true, parse: func(d *caddyfile.Dispenser, args []string) error {
			raw, err := parseRaw(d, args[2:])
			h.Headers = append(h.Headers, Header{Name: args[0], Value: args[1], Raw: raw})
			return err
		}}.checked(func() error {
			// The default headers may be off further down, so that this one may replace one of them.
			return p.check(gateway.Site{Headers: headers(h.Headers), NoDefaultHeaders: true})
		}),
		option{usage: "headers off | <preset> [raw]", min: 1, max: 2, parse: func(d *caddyfile.Dispenser, args []string) (err error) {
			h.NoDefaultHeaders = args[0] == "off"
			if !h.NoDefaultHeaders {
				h.HeaderPreset = args[0]
			} else if len(args) > 1 {
				return d.Errf("unexpected %q; write: headers off", args[1])
			}
			h.RawHeaders, err = parseRaw(d, args[1:])
			return err
		}}.checked(func() error {
			if h.NoDefaultHeaders || slices.Contains(gateway.Presets(), h.HeaderPreset) {
				return nil
			}
			return fmt.Errorf("unknown %q; write: headers off, headers with one of %s, or for one further header: header <name> <value>",
				h.HeaderPreset, strings.Join(gateway.Presets(), ", "))
		}),
		brandOption(&h.Brand),
	}
}

// parseRaw reads the word that may stand at the end of an option about headers.
func parseRaw(d *caddyfile.Dispenser, args []string) (bool, error) {
	if len(args) > 0 && args[0] != "raw" {
		return false, d.Errf("unexpected %q; what may stand here is: raw", args[0])
	}
	return len(args) > 0, nil
}

// rule reads a rule and adds it to those before.
func (p *handlerParser) rule(action string) func(*caddyfile.Dispenser, []string) error {
	return func(d *caddyfile.Dispenser, args []string) error {
		var rule Rule
		before := p.handler.Rules
		err := rule.unmarshal(d, action, args, func() error {
			together, err := rules(append(before[:len(before):len(before)], rule))
			if err == nil {
				_, err = policy.Compile(together, "")
			}
			return err
		})
		p.handler.Rules = append(before, rule)
		return err
	}
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
