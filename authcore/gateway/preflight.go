package gateway

import (
	"net/http"

	"github.com/caddy-authgate/authgate/authcore/policy"
)

// judgePreflight answers the decision on an OPTIONS request that is not allowed as it is: that on a CORS preflight, where the
// request is one and a rule lets it through. It goes to the backend as from nobody then, without anything that backends of
// their own would take for credentials: browsers send none with a preflight, and whoever sends some forged it.
func (g *Gateway) judgePreflight(r *http.Request, v *visitor, asked policy.Request, d policy.Decision) policy.Decision {
	method, is := preflightFor(r)
	if !is {
		return d
	}
	preflight, passes := g.policy.JudgePreflight(asked, method)
	if !passes {
		return d
	}
	*v = visitor{}
	for _, name := range []string{"Authorization", "Cookie", keyHeader} {
		delete(r.Header, name)
	}
	if g.site.Identified != nil {
		g.site.Identified(r, nil)
	}
	return preflight
}
