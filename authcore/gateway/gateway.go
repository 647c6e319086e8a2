package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Gateway is the door of one site. Make one with New; it is safe for use by many goroutines.
type Gateway struct {
	asks      refusals // of proxies that ask as nobody can answer them, told in the log
	realm     *Realm
	site      Site
	origin    origin
	signInAt  origin // of another site; the zero origin: here
	policy    *policy.Policy
	headers   identityHeaders
	strip     stripper
	cookie    cookieForm
	passwords *password.Passwords // nil: no mail
	audience  []string            // an access token must be good for one of these
	tickets   *ticketCache
	routes    map[string]route // by path below the mount
	patterns  patterns         // of those with segments of *
	turns     turns            // of browsers that are handed over
}

// New makes the gateway of a site. It answers an error that says what to write where the configuration cannot work.
func New(realm *Realm, site Site) (*Gateway, error) {
	o, err := parseOrigin(site.Origin)
	if err != nil {
		return nil, err
	}
	if site.Path == "" {
		site.Path = "/auth"
	}
	if !validMount(site.Path) {
		return nil, fmt.Errorf("gateway: path %q: write a path such as /auth: lower-case letters, digits, '-', '_' and '.', no slash at the end", site.Path)
	}
	at, err := parseHome(o, site)
	if err != nil {
		return nil, err
	}
	g := &Gateway{realm: realm, origin: o, signInAt: at, audience: []string{o.text}}
	if !g.away() {
		if site.Methods, err = offered(realm, o, site.Methods); err != nil {
			return nil, err
		}
		g.passwords = realm.accountsOf(o)
	}
	g.site = site
	if g.cookie, err = newCookieForm(o, site.CookieDomain); err != nil {
		return nil, err
	}
	if site.CookieDomain != "" {
		g.audience = append(g.audience, g.cookie.domain)
	}
	if g.policy, err = policy.Compile(site.Rules, site.Path); err != nil {
		return nil, err
	}
	if err := g.checkEvidence(); err != nil {
		return nil, err
	}
	if g.headers, err = compileHeaders(site, o.text+site.Path+"/jwks.json"); err != nil {
		return nil, err
	}
	g.strip = newStripper(site)
	g.tickets = newTicketCache()
	if g.routes, err = g.ownRoutes(); err != nil {
		return nil, err
	}
	g.routes = g.handOffRoutes(g.routes)
	g.patterns = newPatterns(g.routes)
	if g.away() {
		realm.handsOff.Store(true)
	}
	realm.State.join(g)
	return g, nil
}

// checkEvidence refuses rules that ask for a sign-in method which no session here can have used: whoever they are for would
// be asked to confirm what they cannot. Below a cookie domain a session may come from a site
// with other methods, and so it does where the sign-in is at another site.
func (g *Gateway) checkEvidence() error {
	methods := g.site.Methods
	if g.site.CookieDomain != "" || g.away() {
		methods = g.realm.methods()
	}
	known := strings.Trim(fmt.Sprint(methods), "[]")
	for i, rule := range g.site.Rules {
		for _, m := range rule.With {
			if !slices.Contains(methods, m) {
				at := ""
				if rule.Source != "" {
					at = " at " + rule.Source
				}
				return fmt.Errorf("gateway: rule %d%s: with %q: nobody signs in here with that; known here: %s", i+1, at, m, known)
			}
		}
	}
	return nil
}

// validMount accepts one or more plain segments, so that the mount has one reading only.
func validMount(p string) bool {
	if len(p) < 2 || p[0] != '/' {
		return false
	}
	for seg := range strings.SplitSeq(p[1:], "/") {
		if seg == "" || strings.Trim(seg, ".") == "" || strings.HasSuffix(seg, ".") {
			return false
		}
		for _, c := range seg {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
				return false
			}
		}
	}
	return true
}

// Handler is the gateway as an ordinary http.Handler in front of next, for servers that have no error routes.
func (g *Gateway) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.Handle(w, r, func(w http.ResponseWriter, r *http.Request) error {
			next.ServeHTTP(w, r)
			return nil
		})
		if err != nil {
			g.WriteError(w, r, err)
		}
	})
}
