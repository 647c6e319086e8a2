package gateway

import (
	"net/http"

	"github.com/caddy-authgate/authgate/authcore/password"
)

// requestEmail is POST email/request: it mails a key to the new address of whoever is signed in. Whether the address
// belongs to somebody else is told to that mailbox only.
func (g *Gateway) requestEmail(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	email := in.required("email")
	if in.err != nil {
		return in.err
	}
	// The address is how a password is recovered, so whoever sets it has the account.
	u, err := g.realm.freshUser(ctx, v.identity)
	if err != nil {
		return err
	}
	err = g.passwords.RequestEmail(ctx, password.RequestingEmail{
		UserID: u.ID, Email: email, By: g.trace(r, v), Link: g.linkTo("email"), Count: g.countMail(w, r),
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// confirmEmail is POST email/confirm: the holder of the mailbox shows the key, signed in as the user who asked for it.
func (g *Gateway) confirmEmail(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	key := in.required("key")
	if in.err != nil {
		return in.err
	}
	u, err := g.realm.presentUser(ctx, v.identity)
	if err != nil {
		return err
	}
	if _, err := g.passwords.ConfirmEmail(ctx, password.ConfirmingEmail{UserID: u.ID, Key: key, By: g.trace(r, v)}); err != nil {
		return err
	}
	// Access tokens tell the old address, and what was granted to it.
	g.realm.changed(ctx, u.ID)
	id, err := g.realm.present(ctx, v.identity.SessionID, g.realm.Now())
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		User userView `json:"user"`
	}{viewUser(id)})
}
