package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Rule says who may make which requests. Exactly one of Deny, Anyone, SignedIn and Roles or Users is set; where both Roles
// and Users are, either suffices.
type Rule struct {
	Source string // where it is written, for messages: "Caddyfile:12"; may be empty

	Deny     bool     // nobody
	Anyone   bool     // everybody, signed in or not
	SignedIn bool     // everybody who is signed in
	Roles    []string // who has one of these roles
	// Users are usernames, confirmed e-mail addresses, and linked wallets: a plain key as 0x and 40 hex digits, a contract
	// as eip155:<chain>:0x…. All are compared without case. So are not keys of Solana wallets and of programs, which are
	// written as their credentials' keys: solana:…, ed25519:… or ml-dsa-65:…. A subject is none of them: people choose their usernames, and
	// could choose somebody else's subject.
	Users []string

	// Paths are the paths that the rule is about: "/x" is that path, "/x/" that one with or without the slash, and "/x/*"
	// is /x, /x/ and everything below. None: every path. They are written decoded and compared without case.
	Paths   []string
	Methods []string       // HTTP methods, in upper case, each of them itself only (GET is not HEAD); none: any
	From    []netip.Prefix // addresses of clients; none: any

	// With asks that the session was opened, or stepped up, with one of these methods; none: any. A passkey counts, here
	// and for Within, only where the authenticator verified its user at that use (authcore.MethodUse.Evidence).
	With   []authcore.Method
	Within time.Duration // and that was no longer ago than this; 0: at any time

	// Strict asks whoever applies the rule to have the session and its user confirmed by the store at each request, and to
	// refuse while it cannot say, rather than to believe an access token for its life.
	Strict bool

	// Preflight lets a CORS preflight through that asks to make a request which the rule decides, without any identity:
	// browsers ask so before a page of another origin may send what it wants to, and without credentials.
	Preflight bool
}

// compiled is a rule in the form in which it is judged.
type compiled struct {
	deny, anyone bool
	signedIn     bool
	preflight    bool
	strict       bool
	roles        []string
	usernames    []string // in lower case, as the next two
	emails       []string
	wallets      []string
	keys         []string // of wallets and programs, whose case counts
	methods      []string
	from         []netip.Prefix
	with         []authcore.Method
	within       time.Duration
}

// Compile checks rules and makes a policy of them. mount is the path of the gateway's own routes, which it answers before
// any rule is asked; empty: it has none. Errors name the rule by its place and Source and say what to write instead.
func Compile(rules []Rule, mount string) (*Policy, error) {
	mount = strings.TrimSuffix(foldExact(mount), "/")
	p := &Policy{rules: make([]compiled, len(rules)), texts: slices.Clone(rules), exact: &node{}}
	p.loose = p.exact
	named := make([][]string, len(rules))
	for i, rule := range rules {
		var err error
		if p.rules[i], err = compile(rule); err != nil {
			return nil, fmt.Errorf("policy: %s: %w", title(rules, i), err)
		}
		named[i] = rule.Paths
		if len(named[i]) == 0 {
			named[i] = []string{"/*"}
		}
		var patterns []pattern
		for _, path := range named[i] {
			pat := newPattern(foldExact(path))
			if slices.Contains(patterns, pat) {
				return nil, fmt.Errorf("policy: %s: path %q is named twice; name it once", title(rules, i), path)
			}
			patterns = append(patterns, pat)
			if newPattern(foldLoose(path)) != pat {
				p.loose = &node{}
			}
		}
		if err := p.checkReach(rules, i, patterns, mount); err != nil {
			return nil, err
		}
		for _, pat := range patterns {
			p.exact.add(pat, i)
		}
	}
	if p.loose != p.exact {
		for i, paths := range named {
			for _, path := range paths {
				p.loose.add(newPattern(foldLoose(path)), i)
			}
		}
	}
	return p, nil
}

func compile(rule Rule) (compiled, error) {
	c := compiled{
		deny: rule.Deny, anyone: rule.Anyone, signedIn: rule.SignedIn, preflight: rule.Preflight, strict: rule.Strict,
		roles: slices.Clone(rule.Roles), methods: slices.Clone(rule.Methods),
		with: slices.Clone(rule.With), within: rule.Within,
	}
	if err := checkWho(rule); err != nil {
		return c, err
	}
	for _, path := range rule.Paths {
		if err := checkPath(path); err != nil {
			return c, err
		}
	}
	for i, role := range rule.Roles {
		if err := checkRole(role); err != nil {
			return c, err
		}
		if slices.Contains(rule.Roles[:i], role) {
			return c, fmt.Errorf("role %q is named twice; name it once", role)
		}
	}
	for _, user := range rule.Users {
		if err := c.addUser(user); err != nil {
			return c, err
		}
	}
	for i, method := range rule.Methods {
		if err := checkMethod(method); err != nil {
			return c, err
		}
		if slices.Contains(rule.Methods[:i], method) {
			return c, fmt.Errorf("method %s is named twice; name it once", method)
		}
	}
	for _, prefix := range rule.From {
		if !prefix.IsValid() {
			return c, fmt.Errorf("from: the address is not valid; write an address or a network, such as 10.0.0.0/8")
		}
		prefix = unmap(prefix)
		if slices.Contains(c.from, prefix) {
			return c, fmt.Errorf("from %s is named twice; name it once", prefix)
		}
		c.from = append(c.from, prefix)
	}
	return c, nil
}

