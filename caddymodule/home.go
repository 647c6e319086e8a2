package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// checkHome refuses a sign_in_at that names no site of this configuration with a sign-in of its own: whoever came would be
// sent to where nobody hands a sign-in over. Sites that are provisioned already are known to the realm, and the configuration
// still has the others.
func (h *Handler) checkHome(ctx caddy.Context) error {
	if h.SignInAt == "" {
		return nil
	}
	app, err := ctx.App("authgate")
	if err != nil {
		return err
	}
	homes, aways := app.(*App).realm.Origins()
	for _, m := range ctx.Modules() {
		server, ok := m.(*caddyhttp.App)
		if !ok {
			continue
		}
		text, err := json.Marshal(server.Servers)
		if err != nil {
			return err
		}
		var servers any
		if err := json.Unmarshal(text, &servers); err != nil {
			return err
		}
		for _, other := range handlers(servers) {
			origin := gateway.CanonicalOrigin(other.Origin)
			if other.SignInAt == "" {
				homes = append(homes, origin)
			} else {
				aways = append(aways, origin)
			}
		}
	}
	at := gateway.CanonicalOrigin(h.SignInAt)
	switch {
	case slices.Contains(homes, at):
		return nil
	case slices.Contains(aways, at):
		return fmt.Errorf("sign_in_at %q: this site has no sign-in of its own either; name the one where it is", h.SignInAt)
	}
	slices.Sort(homes)
	known := strings.Join(slices.Compact(homes), ", ")
	if known == "" {
		known = "none"
	}
	return fmt.Errorf("sign_in_at %q: no site with authgate has this origin; those with a sign-in of their own: %s", h.SignInAt, known)
}
