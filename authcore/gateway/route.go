package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

// serve answers a request on one of the gateway's own routes, or answers an error before anything was written.
type serve func(w http.ResponseWriter, r *http.Request, v *visitor) error

// route is what answers a path, by method; nil where the method is not allowed. HEAD is answered where GET is.
type route struct {
	get, post serve
}

// ownRoutes answers the routes of this site, by path below the mount. A last segment of * stands for any one segment,
// which the route finds as path value "name". What is switched off is not there.
func (g *Gateway) ownRoutes() map[string]route {
	routes := map[string]route{
		"token/refresh": {post: g.refreshTokens},
		"sign-out":      {post: g.signOut},
		"session":       {get: g.showSession},
		"jwks.json":     {get: g.showKeys},
		"health/live":   {get: g.showLive},
		"health/ready":  {get: g.showReady},
	}
	if slices.Contains(g.site.Methods, authcore.Wallet) {
		routes["challenge/create"] = route{post: g.limited(g.createChallenge)}
		routes["challenge/sign"] = route{post: g.observed(authcore.Wallet, g.limited(g.signChallenge))}
	}
	if g.site.Pages != nil {
		routes["sign-in"] = route{get: g.showSignIn}
		routes["account"] = route{get: g.showAccount}
		routes["assets/*"] = route{get: g.showAsset}
	}
	return routes
}

// serveOwn answers a request for one of the gateway's own routes; sub is its path below the mount.
func (g *Gateway) serveOwn(w http.ResponseWriter, r *http.Request, sub string, v *visitor) {
	setOwnHeaders(w.Header())
	if v.setCookie != "" {
		replaceCookie(w.Header(), v.setCookie)
	}
	if err := g.dispatch(w, r, sub, v); err != nil {
		g.WriteError(w, r, asError(err).to(v.identity))
	}
}

func (g *Gateway) dispatch(w http.ResponseWriter, r *http.Request, sub string, v *visitor) error {
	to, ok := g.routes[sub]
	if !ok {
		i := strings.LastIndexByte(sub, '/') + 1
		if to, ok = g.routes[sub[:i]+"*"]; !ok {
			return errNotFound
		}
		r.SetPathValue("name", sub[i:])
	}
	do, allow := to.get, "GET, HEAD"
	if to.get == nil {
		allow = "POST"
	} else if to.post != nil {
		allow += ", POST"
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		do = to.post
	default:
		do = nil
	}
	if do == nil {
		w.Header()["Allow"] = []string{allow}
		return errMethodNotAllowed
	}
	if r.Method == http.MethodPost {
		if err := g.checkSender(r); err != nil {
			return err
		}
	}
	return do(w, r, v)
}

// observed tells the observer how a sign-in ended.
func (g *Gateway) observed(m authcore.Method, do serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		err := do(w, r, v)
		outcome := "ok"
		if err != nil {
			outcome = asError(err).Code
		}
		g.realm.Observer.SignedIn(m, outcome)
		return err
	}
}

// contentPolicy lets the gateway's pages load what the gateway serves and nothing else, and be framed by nobody.
const contentPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// setOwnHeaders sets what every answer of the gateway itself carries.
func setOwnHeaders(h http.Header) {
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Security-Policy"] = []string{contentPolicy}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Frame-Options"] = []string{"DENY"} // for browsers that do not know frame-ancestors
	// Not no-referrer: with that, browsers send "Origin: null" for forms of this very site (W3C Fetch, section 3.1).
	h["Referrer-Policy"] = []string{"same-origin"}
	// Wallets that open a window of their own need the opener; others must not get a handle on this window.
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin-allow-popups"}
	h["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
}

// replaceCookie sets the gateway's cookie, instead of one that was set before in this answer.
func replaceCookie(h http.Header, value string) {
	dropOwnCookies(h)
	h["Set-Cookie"] = append(h["Set-Cookie"], value)
}
