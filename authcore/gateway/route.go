package gateway

import (
	"cmp"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

// serve answers a request on one of the gateway's own routes, or answers an error before anything was written.
type serve func(w http.ResponseWriter, r *http.Request, v *visitor) error

// route is what answers a path, by method; nil where the method is not allowed. HEAD is answered where GET is.
type route struct {
	get, post, patch, delete serve
	raw                      func(w http.ResponseWriter, r *http.Request, sub string) // instead: any method, of the request as it came
}

// by answers what serves a method, and the methods there are.
func (to route) by(method string) (do serve, allow string) {
	var all []string
	for _, one := range []struct {
		method string
		do     serve
	}{
		{http.MethodGet, to.get},
		{http.MethodHead, to.get},
		{http.MethodPost, to.post},
		{http.MethodPatch, to.patch},
		{http.MethodDelete, to.delete},
	} {
		if one.do == nil {
			continue
		}
		all = append(all, one.method)
		if one.method == method {
			do = one.do
		}
	}
	return do, strings.Join(all, ", ")
}

// ownRoutes answers the routes of this site, by path below the mount; those outside of it begin with a slash. A segment
// of * stands for any one segment: the route finds what stands for the last as path value "name", and what stands for one
// before it as "of". What is switched off is not there.
func (g *Gateway) ownRoutes() (map[string]route, error) {
	routes := map[string]route{
		"token/refresh": {post: g.refreshTokens},
		"sign-out":      {post: g.signOut},
		"session":       {get: signedIn(g.showSession)},
		"credentials":   {get: signedIn(g.listCredentials)},
		"credentials/*": {patch: signedIn(g.renameCredential), delete: signedIn(g.deleteCredential)},
		"invite/check":  {post: g.limited(g.checkInvite)},
		"jwks.json":     {get: g.showKeys},
		"health/live":   {get: g.showLive},
		"health/ready":  {get: g.showReady},
		verifyRoute:     {raw: g.answerProxy},
	}
	if g.site.CookieDomain != "" {
		routes[backRoute] = route{get: g.leadBack}
	}
	if slices.Contains(g.site.Methods, authcore.Passkey) {
		routes["registration/request"] = route{post: g.limited(g.requestRegistration)}
		register := g.limited(g.answerRegistration)
		routes["registration/response"] = route{post: either(register, g.observed(authcore.Passkey, register))}
		routes["authentication/request"] = route{post: g.limited(g.requestAuthentication)}
		routes["authentication/response"] = route{post: g.observed(authcore.Passkey, g.limited(g.answerAuthentication))}
		routes["step-up/authentication/request"] = route{post: g.limited(signedIn(g.requestStepUp))}
		routes["step-up/authentication/response"] = route{post: g.observed(authcore.Passkey, g.limited(signedIn(g.answerStepUp)))}
		if err := g.addWellKnown(routes); err != nil {
			return nil, err
		}
	}
	if g.offers(authcore.Wallet) || g.offers(authcore.ProgramKey) {
		routes["challenge/create"] = route{post: g.limited(g.createChallenge)}
		routes["challenge/sign"] = route{post: g.observed(authcore.Wallet, g.limited(g.signChallenge))}
		routes["step-up/challenge/create"] = route{post: g.limited(signedIn(g.createStepUpChallenge))}
		routes["step-up/challenge/sign"] = route{post: g.observed(authcore.Wallet, g.limited(signedIn(g.signStepUpChallenge)))}
	}
	if slices.Contains(g.site.Methods, authcore.Password) {
		routes["password/register"] = route{post: g.limited(g.registerPassword)}
		routes["password/activate"] = route{post: g.observed(authcore.Password, g.limited(g.activatePassword))}
		routes["password/sign-in"] = route{post: g.observed(authcore.Password, g.limited(g.signInPassword))}
		routes["password/forgot"] = route{post: g.limited(g.forgotPassword)}
		routes["password/reset"] = route{post: g.observed(authcore.Password, g.limited(g.resetPassword))}
		routes["password/change"] = route{post: g.limited(signedIn(g.changePassword))}
		routes["step-up/password/sign-in"] = route{post: g.observed(authcore.Password, g.limited(signedIn(g.stepUpPassword)))}
	}
	if g.passwords != nil {
		routes["email/request"] = route{post: g.limited(signedIn(g.requestEmail))}
		routes["email/confirm"] = route{post: g.limited(signedIn(g.confirmEmail))}
	}
	if g.site.Pages != nil {
		g.addPages(routes)
	}
	for _, more := range []map[string]route{g.adminUserRoutes(), g.ownAccountRoutes(), g.tokenRoutes(), g.adminInviteRoutes(), g.adminEventRoutes(), g.recoveryRoutes(), g.adminRuleRoutes(), g.adminPageRoutes()} {
		maps.Copy(routes, more)
	}
	return routes, nil
}

// addPages adds the routes of pages.
func (g *Gateway) addPages(routes map[string]route) {
	// Who is signed in sees the page to sign in too, to step up.
	names := []string{"sign-in", "invite", "recover"}
	if slices.Contains(g.site.Methods, authcore.Password) {
		names = append(names, "register", "activate", "forgot", "reset")
	}
	if g.passwords != nil {
		names = append(names, "email")
	}
	for _, name := range names {
		routes[name] = route{get: g.showPage(name)}
	}
	routes[confirmPage] = route{get: g.showConfirm, post: g.sendForm}
	if slices.Contains(g.site.Methods, authcore.Password) {
		in := func(do serve) serve { return g.observed(authcore.Password, g.limited(do)) }
		routes["sign-in"] = route{get: g.showPage("sign-in"), post: g.form("sign-in", in)}
		routes["register"] = route{get: g.showPage("register"), post: g.form("register", g.limited)}
		routes["forgot"] = route{get: g.showPage("forgot"), post: g.form("forgot", g.limited)}
	}
	for path, name := range map[string]string{
		"account": "account", "account/profile": "account-profile", "account/sessions": "account-sessions",
		"account/tokens": "account-tokens",
	} {
		routes[path] = route{get: g.showAccount(name)}
	}
	routes[""] = route{get: g.leadIn}
	routes["assets/*"] = route{get: g.showAsset}
	routes["authgate.js"] = route{get: g.showModule}
}

// patterns are the paths of routes with segments of *, split; those with a word where others have * come first.
type patterns [][]string

// maxValues is how many segments of * a path has at most.
const maxValues = 2

func newPatterns(routes map[string]route) patterns {
	var all patterns
	for path := range routes {
		if strings.Contains(path, "*") {
			all = append(all, strings.Split(path, "/"))
		}
	}
	slices.SortFunc(all, func(a, b []string) int { return slices.Compare(b, a) }) // * is before every letter
	return all
}

// match answers the first pattern that fits a path, and what stands for each * of it.
func (p patterns) match(path string) (pattern string, values []string) {
	segments := strings.Split(path, "/")
	for _, one := range p {
		if len(one) != len(segments) {
			continue
		}
		values = make([]string, 0, maxValues)
		fits := true
		for i, s := range one {
			if s == "*" {
				values = append(values, segments[i])
			} else if s != segments[i] {
				fits = false
			}
		}
		if fits {
			return strings.Join(one, "/"), values
		}
	}
	return "", nil
}

// serveOwn answers a request for one of the gateway's own routes; sub is its path below the mount.
func (g *Gateway) serveOwn(w http.ResponseWriter, r *http.Request, sub string, v *visitor) {
	if v.identity != nil && v.identity.Token && !takesPersonal(sub) {
		v.identity, v.ticket, v.barred = nil, nil, true
	}
	setOwnHeaders(w.Header())
	g.allowHandOff(w.Header())
	if v.setCookie != "" {
		replaceCookie(w.Header(), v.setCookie)
	}
	if err := g.dispatch(w, r, sub, v); err != nil {
		g.WriteError(w, r, asError(err).to(v.identity))
	}
}

// lookUp answers the route of a path below the mount, and what stands where it has segments of *.
func (g *Gateway) lookUp(sub string) (to route, values []string, ok bool) {
	if to, ok = g.routes[sub]; ok && !strings.Contains(sub, "*") {
		return to, nil, true
	}
	if strings.HasPrefix(sub, verifyBelow) {
		return g.routes[verifyRoute], nil, true
	}
	pattern, values := g.patterns.match(sub)
	if pattern == "" {
		return route{}, nil, false // and not the route of the mount itself
	}
	to, ok = g.routes[pattern]
	return to, values, ok
}

func (g *Gateway) dispatch(w http.ResponseWriter, r *http.Request, sub string, v *visitor) error {
	to, values, ok := g.lookUp(sub)
	if !ok {
		return errNotFound
	}
	for i, name := range []string{"name", "of"}[:len(values)] {
		r.SetPathValue(name, values[len(values)-1-i])
	}
	do, allow := to.by(r.Method)
	if do == nil {
		w.Header()["Allow"] = []string{allow}
		return errMethodNotAllowed
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if err := g.checkSender(r); err != nil {
			return err
		}
	}
	return do(w, r, v)
}

// observed tells the observer how a sign-in ended, and the log where it was refused: for the operator, and for programs
// that shut out clients who guess. What was typed is in no log: people type passwords into the wrong field.
func (g *Gateway) observed(m authcore.Method, do serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		err := do(w, r, v)
		outcome := "ok"
		if err != nil {
			e := asError(err)
			outcome = e.Code
			if isRefusal(e) {
				g.realm.Logger.LogAttrs(r.Context(), slog.LevelWarn, "sign-in refused", slog.String("code", e.Code),
					slog.String("method", string(cmp.Or(v.method, m))), slog.String("client", g.realm.ClientIP(r).String()))
				g.noteRefusal(r, v, cmp.Or(v.method, m), e)
			}
		}
		g.realm.Observer.SignedIn(cmp.Or(v.method, m), outcome)
		return err
	}
}

// isRefusal tells a sign-in that was refused from one that could not be checked, and from one that goes on with what was
// asked for: whoever looks for a password that is good enough is not guessing one.
func isRefusal(e *Error) bool {
	switch e.Code {
	case "weak_password", "password_required", "step_up_required":
		return false
	}
	return e.Status < http.StatusInternalServerError
}

// either serves who is signed in by the first, and who is not by the second.
func either(in, out serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		if v.identity != nil {
			return in(w, r, v)
		}
		return out(w, r, v)
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

// replaceCookie sets the session cookie, instead of one that was set before in this answer. The device cookie stays.
func replaceCookie(h http.Header, value string) {
	dropCookies(h, func(name string) bool { return isAmong(sessionCookies, name) })
	h["Set-Cookie"] = append(h["Set-Cookie"], value)
}
