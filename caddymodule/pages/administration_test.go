package pages

import (
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// Administrators find the way to their pages from their own, and nobody else is shown one.
func TestProfileLeadsAdministratorsToAdministration(t *testing.T) {
	for role, want := range map[string]bool{gateway.AdminRole: true, "administrator": false} {
		id := identity()
		id.Roles = []string{"editor", role}
		body := serve(t, gateway.Page{Name: "account-profile", Identity: id}).Body.String()
		if got := strings.Contains(body, `/admin"`); got != want {
			t.Errorf("%s: %v in\n%s", role, got, body)
		}
	}
}
