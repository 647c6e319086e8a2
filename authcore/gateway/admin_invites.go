package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// adminInviteRoutes answers the routes by which invites and recovery links are made.
func (g *Gateway) adminInviteRoutes() map[string]route {
	return map[string]route{
		"admin/invites":         {get: g.administered(false, g.listInvites), post: g.administered(true, g.createInvite)},
		"admin/invites/*":       {delete: g.administered(true, g.revokeInvite)},
		"admin/users/*/recover": {post: g.administered(true, g.createRecovery)},
	}
}

// inviteView is an invite as routes tell it to administrators.
type inviteView struct {
	ID      string   `json:"id"`
	Roles   []string `json:"roles"`
	Note    string   `json:"note"`
	By      string   `json:"by"` // the id of a user, or "operator"
	Created string   `json:"created"`
	Expires string   `json:"expires"`
	Uses    int      `json:"uses"`
	Used    int      `json:"used"`
	Live    bool     `json:"live"`
}

func viewInvite(i OpenInvite) inviteView {
	return inviteView{
		ID: i.ID, Roles: append([]string{}, i.Roles...), Note: i.Note, By: i.By, Created: timestamp(i.Created), Expires: timestamp(i.Expires),
		Uses: i.Uses, Used: i.Used, Live: i.Live,
	}
}

// base is where the routes of this site are, as a URL.
func (g *Gateway) base() string { return g.origin.text + g.site.Path }

// listInvites is GET admin/invites.
func (g *Gateway) listInvites(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	all, err := g.realm.Invites(r.Context())
	if err != nil {
		return err
	}
	views := make([]inviteView, len(all))
	for i, one := range all {
		views[i] = viewInvite(one)
	}
	return writeJSON(w, r, struct {
		Invites []inviteView `json:"invites"`
	}{views})
}

// createInvite is POST admin/invites. The link is told this once.
func (g *Gateway) createInvite(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	roles, uses, seconds := in.texts("roles"), in.number("uses"), in.number("expires_in")
	note, _ := in.optional("note")
	if in.err != nil {
		return in.err
	}
	n := NewInvite{Base: g.base(), Roles: roles, Note: note, Uses: int(min(uses, math.MaxInt32)), Expires: time.Duration(min(seconds, math.MaxInt32)) * time.Second}
	i, link, err := g.realm.CreateInvite(r.Context(), g.trace(r, v), n)
	switch {
	case errors.Is(err, ErrInvalidInvite):
		return errInvalidInvite.because(err)
	case err != nil:
		return err
	}
	code, err := drawQR(link)
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		Invite inviteView `json:"invite"`
		Link   string     `json:"link"`
		QR     string     `json:"qr"` // the link as an SVG
	}{viewInvite(OpenInvite{Invite: i, Live: true}), link, code})
}

// revokeInvite is DELETE admin/invites/{id}.
func (g *Gateway) revokeInvite(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := g.realm.RevokeInvite(r.Context(), g.trace(r, v), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// createRecovery is POST admin/users/{id}/recover. The link is told this once.
func (g *Gateway) createRecovery(w http.ResponseWriter, r *http.Request, v *visitor) error {
	link, expires, err := g.realm.Recover(r.Context(), g.trace(r, v), r.PathValue("name"), g.base())
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return errNoUser.because(err)
	case err != nil:
		return err
	}
	return writeJSON(w, r, struct {
		Link    string `json:"link"`
		Expires string `json:"expires"`
	}{link, timestamp(expires)})
}

// checkInvite is POST invite/check: who invites, to what, and until when. It spends nothing.
func (g *Gateway) checkInvite(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	key := in.required("invite")
	if in.err != nil {
		return in.err
	}
	i, err := g.realm.invited(ctx, key)
	if err != nil {
		return err
	}
	by := ""
	if i.By != authcore.Operator {
		u, err := g.realm.Stores.Users.User(ctx, i.By)
		switch {
		case err == nil && u.Name != "":
			by = u.Name
		case err == nil:
			by = u.Username
		case !errors.Is(err, authcore.ErrUserNotFound):
			return err
		}
	}
	return writeJSON(w, r, struct {
		By      string   `json:"by,omitempty"` // absent: an operator, or somebody who is gone
		Roles   []string `json:"roles"`
		Expires string   `json:"expires"`
	}{by, append([]string{}, i.Roles...), timestamp(i.Expires)})
}

var (
	errInvalidInvite = &Error{Status: http.StatusBadRequest, Code: "invalid_invite", Detail: "No such invite can be made: it has 1 to 10000 uses, is good for a minute to a year, and its roles are of letters, digits, '-', '_', '.' and ':'."}
	errNoUser        = &Error{Status: http.StatusNotFound, Code: "user_not_found", Detail: "There is no such account."}
)

// texts answers a list of strings that may be there.
func (o *object) texts(name string) (list []string) {
	if raw := o.members[name]; raw != nil {
		if err := json.Unmarshal(raw, &list); err != nil {
			o.fail(name, "is not a list of strings")
		}
	}
	return list
}
