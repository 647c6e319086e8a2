package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// One account on several registrable domains. Browsers keep the cookies of one from the other, so a site may have its
// sign-in at another one of the same realm, its home (Site.SignInAt), which hands over who is signed in there:
//
//  1. The site gives the browser a secret in a cookie, the bond, and sends it to hand-off at home with the bond's hash.
//  2. Home, once somebody is signed in, keeps a challenge for a minute, with who it is and that hash, bound to the site's
//     origin, and sends the browser back with the code that it is kept by. It asks nothing: all sites of a realm are one
//     house's.
//  3. The site spends the code, compares the bond, and opens a session of its own from the one at home, which it ends with.
//
// The code stands in a URL, and so perhaps in a log. It is good for nothing to who has it and not the bond: neither to come
// in by it, nor to have somebody else come in by it unawares (cross-site request forgery of the sign-in, RFC 6749 section
// 10.12). Nor is what is sent to home: it has a browser that is signed in there come back with a code for another bond.

// handOffRoute is where home takes those whom a site sends, and where a site takes them back.
const handOffRoute = "hand-off"

const (
	handOffTTL = time.Minute
	bondLife   = time.Hour // a sign-in may take as long; it is begun anew where it took longer
)

// errNoHandOff is all that a browser is told. What was wrong with what it brought is in the log.
var errNoHandOff = &Error{Status: http.StatusBadRequest, Code: "hand_off_failed", Detail: "The sign-in at the other site was not begun here, or took too long. Try again."}

// ErrSignInAt begins the errors about Site.SignInAt.
var ErrSignInAt = errors.New("sign_in_at")

// parseHome answers where a site has its sign-in; the zero origin where it has its own.
func parseHome(o origin, site Site) (origin, error) {
	if site.SignInAt == "" {
		return origin{}, nil
	}
	fail := func(why string) (origin, error) {
		return origin{}, fmt.Errorf("gateway: %w %q: %s", ErrSignInAt, site.SignInAt, why)
	}
	at, err := parseOrigin(site.SignInAt)
	switch {
	case err != nil:
		return fail(strings.TrimPrefix(err.Error(), "gateway: "))
	case at.text == o.text:
		return fail("is this very site; leave it out for a sign-in of its own")
	case at.scheme != o.scheme:
		return fail("https and http do not mix: the site itself is " + o.text)
	case at.host == o.host:
		// RFC 6265 section 8.5: the session of one would take the place of the other's.
		return fail("has the same host as the site; cookies know no ports, so give each a host of its own")
	case len(site.Methods) > 0:
		return fail("the site has no sign-in of its own then, and so no methods; name them there")
	}
	return at, nil
}

// away reports whether the site has its sign-in at another one.
func (g *Gateway) away() bool { return g.signInAt.text != "" }

// homeOf answers the gateway where a site has its sign-in.
func (g *Gateway) homeOf() (*Gateway, error) {
	for _, other := range g.realm.State.gateways(g.realm) {
		if other.origin.text == g.signInAt.text && !other.away() {
			return other, nil
		}
	}
	return nil, fmt.Errorf("gateway: sign_in_at %s: no site with a sign-in of its own has this origin: %w", g.signInAt.text, authcore.ErrUnavailable)
}

// comers answers the sites that have their sign-in here.
func (g *Gateway) comers() []*Gateway {
	if g.away() || !g.realm.handsOff.Load() {
		return nil
	}
	return slices.DeleteFunc(g.realm.State.gateways(g.realm), func(other *Gateway) bool { return other.signInAt.text != g.origin.text })
}

// handOffRoutes answers the routes of a site in place of those it would have: one with a sign-in of its own hands it over
// where somebody asks for that, and another one leaves to its home all that is about accounts.
func (g *Gateway) handOffRoutes(all map[string]route) map[string]route {
	if !g.away() {
		all[handOffRoute] = route{get: g.handOff}
		return all
	}
	maps.DeleteFunc(all, func(path string, _ route) bool { return !staysAway(path) })
	all["sign-in"] = route{get: g.leave}
	all[handOffRoute] = route{get: g.takeOver}
	if confirm, is := all[confirmPage]; is {
		all[confirmPage] = route{get: g.confirmAtHome(confirm.get), post: confirm.post}
	}
	for _, path := range []string{"account", "account/*", "admin", "admin/*"} {
		all[path] = route{get: g.leadHome}
	}
	return all
}

// staysAway reports whether a route is one also where the sign-in is elsewhere.
func staysAway(path string) bool {
	switch path {
	case "", "sign-out", "session", "jwks.json", "health/live", "health/ready", "assets/*", confirmPage, "authgate.js", verifyRoute, backRoute:
		return true
	}
	return strings.HasPrefix(path, verifyBelow)
}

// leadHome leads from a page of the account to the same at home.
func (g *Gateway) leadHome(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	home, err := g.homeOf()
	if err != nil {
		return err
	}
	sub, _ := g.ownPath(r)
	g.lead(w, home.origin.text+home.site.Path+"/"+(&url.URL{Path: sub}).EscapedPath())
	return nil
}

func (g *Gateway) lead(w http.ResponseWriter, to string) {
	w.Header()["Location"] = []string{to}
	w.WriteHeader(http.StatusSeeOther)
}

