package gateway

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
)

// Unmanned reports whether nobody can ever come in as it is: there are no accounts, strangers may open none and nothing is
// granted to anybody.
func (r *Realm) Unmanned(ctx context.Context) (bool, error) {
	if r.OpenRegistration || len(r.Grants) > 0 {
		return false, nil
	}
	page, err := r.Stores.Directory.FindUsers(ctx, authcore.UserQuery{Limit: 1})
	return err == nil && len(page.Users) == 0, err
}
