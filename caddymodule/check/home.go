package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// home looks at the site where people sign in for one that has no sign-in of its own. Sites hand a sign-in over only to those
// of the same configuration.
func (w *walk) home(g event) {
	if g.gate.SignInAt == "" {
		return
	}
	at := gateway.CanonicalOrigin(g.gate.SignInAt)
	var there []event
	for _, other := range w.events {
		if other.kind == gates && !other.inErrors && gateway.CanonicalOrigin(other.gate.Origin) == at {
			there = append(there, other)
		}
	}
	scheme := func(origin string) string { s, _, _ := strings.Cut(origin, "://"); return s }
	switch {
	case len(there) == 0:
		w.find(Error, "sign_in_at_unknown", g, fmt.Sprintf("no site of this configuration with authgate has the origin %s, and one of another configuration hands no sign-in over: "+
			"whoever is signed out cannot sign in", g.gate.SignInAt), "write the site with authgate into this configuration, or name one that is there")
	case !slices.ContainsFunc(there, func(other event) bool { return other.gate.SignInAt == "" }):
		w.find(Error, "sign_in_at_away", g, fmt.Sprintf("%s has no sign-in of its own either: it sends people on to %s", g.gate.SignInAt, there[0].gate.SignInAt),
			"name the site where the sign-in is: sign_in_at "+there[0].gate.SignInAt)
	case scheme(at) != scheme(gateway.CanonicalOrigin(g.gate.Origin)):
		w.find(Error, "sign_in_at_scheme", g, fmt.Sprintf("the site is %s and its sign-in at %s: one of them is not https, and no sign-in is handed over",
			g.gate.Origin, g.gate.SignInAt), "write both with https")
	default:
		return
	}
	w.seek("sign_in_at", g.gate.SignInAt)
}