// allowHandOff lets forms of a page end in a hand-off: what browsers are redirected to counts as what a form is sent to
// (CSP Level 3, section 6.3.1).
func (g *Gateway) allowHandOff(h http.Header) {
	var others []string
	if g.away() {
		others = append(others, g.signInAt.text)
	}
	for _, other := range g.comers() {
		others = append(others, other.origin.text)
	}
	if domain := g.cookie.domain; domain != "" {
		others = append(others, g.origin.scheme+"://*."+domain, g.origin.scheme+"://"+domain) // see leadBack
	}
	if others == nil {
		return
	}
	slices.Sort(others)
	const own = "form-action 'self'"
	policy := strings.Replace(contentPolicy, own, own+" "+strings.Join(slices.Compact(others), " "), 1)
	h["Content-Security-Policy"] = []string{policy}
}

// handOff is what a site asks its home for, in the query of a URL.
type handOff struct {
	to     string            // the origin of the site
	bond   string            // the hash of the bond
	back   string            // where to go on the site, base64url so that no escape makes it longer on the way
	again  bool              // a hand-off has just failed: if this one does too, that is told
	with   []authcore.Method // one of these must have been used; none: any
	within time.Duration     // no longer ago than this; 0: any time
	lost   string            // why a form that was sent to the site is not kept meanwhile, see Confirm; empty: none was
}

// The bounds of what is parsed. A place to go back to is maxReturn bytes, or the page to confirm on with one of these in its
// query.
const (
	maxConfirm = maxReturn*3 + 512
	maxBack    = (maxConfirm*4 + 2) / 3
	maxHandOff = maxBack + 1024
)

// evenFresher is how long ago a proof may be at home. A quarter of the time is left for the way back: what is good enough at
// home is so at the site, and nobody goes round in circles.
func (h handOff) evenFresher() time.Duration { return h.within - h.within/4 }

// query answers the one form of h, which parseHandOff reads.
func (h handOff) query() string {
	q := "to=" + url.QueryEscape(h.to) + "&bond=" + h.bond + "&back=" + h.back
	for _, m := range h.with {
		q += "&with=" + string(m)
	}
	if h.within > 0 {
		q += "&within=" + strconv.FormatInt(int64(h.within/time.Second), 10)
	}
	if h.lost != "" {
		q += "&lost=" + h.lost
	}
	if h.again {
		q += "&again"
	}
	return q
}

// parseHandOff reads what a site asks for, and nothing else.
func parseHandOff(query string) (handOff, error) {
	fail := func(why string) (handOff, error) {
		return handOff{}, errNoHandOff.because(errors.New("gateway: hand-off: " + why))
	}
	if len(query) > maxHandOff {
		return fail("is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return fail("is no query")
	}
	h := handOff{to: values.Get("to"), bond: values.Get("bond"), back: values.Get("back"), lost: values.Get("lost"), again: values.Has("again")}
	for _, m := range values["with"] {
		h.with = append(h.with, authcore.Method(m))
	}
	if s := values.Get("within"); s != "" {
		seconds, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return fail("within is no number of seconds")
		}
		h.within = time.Duration(seconds) * time.Second
	}
	switch {
	case !isBond(h.bond):
		return fail("bond is no hash")
	case len(h.back) > maxBack || !isBase64url(h.back):
		return fail("back is not base64url")
	case slices.ContainsFunc(h.with, func(m authcore.Method) bool { return strings.Trim(string(m), "abcdefghijklmnopqrstuvwxyz") != "" }):
		return fail("with is no method")
	case !slices.Contains([]string{"", lostTooLarge, lostUnavailable, lostGone}, h.lost):
		return fail("lost is no reason")
	case h.query() != query:
		// Twice the same, something more, or written otherwise: it was not written by a site.
		return fail("is not written as a site writes it")
	}
	return h, nil
}

// wanted answers where the browser that comes back from home wanted to go on this site.
func (g *Gateway) wanted(r *http.Request) string {
	back, err := base64.RawURLEncoding.Strict().DecodeString(r.URL.Query().Get("back"))
	if err != nil {
		back = nil
	}
	return g.safeReturn(string(back))
}

// isBond reports whether a text is 256 bits in base64url: a bond, its hash or a code.
func isBond(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

func isBase64url(s string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && !strings.ContainsAny(s, "\r\n")
}

func hashBond(bond string) string {
	sum := authcore.HashSecret(bond)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// setBond answers the Set-Cookie value for a bond, and clearBond that by which the browser forgets it. It is for this host
// alone, also below a cookie domain: a sibling is neither to see it nor to set one.
func (f cookieForm) setBond(bond string) string {
	return f.bond + "=" + bond + f.bondAttrs() + "; Max-Age=" + strconv.FormatInt(int64(bondLife/time.Second), 10)
}

func (f cookieForm) clearBond() string { return f.bond + "=" + f.bondAttrs() + "; Max-Age=0" }

func (f cookieForm) bondAttrs() string { return strings.TrimSuffix(f.attrs, "; Domain="+f.domain) }

// Origins answers the origins of the sites of a realm: of those with a sign-in of their own, and of those that have it at one
// of these.
func (r *Realm) Origins() (homes, aways []string) {
	for _, g := range r.State.gateways(r) {
		if g.away() {
			aways = append(aways, g.origin.text)
		} else {
			homes = append(homes, g.origin.text)
		}
	}
	return homes, aways
}

// CanonicalOrigin answers an origin as sites are known by it; what is none comes back as it is.
func CanonicalOrigin(s string) string {
	if o, err := parseOrigin(s); err == nil {
		return o.text
	}
	return s
}
