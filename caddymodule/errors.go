package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// told is a refusal as error pages may show it: {err.message} is the sentence for people, never the cause.
type told struct{ refusal *gateway.Error }

func (e told) Error() string { return e.refusal.Detail }
func (e told) Unwrap() error { return e.refusal }

// forErrorRoute answers the error of Caddy that a refusal is, where the server has an error route for it. Where it has
// none, Caddy would answer with the status alone.
func forErrorRoute(r *http.Request, refusal *gateway.Error) (error, bool) {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return nil, false
	}
	err := caddyhttp.Error(refusal.Status, told{refusal})
	return err, handled(server.Errors.Routes, server.Errors.WithError(r, err))
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
