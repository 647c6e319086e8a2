package gateway

import (
	"net/http"
	"strings"
)

// adminPageRoutes answers the routes of the pages on which people administer. What they show and do goes through the
// routes for programs below admin/.
func (g *Gateway) adminPageRoutes() map[string]route {
	if g.site.Pages == nil || g.realm.Stores.Directory == nil {
		return nil
	}
	routes := map[string]route{}
	for _, path := range []string{"admin", "admin/user", "admin/invitations", "admin/access", "admin/log"} {
		routes[path] = route{get: g.showAdministration(strings.ReplaceAll(path, "/", "-"))}
	}
	return routes
}

// showAdministration answers what shows a page to administrators.
func (g *Gateway) showAdministration(name string) serve {
	show := g.administered(false, func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		return g.servePage(w, r, g.page(name, http.StatusOK, v.identity))
	})
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		if v.err == nil && v.identity == nil {
			return g.sendToSignIn(w, r, v)
		}
		return show(w, r, v)
	}
}
