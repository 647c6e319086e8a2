package caddymodule

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Handler protects one site: it answers the routes of sign-in and hands on what the rules allow.
//
// It sets the placeholders {http.auth.user.id} (the username, which access logs show as user_id) and
// {http.auth.user.subject}, .username, .name, .email, .roles, .wallet and .methods, all empty for who is signed out.
type Handler struct {
	// Where it is written, "Caddyfile:12", for errors.
	Source string `json:"source,omitempty"`
	// Scheme, host and port of the site as browsers show them. Required; never taken from a request.
	Origin string `json:"origin,omitempty"`
	// Where the gateway's own routes are. Default: /auth.
	Path string `json:"path,omitempty"`
	// Sign-in methods offered. Default: all that are on and work on this origin.
	Methods []string `json:"methods,omitempty"`
	// A domain for all hosts below which one sign-in is good. Default: the origin only.
	CookieDomain string `json:"cookie_domain,omitempty"`
	// The origin of another site of this configuration where people sign in for this one, which has no sign-in of its own then:
	// so one account is good on several domains. Default: this site's own.
	SignInAt string `json:"sign_in_at,omitempty"`
	// Who may do what. A path that no rule names is for whoever is signed in.
	Rules []Rule `json:"rules,omitempty"`
	// Further identity headers for the backend.
	Headers []Header `json:"headers,omitempty"`
	// Leaves out the default identity headers.
	NoDefaultHeaders bool `json:"no_default_headers,omitempty"`
	// In place of the default identity headers, those of another gateway: authelia, oauth2-proxy, authentik, pomerium,
	// cloudflare or grafana. Default: authgate, its own.
	HeaderPreset string `json:"header_preset,omitempty"`
	// Lets what is not ASCII stand as UTF-8 in the default headers, or those of the preset. Default: percent-encoded.
	RawHeaders bool `json:"raw_headers,omitempty"`
	// How the pages of this site look and what they say, in place of what the app says. Default: as the app says.
	Brand *Brand `json:"brand,omitempty"`

	gateway *gateway.Gateway
	visits  *visits // of the configuration
	logger  *slog.Logger
}

// Header is an identity header for the backend.
type Header struct {
	// The name.
	Name string `json:"name"`
	// The value, with placeholders {subject} {username} {name} {email} {roles} {wallet} {methods}; or {assertion}, alone.
	Value string `json:"value"`
	// Lets what is not ASCII stand as UTF-8. Default: percent-encoded.
	Raw bool `json:"raw,omitempty"`
}

// CaddyModule names the module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.authgate", New: func() caddy.Module { return new(Handler) }}
}

// Provision makes the gateway of the site.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("authgate")
	if err != nil {
		return err
	}
	return at(h.Source, h.provision(ctx, app.(*App)))
}

// at puts before an error where that stands which it is about, where that is known.
func at(source string, err error) error {
	if err == nil || source == "" {
		return err
	}
	return fmt.Errorf("%s: %w", source, err)
}

func (h *Handler) provision(ctx caddy.Context, app *App) error {
	site, err := h.site()
	if err != nil {
		return err
	}
	h.logger = ctx.Slogger()
	site.Pages = app.pages
	if h.Brand != nil {
		if site.Pages, err = h.Brand.pages(); err != nil {
			return err
		}
	}
	site.Identified, site.Owner = identified, h
	if err := app.checkMethods(h.Methods); err != nil {
		return fmt.Errorf("methods: %w", err)
	}
	if err := h.checkHome(ctx); err != nil {
		return err
	}
	if err := h.checkChain(ctx.Modules()); err != nil {
		return err
	}
	h.visits = app.visits
	h.warnUnheld(app)
	h.gateway, err = gateway.New(app.realm, site)
	return err
}

