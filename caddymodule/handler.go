package caddymodule

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/caddymodule/pages"
)

// Handler protects one site: it answers the routes of sign-in and hands on what the rules allow.
//
// It sets the placeholders {http.auth.user.id} (the username, which access logs show as user_id) and
// {http.auth.user.subject}, .username, .name, .email, .roles, .wallet and .methods, all empty for who is signed out.
type Handler struct {
	// Scheme, host and port of the site as browsers show them. Required; never taken from a request.
	Origin string `json:"origin,omitempty"`
	// Where the gateway's own routes are. Default: /auth.
	Path string `json:"path,omitempty"`
	// Sign-in methods offered. Default: all that are on.
	Methods []string `json:"methods,omitempty"`
	// A domain for all hosts below which one sign-in is good. Default: the origin only.
	CookieDomain string `json:"cookie_domain,omitempty"`
	// Who may do what. A path that no rule names is for whoever is signed in.
	Rules []Rule `json:"rules,omitempty"`
	// Further identity headers for the backend.
	Headers []Header `json:"headers,omitempty"`
	// Leaves out the default identity headers.
	NoDefaultHeaders bool `json:"no_default_headers,omitempty"`

	gateway *gateway.Gateway
}

// Header is an identity header for the backend.
type Header struct {
	// The name.
	Name string `json:"name"`
	// The value, with placeholders {subject} {username} {name} {email} {roles} {wallet} {methods}.
	Value string `json:"value"`
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
	site, err := h.site()
	if err != nil {
		return err
	}
	site.Pages, site.Identified = pages.New(), identified
	h.gateway, err = gateway.New(app.(*App).realm, site)
	return err
}

// site is the configuration of the gateway.
func (h *Handler) site() (gateway.Site, error) {
	site := gateway.Site{
		Origin: h.Origin, Path: h.Path, Methods: signInMethods(h.Methods), CookieDomain: h.CookieDomain,
		Headers: headers(h.Headers), NoDefaultHeaders: h.NoDefaultHeaders,
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
	err := h.gateway.Handle(w, r, next.ServeHTTP)
	refusal, refused := err.(*gateway.Error)
	if !refused {
		return err
	}
	if handlerError := caddyhttp.Error(refusal.Status, refusal); errorRoute(r, handlerError) {
		return handlerError
	}
	h.gateway.WriteError(w, r, refusal)
	return nil
}

// clientIP is the address of the client as Caddy sees it, trusted proxies considered.
func clientIP(r *http.Request) netip.Addr {
	s, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap().WithZone("")
}

// requestURI is the target as the browser sent it, before rewrites.
func requestURI(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		r = &original
	}
	return r.URL.RequestURI()
}

// identified puts who a request is where the rest of Caddy looks for it.
func identified(r *http.Request, id *authcore.Identity) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	// What another handler said before would win over the function below.
	repl.DeleteByPrefix(userPlaceholder)
	repl.Map(func(key string) (any, bool) {
		field, ok := strings.CutPrefix(key, userPlaceholder)
		if !ok {
			return nil, false
		}
		// A field that is not known is empty too: left as it stands, the placeholder itself would pass for a user.
		return userField(id, field), true
	})
}

const userPlaceholder = "http.auth.user."

func userField(id *authcore.Identity, field string) string {
	if id == nil {
		return ""
	}
	switch field {
	case "id", "username":
		return id.Username
	case "subject":
		return id.Subject
	case "name":
		return id.Name
	case "email":
		return id.Email
	case "roles":
		return strings.Join(id.Roles, ",")
	case "wallet":
		if len(id.Wallets) > 0 {
			return id.Wallets[0]
		}
	case "methods":
		names := make([]string, len(id.Methods))
		for i, use := range id.Methods {
			names[i] = string(use.Method)
		}
		return strings.Join(names, ",")
	}
	return ""
}

// errorRoute reports whether the server has an error route for this error. Where it has none, Caddy would answer with
// the status alone.
func errorRoute(r *http.Request, err caddyhttp.HandlerError) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	return handled(server.Errors.Routes, server.Errors.WithError(r, err))
}

// handled reports whether a request gets to a handler in these routes. handle_errors with status codes is a subroute
// whose routes match by the code, so subroutes are looked into.
func handled(routes caddyhttp.RouteList, r *http.Request) bool {
	for _, route := range routes {
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil || !matches {
			continue
		}
		for _, handler := range route.Handlers {
			subroute, ok := handler.(*caddyhttp.Subroute)
			if !ok || handled(subroute.Routes, r) {
				return true
			}
		}
		if route.Terminal {
			return false
		}
	}
	return false
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
