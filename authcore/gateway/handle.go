package gateway

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Handle does what the gateway does with a request: it answers its own routes, refuses, sends to sign in, or strips the
// request of what clients may not say, tells who it is, and hands it to next.
//
// A refusal comes back as an *Error, unwritten, so that a server with error pages of its own can show them; WriteError
// writes it otherwise. What next answers comes back as it is.
func (g *Gateway) Handle(w http.ResponseWriter, r *http.Request, next Next) (err error) {
	start := g.realm.Now()
	handed := false // to next, whose panics are its own
	defer func() {
		if handed {
			return
		}
		if p := recover(); p != nil {
			err = g.panicked(w, r, p, start)
		}
	}()
	sub, own := g.ownPath(r)
	if own {
		if to, _, _ := g.lookUp(sub); to.raw != nil {
			to.raw(w, r, sub)
			return nil
		}
	}
	traced := false
	if t := g.realm.Traced; t != nil {
		var ctx context.Context
		if ctx, traced = t(r.Context()); traced {
			r = r.WithContext(ctx)
		}
	}
	websocket := isWebsocket(r)
	g.strip.strip(r, websocket, g.realm.TrustedProxy)
	cookies := g.cookie.take(r.Header)
	v := g.identifyTraced(r, start, cookies.session, traced)
	v.bounced = cookies.bounced
	if g.site.Identified != nil {
		g.site.Identified(r, v.identity)
	}
	if own {
		visiting := v // only here it must outlive this call
		visiting.device, visiting.formKey, visiting.bond = cookies.device, cookies.form, cookies.bond
		g.serveOwn(w, r, sub, &visiting)
		return nil
	}
	asked := policy.Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Client: g.realm.ClientIP(r), Identity: v.identity, Now: start,
	}
	if websocket {
		asked.Method = http.MethodGet // an extended CONNECT becomes one on the way to the backend
	}
	refusal := checkTarget(r, websocket)
	if refusal == nil && r.ContentLength == formSize {
		refusal = g.putBack(w, r, &v, cookies.form)
	}
	var d policy.Decision
	if refusal == nil {
		d = g.judgeTraced(r, asked, traced)
		if d.Strict && v.ticket != nil {
			d, refusal = g.judgeStrictly(r, &v, asked)
		}
		if d.Verdict != policy.Allow && refusal == nil && r.Method == http.MethodOptions {
			d = g.judgePreflight(r, &v, asked, d)
		}
		if refusal == nil {
			refusal = g.refusal(r, &v, d, websocket)
		}
	}
	var said string
	if refusal == nil && v.ticket != nil {
		var err error
		if said, err = g.assert(r, v.ticket, start); err != nil {
			refusal = unavailable(err)
		}
	}
	if refusal != nil {
		if refusal.Code == codeUnauthenticated && g.isNavigation(r) {
			loop := g.redirectToSignIn(w, r, &v)
			if loop == nil {
				g.realm.Observer.Decided(refusal.outcome, g.realm.Now().Sub(start))
				return nil
			}
			refusal = &refused{loop, "loop"}
		}
		g.realm.Observer.Decided(refusal.outcome, g.realm.Now().Sub(start))
		if refusal.evidence != nil && g.confirms(r, &v) {
			g.redirectToConfirm(w, r, &v, refusal.evidence, cookies.form)
			return nil
		}
		if refusal.outcome == "loop" || isCall(r) {
			g.WriteError(w, r, refusal.Error) // no error route of the server's has what is to be told
			return nil
		}
		g.setErrorHeaders(w.Header(), refusal.Error)
		g.challenge(w.Header(), r, refusal.Error, false)
		return refusal.to(v.identity)
	}
	f := &responseFilter{stream: stream{writer: w}, setCookie: v.setCookie}
	defer f.finish()
	if v.ticket == nil {
		v.withhold(r.Header)
		g.realm.Observer.Decided("allow", g.realm.Now().Sub(start))
		handed = true
		return next(f, r)
	}
	setHeaders(r.Header, v.ticket.headers, said)
	f.private = !d.Public
	f.stream.gateway, f.stream.ticket, f.stream.asked = g, v.ticket, asked
	r, live := f.stream.begin(r, websocket || isEventStream(r.Header))
	if !live {
		f.wrote = true // this answer is the gateway's
		g.setErrorHeaders(w.Header(), errSignedOut)
		return errSignedOut
	}
	g.realm.Observer.Decided("allow", g.realm.Now().Sub(start))
	handed = true
	return next(f, r)
}

// identifyTraced is identify, in a span where the request is traced.
func (g *Gateway) identifyTraced(r *http.Request, now time.Time, cookie string, traced bool) visitor {
	if !traced {
		return g.identify(r, now, cookie)
	}
	ctx, end := authcore.Span(r.Context(), "authgate.authenticate")
	v := g.identify(r.WithContext(ctx), now, cookie)
	switch {
	case v.err != nil:
		end("unavailable")
	case v.identity == nil:
		end("signed_out")
	default:
		end("signed_in")
	}
	return v
}

// judgeTraced has the rules judge, in a span where the request is traced.
func (g *Gateway) judgeTraced(r *http.Request, asked policy.Request, traced bool) policy.Decision {
	if !traced {
		return g.policy.Judge(asked)
	}
	_, end := authcore.Span(r.Context(), "authgate.judge")
	d := g.policy.Judge(asked)
	end(d.Verdict.String())
	return d
}

