package gateway

import (
	"errors"
	"net/http"
	"slices"
)

// AdminRole is the role of those who administer users, invites and the rest.
const AdminRole = "admin"

// administered lets in who is an administrator by the store at this moment: an access token does not know that the role was
// taken away, the user disabled or the session ended on another instance. Where fresh is set, which is where something
// is changed, the sign-in must be a fresh one: a session that was left open must not be enough to hand out roles.
// What is served finds in the visitor the identity as the store has it.
func (g *Gateway) administered(fresh bool, do serve) serve {
	return signedIn(func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		ctx, now := r.Context(), g.realm.Now()
		s, err := g.realm.Stores.Sessions.Session(ctx, v.identity.SessionID)
		switch {
		case err != nil:
			return err
		case !s.Live(now), !g.mayUse(s), s.UserID != v.identity.Subject:
			return errSignedOut.because(errors.New("gateway: administration: the session is not good here, or no longer"))
		}
		id, err := g.realm.identityOf(ctx, s)
		switch {
		case err != nil:
			return err
		case !slices.Contains(id.Roles, AdminRole):
			return errForbidden
		case fresh && now.Sub(id.AuthTime()) >= g.realm.Fresh:
			return errStepUp.asking(nil, g.realm.Fresh)
		}
		asked := *v
		asked.identity = id
		return do(w, r, &asked)
	})
}
