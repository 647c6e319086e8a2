package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

var (
	errTwoGates = errors.New("two authgate handlers are in one chain; leave one")
	errShutOff  = errors.New("no request comes to authgate, as what stands before it answers all; write authgate first")
)

// checkChain refuses a gate that certainly cannot work where it stands. It sees the subroutes that the handler is in, while
// Caddy makes them: in each list, the routes before have their handlers, and the one that is being made still has the text
// of its own. What it does not see, `caddy authgate check` does, which walks all.
func (h *Handler) checkChain(around []caddy.Module) error {
	for i, module := range around {
		subroute, ok := module.(*caddyhttp.Subroute)
		if !ok {
			continue
		}
		at := 0
		for at < len(subroute.Routes) && len(subroute.Routes[at].HandlersRaw) == 0 {
			at++
		}
		if at == len(subroute.Routes) {
			return nil // it is in its error routes
		}
		here := subroute.Routes[at]
		for _, before := range subroute.Routes[:at] {
			if len(before.MatcherSets) > 0 || before.Group != "" {
				continue
			}
			if err := passedBy(before.Handlers); err != nil {
				return err
			}
		}
		within := ""
		if _, deeper := around[min(i+1, len(around)-1)].(*caddyhttp.Subroute); deeper {
			within = "subroute"
		}
		if err := passedByRaw(here.HandlersRaw, within); err != nil {
			return err
		}
		if err := h.checkMount(subroute.Routes, at); err != nil {
			return err
		}
	}
	return nil
}

// passedBy says what a gate behind these handlers suffers from.
func passedBy(handlers []caddyhttp.MiddlewareHandler) error {
	for _, handler := range handlers {
		switch handler := handler.(type) {
		case *Handler:
			return errTwoGates
		case *reverseproxy.Handler:
			if len(handler.HandleResponse) == 0 {
				return errShutOff
			}
		case *caddyhttp.StaticResponse, *caddyhttp.StaticError:
			return errShutOff
		case *caddyhttp.Subroute:
			for _, route := range handler.Routes {
				if len(route.MatcherSets) > 0 || route.Group != "" {
					continue
				}
				if err := passedBy(route.Handlers); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// passedByRaw is passedBy for the handlers among which a gate is, or else what it is within.
func passedByRaw(handlers []json.RawMessage, within string) error {
	shut, gates := false, false
	for _, raw := range handlers {
		var handler struct {
			Name      string          `json:"handler"`
			Responses json.RawMessage `json:"handle_response"`
		}
		if json.Unmarshal(raw, &handler) != nil {
			return nil // an error of Caddy's
		}
		gate := handler.Name == "authgate"
		if gate && within == "" || within != "" && handler.Name == within && strings.Contains(string(raw), `"authgate"`) {
			switch {
			case shut:
				return errShutOff
			case gates:
				return errTwoGates
			}
		}
		gates = gates || gate
		shut = shut || handler.Name == "static_response" || handler.Name == "error" || handler.Name == "reverse_proxy" && handler.Responses == nil
	}
	return nil
}

// checkMount refuses a gate whose own pages requests do not get to, as a matcher of paths leaves them out and no other gate
// is beside it: whoever it sends to sign in finds nothing.
func (h *Handler) checkMount(list caddyhttp.RouteList, at int) error {
	sets := list[at].MatcherSets
	if len(sets) == 0 {
		return nil
	}
	mount := h.Path
	if mount == "" {
		mount = "/auth"
	}
	for _, set := range sets {
		if len(set) != 1 {
			return nil
		}
		var paths []string
		switch matcher := set[0].(type) {
		case caddyhttp.MatchPath:
			paths = matcher
		case *caddyhttp.MatchPath:
			paths = *matcher
		default:
			return nil
		}
		for _, path := range paths {
			// A pattern of another form may have them.
			fixed, _, _ := strings.Cut(strings.ToLower(path), "*")
			if strings.ContainsAny(fixed, "?[{%") || path == "" || fixed == "" || strings.HasPrefix(mount+"/", fixed) && fixed != strings.ToLower(path) || strings.HasPrefix(fixed, mount+"/") {
				return nil
			}
		}
	}
	for i, route := range list {
		if i == at {
			continue
		}
		for _, handler := range route.Handlers {
			if hasGate(handler) {
				return nil
			}
		}
		for _, raw := range route.HandlersRaw {
			if strings.Contains(string(raw), `"authgate"`) {
				return nil
			}
		}
	}
	return fmt.Errorf("its own pages and routes are at %s/*, and the matcher before it leaves them out: nobody can sign in; "+
		"write authgate without a matcher, and as a rule what is public: allow anyone <path>..., or another path", mount)
}

// hasGate reports whether a handler is a gate or has one in it.
func hasGate(handler caddyhttp.MiddlewareHandler) bool {
	switch handler := handler.(type) {
	case *Handler:
		return true
	case *caddyhttp.Subroute:
		for _, route := range handler.Routes {
			for _, inner := range route.Handlers {
				if hasGate(inner) {
					return true
				}
			}
		}
	}
	return false
}