// judgeStrictly judges a request by what the store says at this moment of who sent it.
func (g *Gateway) judgeStrictly(r *http.Request, v *visitor, asked policy.Request) (policy.Decision, *refused) {
	id, err := g.realm.present(r.Context(), v.identity.SessionID, asked.Now)
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		v.identity, v.ticket = nil, nil
	case err != nil:
		return policy.Decision{Rule: -1}, unavailable(err)
	case !sameUser(id, v.identity):
		t := g.newTicket(id, asked.Now, v.ticket.expires, v.ticket.doubt)
		t.change, t.personal = v.ticket.change, v.ticket.personal
		v.identity, v.ticket = id, t
	}
	asked.Identity = v.identity
	return g.policy.Judge(asked), nil
}

// sameUser reports whether two identities of one session tell the same of its user.
func sameUser(a, b *authcore.Identity) bool {
	return a.Subject == b.Subject && a.Username == b.Username && a.Name == b.Name && a.Email == b.Email &&
		slices.Equal(a.Roles, b.Roles) && slices.Equal(a.Wallets, b.Wallets) && slices.Equal(a.Keys, b.Keys)
}

// ownPath reports whether a request is for one of the gateway's own routes, and which.
func (g *Gateway) ownPath(r *http.Request) (sub string, own bool) {
	p := r.URL.Path
	if strings.HasPrefix(p, wellKnown) {
		_, own = g.routes[p]
		return p, own
	}
	if !strings.Contains(p, g.site.Path) {
		return "", false
	}
	if below, asks := strings.CutPrefix(p, g.site.Path+"/"+verifyBelow); asks {
		return verifyBelow + below, true // what follows is the path of another request, as it stands
	}
	sub, own = strings.CutPrefix(path.Clean(p), g.site.Path)
	if own && sub == "" {
		return "", true
	}
	if !own || sub[0] != '/' {
		return "", false
	}
	if strings.HasSuffix(p, "/") {
		return "/", true // path.Clean drops it, and no route ends in one
	}
	return sub[1:], true
}

// refused is a refusal and the word by which metrics count it.
type refused struct {
	*Error
	outcome string
}

const codeUnauthenticated = "unauthenticated"

var (
	errSignedOut  = &Error{Status: http.StatusUnauthorized, Code: codeUnauthenticated, Detail: "Sign in to see this."}
	errStepUp     = &Error{Status: http.StatusUnauthorized, Code: "step_up_required", Detail: "This needs a fresh or stronger sign-in."}
	errForbidden  = &Error{Status: http.StatusForbidden, Code: "forbidden", Detail: "This account may not see this."}
	errClosed     = &Error{Status: http.StatusForbidden, Code: "forbidden", Detail: "Nobody may see this."}
	errCrossSite  = &Error{Status: http.StatusForbidden, Code: "cross_origin", Detail: "This request came from another site."}
	errBadTarget  = &Error{Status: http.StatusBadRequest, Code: "invalid_target", Detail: "The address or method of this request cannot be understood safely."}
	errBadConnect = &Error{Status: http.StatusBadRequest, Code: "invalid_target", Detail: "CONNECT is taken for websockets only."}
)

func unavailable(err error) *refused {
	return &refused{&Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "Sign-in cannot be checked at the moment. Try again shortly.", Err: err}, "unavailable"}
}

// refusal turns a decision into the answer for this visitor, or nil where the request may pass.
func (g *Gateway) refusal(r *http.Request, v *visitor, d policy.Decision, websocket bool) *refused {
	switch d.Verdict {
	case policy.Allow:
		if websocket && v.via == byCookie && g.foreignPage(r) {
			// Browsers send cookies with websockets from any page and let that page read the answers.
			return &refused{errCrossSite, "forbidden"}
		}
		if v.via == byBasic && v.identity != nil && (g.foreignPage(r) || isForeignFetch(r)) {
			// Browsers add a password that was typed once to requests of any page, too.
			return &refused{errCrossSite, "forbidden"}
		}
		return nil
	case policy.SignIn:
		if v.err != nil {
			return unavailable(v.err)
		}
		if err := g.realm.begun(r.Context()); err != nil {
			return unavailable(err)
		}
		return &refused{errSignedOut, "sign_in"}
	case policy.StepUp:
		return &refused{errStepUp.asking(d.With, d.Within), "step_up"}
	case policy.BadPath:
		return &refused{errBadTarget, "bad_request"}
	}
	if v.identity == nil {
		return &refused{errClosed, "forbidden"}
	}
	return &refused{errForbidden, "forbidden"}
}

// foreignOrigin reports whether a page of another origin than the site's sent the request.
func (g *Gateway) foreignOrigin(r *http.Request) bool {
	from := r.Header["Origin"]
	return len(from) > 1 || len(from) == 1 && !strings.EqualFold(from[0], g.origin.text)
}

// checkTarget refuses what has no path to judge, or whose method a backend might read as another one.
func checkTarget(r *http.Request, websocket bool) *refused {
	if r.Method == http.MethodConnect && !websocket {
		return &refused{errBadConnect, "bad_request"}
	}
	// Methods are case-sensitive (RFC 9110 section 9.1), yet many a backend folds them.
	if !policy.ValidMethod(r.Method) {
		return &refused{errBadTarget, "bad_request"}
	}
	u := r.URL
	if u.Opaque != "" || u.Path == "" || u.Path[0] != '/' || u.Scheme != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return &refused{errBadTarget, "bad_request"}
	}
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.ContainsAny(raw, `#\`) {
		// url.URL would encode them, so that they are to be seen only here.
		return &refused{errBadTarget, "bad_request"}
	}
	return nil
}

// newCookie answers the Set-Cookie value of a session that was just opened.
func (g *Gateway) newCookie(s authcore.Session, secret, access string) string {
	return g.cookie.set(secret, access, s.IdleUntil.Sub(g.realm.Now()))
}

func (g *Gateway) clearCookie() string { return g.cookie.clear() }