// site is the configuration of the gateway.
func (h *Handler) site() (gateway.Site, error) {
	site := gateway.Site{
		Origin: h.Origin, Path: h.Path, Methods: signInMethods(h.Methods), CookieDomain: h.CookieDomain, SignInAt: h.SignInAt,
		Headers: headers(h.Headers), NoDefaultHeaders: h.NoDefaultHeaders,
		Preset: h.HeaderPreset, RawPreset: h.RawHeaders,
	}
	var err error
	site.Rules, err = rules(h.Rules)
	return site, err
}

func rules(configured []Rule) ([]policy.Rule, error) {
	var rules []policy.Rule
	for i, rule := range configured {
		compiled, err := rule.compiled()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		rules = append(rules, compiled)
	}
	return rules, nil
}

func signInMethods(names []string) []authcore.Method {
	var methods []authcore.Method
	for _, name := range names {
		methods = append(methods, authcore.Method(name))
	}
	return methods
}

func headers(configured []Header) []gateway.Header {
	var headers []gateway.Header
	for _, h := range configured {
		headers = append(headers, gateway.Header(h))
	}
	return headers
}

// ServeHTTP lets the gateway answer, hand on or refuse. A refusal becomes an error of Caddy where an error route is there
// for it, and is written by the gateway where none is.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// The first of two in one chain takes the cookie, so the second would send whoever is signed in to sign in for ever.
	inside, again := caddyhttp.GetVar(r.Context(), insideVar).(*atomic.Bool)
	if again && inside.Load() {
		return caddyhttp.Error(http.StatusInternalServerError, errTwoGates)
	}
	if !again {
		// Written once, before anything else could read the variables: a proxy may still do so when it has answered.
		inside = new(atomic.Bool)
		caddyhttp.SetVar(r.Context(), insideVar, inside)
	}
	err := h.handle(w, r, func(w http.ResponseWriter, r *http.Request) error {
		inside.Store(true)
		defer inside.Store(false)
		return next.ServeHTTP(w, r)
	})
	refusal, refused := err.(*gateway.Error)
	if !refused {
		return err
	}
	if handlerError, ok := forErrorRoute(r, refusal); ok {
		if refusal.Err != nil {
			h.logger.Error("request could not be decided", "code", refusal.Code, "error", refusal.Err)
		}
		return handlerError
	}
	h.gateway.WriteError(w, r, refusal)
	return nil
}

// handle lets the gateway of the configuration in force decide. Where that has just become another one, a request may still
// come here, over a connection that was opened before; it must not meet the rules from before, and is a visit of the
// configuration whose stores it uses.
func (h *Handler) handle(w http.ResponseWriter, r *http.Request, next gateway.Next) error {
	g, visits := h.gateway, h.visits
	for !visits.begin() {
		current, ok := h.gateway.Current()
		if !ok || current == g {
			// Not by an error route, which would get the request as it came.
			identified(r, nil)
			w.Header().Set("Connection", "close")
			h.gateway.WriteError(w, r, gateway.ErrReplaced)
			return nil
		}
		g, visits = current, current.Owner().(*Handler).visits
	}
	left := false
	leave := func() {
		if !left {
			left = true
			visits.leave()
		}
	}
	defer leave()
	return g.Handle(w, r, func(w http.ResponseWriter, r *http.Request) error {
		leave()
		return next(w, r)
	})
}

// insideVar tells, in a variable of the request, whether it is in the hands of the handlers behind a gateway.
const insideVar = "authgate.inside"

// clientIP is the address of the client as Caddy sees it, trusted proxies considered.
func clientIP(r *http.Request) netip.Addr {
	s, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap().WithZone("")
}

// trustedProxy reports whether Caddy trusts the peer of a request to tell of others: trusted_proxies.
func trustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// requestID is what Caddy calls the request: {http.request.uuid}, the same each time.
func requestID(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}

// requestURI is the target as the browser sent it, before rewrites.
func requestURI(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		r = &original
	}
	return r.URL.RequestURI()
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
