package caddymodule

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// Rule says who may do what. The first rule that fits a request decides; see package policy for when one fits.
type Rule struct {
	// Where the rule was written, "Caddyfile:12", for errors and explanations.
	Source string `json:"source,omitempty"`
	// What the rule does: "allow" or "deny". Required, so that an empty rule is never an open door.
	Action string `json:"action"`
	// Whom an allow rule lets in: "anyone", "signed_in", "role" or "user". A deny rule refuses everyone and has none.
	Who string `json:"who,omitempty"`
	// The roles of which one is enough, for who = "role".
	Roles []string `json:"roles,omitempty"`
	// Usernames, e-mail addresses, wallet addresses and keys of which one is enough, for who = "user".
	Users []string `json:"users,omitempty"`
	// Paths, "/admin/*" with all below it. None: every path.
	Paths []string `json:"paths,omitempty"`
	// HTTP methods. None: all.
	Methods []string `json:"methods,omitempty"`
	// Client addresses and networks, "10.0.0.0/8". None: all.
	From []string `json:"from,omitempty"`
	// Sign-in methods of which the session must have used one, a passkey with user verification. None: any.
	With []string `json:"with,omitempty"`
	// How long ago that may be. Default: any time.
	Within caddy.Duration `json:"within,omitempty"`
	// What happens between the end of a session, or a change of its user, and the end of its access token: "bounded" believes
	// the token where nothing else is heard, "strict" asks the store at each request and refuses while it cannot say.
	// Default: bounded.
	Revocation string `json:"revocation,omitempty"`
	// Lets the CORS preflights through of requests that this rule decides, without any identity. Default: they are judged as
	// the OPTIONS requests that they are, which browsers send without credentials.
	Preflight bool `json:"preflight,omitempty"`
}

// compiled is the rule as package policy takes it. What it says of itself is for that package to check.
func (r Rule) compiled() (policy.Rule, error) {
	p := policy.Rule{
		Source: r.Source, Roles: r.Roles, Users: r.Users, Paths: r.Paths, Methods: r.Methods, Within: time.Duration(r.Within),
		Preflight: r.Preflight,
	}
	switch {
	case r.Action == "deny" && r.Who == "":
		p.Deny = true
	case r.Action == "allow" && r.Who == "anyone":
		p.Anyone = true
	case r.Action == "allow" && r.Who == "signed_in":
		p.SignedIn = true
	case r.Action == "allow" && (r.Who == "role" || r.Who == "user"):
		if (len(r.Roles) > 0) != (r.Who == "role") || (len(r.Users) > 0) != (r.Who == "user") {
			return p, fmt.Errorf("whom does the rule let in? write: allow %s <%s>... [<path>...]", r.Who, r.Who)
		}
	case r.Action == "allow":
		return p, fmt.Errorf("whom does the rule let in? %q is none of anyone, signed_in, role, user", r.Who)
	case r.Action == "deny":
		return p, errors.New("a deny rule refuses everyone; it has nobody whom it lets in")
	default:
		return p, fmt.Errorf("%q is no action of a rule; known are allow and deny", r.Action)
	}
	for _, text := range slices.Concat(r.Paths, r.Roles) {
		// Placeholders are not replaced here: as it stands, the text would name nothing that is ever asked for, and a deny rule
		// would refuse nothing.
		if strings.Contains(text, "{") {
			return p, fmt.Errorf("%q: rules have no placeholders; write the text itself, or {$NAME} in the Caddyfile", text)
		}
	}
	for i, user := range r.Users {
		// An address with a mistyped digit would silently let in nobody, or somebody else; so would an e-mail address in a form
		// in which none is confirmed.
		if strings.Contains(user, "@") {
			email, err := password.ParseEmail(user)
			if err != nil {
				return p, fmt.Errorf("user %s: %w", user, err)
			}
			p.Users = slices.Clone(p.Users)
			p.Users[i] = email
			continue
		}
		key, err := keysign.ParseAccount(user)
		switch kind, _, _ := strings.Cut(user, ":"); {
		case err == nil: // a whole ML-DSA-65 key is known by its hash
			p.Users = slices.Clone(p.Users)
			p.Users[i] = key.Key()
			continue
		case kind == "solana" || kind == "ed25519" || kind == "ml-dsa-65":
			return p, fmt.Errorf("user %s: %w", user, err)
		}
		// It would be a username, which anybody could choose.
		if _, err := keysign.ParseAccount("solana:" + user); err == nil && user != strings.ToLower(user) {
			return p, fmt.Errorf("user %s is the address of a Solana wallet; write solana:%s", user, user)
		}
		if digits := strings.HasPrefix(user, "0x") || strings.HasPrefix(user, "0X"); digits {
			if _, err := wallet.ParseAddress(user); err != nil {
				return p, fmt.Errorf("user %s: %w", user, err)
			}
		}
	}
	for _, from := range r.From {
		prefix, err := parsePrefix(from)
		if err != nil {
			return p, err
		}
		p.From = append(p.From, prefix)
	}
	p.With = signInMethods(r.With)
	switch {
	case r.Revocation == "" || r.Revocation == "bounded":
	case r.Revocation != "strict":
		return p, fmt.Errorf("revocation %q is not known; write: revocation strict | bounded", r.Revocation)
	case r.Who == "anyone":
		return p, errors.New("revocation strict is of no use where anyone is let in")
	default:
		p.Strict = true
	}
	return p, nil
}

// unmarshal reads one rule:
//
//	allow anyone | signed_in | role <role>... | user <username, e-mail or address>... [<path>...] {
//		method <method>...
//		from   <address or network>...
//		with   passkey | wallet | password | key ...
//		within <duration>
//		revocation strict | bounded
//		preflight
//	}
//	deny [<path>...] {
//		method <method>...
//		from   <address or network>...
//	}
//
// The arguments that begin with "/" are paths; "/admin/*" covers "/admin" and all below it.
//
// check reports what is wrong with the rule, and is asked after each line of it, so that the error stands at that line.
func (r *Rule) unmarshal(d *caddyfile.Dispenser, action string, args []string, check func() error) error {
	r.Source, r.Action = position(d), action
	if action == "allow" {
		if len(args) == 0 {
			return d.Errf("whom does the rule let in? write: allow anyone | signed_in | role <role>... | user <user>... [<path>...]")
		}
		r.Who, args = args[0], args[1:]
	}
	for _, arg := range args {
		switch {
		case strings.HasPrefix(arg, "/"):
			r.Paths = append(r.Paths, arg)
		case r.Who == "role":
			r.Roles = append(r.Roles, arg)
		case r.Who == "user":
			r.Users = append(r.Users, arg)
		default:
			return d.Errf("%q is no path: paths begin with /; a rule without paths covers all", arg)
		}
	}
	if err := check(); err != nil {
		return d.WrapErr(err)
	}
	options := []option{
		listOption("method <HTTP method>...", &r.Methods),
		listOption("from <address or network>...", &r.From),
	}
	if action == "allow" {
		options = append(options, listOption("with passkey | wallet | password | key ...", &r.With), durationOption("within", &r.Within),
			textOption("revocation strict | bounded", &r.Revocation),
			option{usage: "preflight", parse: func(*caddyfile.Dispenser, []string) error { r.Preflight = true; return nil }})
	}
	for i := range options {
		options[i] = options[i].checked(check)
	}
	return parseBlock(d, "the block of "+action, options)
}

// parsePrefix reads a network, or an address as the network of it alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network; write for example 10.0.0.0/8", s)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits set beyond its length; write: %s", s, prefix.Masked())
	}
	return prefix, nil
}