// checkWho checks that a rule says for whom it is, once, and that what it demands of them can be demanded.
func checkWho(rule Rule) error {
	kinds := 0
	for _, is := range []bool{rule.Deny, rule.Anyone, rule.SignedIn, len(rule.Roles)+len(rule.Users) > 0} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		return fmt.Errorf("it does not say for whom it is; write anyone, signed_in, role <name> or user <name>, or deny")
	case kinds > 1:
		return fmt.Errorf("it is for more than one of deny, anyone, signed_in and roles or users; write a rule for each")
	case rule.Within < 0:
		return fmt.Errorf("within %s is not in the past; write a duration above zero, such as 5m", rule.Within)
	case (rule.Deny || rule.Anyone) && (len(rule.With) > 0 || rule.Within > 0):
		return fmt.Errorf("with and within ask how somebody signed in, and nobody has to here; use allow signed_in, role or user, or take them out")
	case rule.Preflight && rule.Deny:
		return fmt.Errorf("preflight is of no use where nobody is let in; take it out")
	}
	for i, method := range rule.With {
		switch method {
		case authcore.Passkey, authcore.Wallet, authcore.Password, authcore.ProgramKey:
		default:
			return fmt.Errorf("with %q: there is no such way to sign in; write passkey, wallet, password or key", method)
		}
		if slices.Contains(rule.With[:i], method) {
			return fmt.Errorf("with %s is named twice; name it once", method)
		}
	}
	return nil
}

func checkRole(role string) error {
	switch {
	case role == "":
		return fmt.Errorf("a role is empty; write its name")
	case strings.ContainsAny(role, "/*"):
		// Taken for a role, a path without its slash would make the rule one about the whole site.
		return fmt.Errorf("role %q: a role is 1 to 64 letters, digits, '-', '_', '.' and ':', and paths begin with /; as a path write /%s", role, strings.TrimLeft(role, "/"))
	case !ValidRole(role):
		return fmt.Errorf("role %q: a role is 1 to 64 letters, digits, '-', '_', '.' and ':'; write several with spaces between them", role)
	}
	return nil
}

// ValidRole reports whether s can be the name of a role: backends get roles in headers, as a list with commas.
func ValidRole(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.:", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func checkMethod(method string) error {
	switch {
	case method == "":
		return fmt.Errorf("a method is empty; write its name, such as GET")
	case method == "CONNECT":
		return fmt.Errorf("method CONNECT is always refused and never judged; a websocket is judged as GET")
	case !ValidMethod(method):
		if upper := strings.ToUpper(method); ValidMethod(upper) {
			return fmt.Errorf("method %q: methods are in upper case; write %s", method, upper)
		}
		return fmt.Errorf("method %q is not the name of a method; write one such as GET", method)
	}
	return nil
}

// ValidMethod reports whether s is a method that is judged: a token (RFC 9110 section 5.6.2) without lower-case letters.
func ValidMethod(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// fits reports whether the rule is about requests with this method from this address.
func (c *compiled) fits(method string, client netip.Addr) bool {
	return c.fitsMethod(method) && c.fitsClient(client)
}

func (c *compiled) fitsMethod(method string) bool {
	return len(c.methods) == 0 || slices.Contains(c.methods, method)
}

func (c *compiled) fitsClient(client netip.Addr) bool {
	if len(c.from) == 0 {
		return true
	}
	for _, prefix := range c.from {
		if prefix.Contains(client) {
			return true
		}
	}
	return false
}

// proven reports whether the session has the evidence that the rule asks for.
func (c *compiled) proven(id *authcore.Identity, now time.Time) bool {
	return Proven(id, c.with, c.within, now)
}

// Proven reports whether a session has the evidence that With and Within of a decision ask for.
func Proven(id *authcore.Identity, with []authcore.Method, within time.Duration, now time.Time) bool {
	if len(with) == 0 && within == 0 {
		return true
	}
	for _, use := range id.Methods {
		if !use.Evidence() || len(with) > 0 && !slices.Contains(with, use.Method) {
			continue
		}
		if within == 0 || now.Sub(use.Time) <= within {
			return true
		}
	}
	return false
}
