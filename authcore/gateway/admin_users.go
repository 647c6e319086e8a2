package gateway

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

// adminUserRoutes answers the routes by which users are administered.
func (g *Gateway) adminUserRoutes() map[string]route {
	if g.realm.Stores.Directory == nil {
		return nil
	}
	return map[string]route{
		"admin/roles":                 {get: g.administered(false, g.listRoles)},
		"admin/users":                 {get: g.administered(false, g.listUsers)},
		"admin/users/*":               {get: g.administered(false, g.showUser), delete: g.administered(true, g.deleteUser)},
		"admin/users/*/roles":         {post: g.administered(true, g.grantRole)},
		"admin/users/*/roles/*":       {delete: g.administered(true, g.revokeRole)},
		"admin/users/*/disable":       {post: g.administered(true, g.disableUser)},
		"admin/users/*/enable":        {post: g.administered(true, g.enableUser)},
		"admin/users/*/unlock":        {post: g.administered(true, g.unlockUser)},
		"admin/users/*/sessions":      {delete: g.administered(true, g.endSessionsOf)},
		"admin/users/*/sessions/*":    {delete: g.administered(true, g.endSessionOf)},
		"admin/users/*/tokens/*":      {delete: g.administered(true, g.deleteTokenOf)},
		"admin/users/*/credentials/*": {delete: g.administered(true, g.removeCredentialOf)},
	}
}

// listedUserView is a user as administrators see them in a list.
type listedUserView struct {
	ID       string            `json:"id"`
	Username string            `json:"username"`
	Name     string            `json:"name"`
	Email    string            `json:"email"`
	Roles    []string          `json:"roles"`
	Granted  []string          `json:"granted"` // those of the roles that the configuration grants
	Methods  []authcore.Method `json:"methods"` // kinds of the ways to sign in
	Disabled bool              `json:"disabled"`
	Created  string            `json:"created"`
	LastSeen string            `json:"last_seen,omitempty"` // absent: never
}

func viewListed(u ListedUser) listedUserView {
	v := listedUserView{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, Roles: append([]string{}, u.Roles...),
		Granted: append([]string{}, u.Granted...), Methods: append([]authcore.Method{}, u.Methods...), Disabled: u.Disabled,
		Created: timestamp(u.Created),
	}
	if !u.LastSeen.IsZero() {
		v.LastSeen = timestamp(u.LastSeen)
	}
	return v
}

// shownUserView is a user as administrators see them alone.
type shownUserView struct {
	listedUserView
	ChainRoles     []chainRoleView  `json:"chain_roles"` // had at this moment by what is on chains
	Credentials    []credentialView `json:"credentials"`
	Sessions       []openView       `json:"sessions"`
	Tokens         []tokenView      `json:"tokens"`
	SuspendedUntil string           `json:"suspended_until,omitempty"` // of password sign-in; absent: it is not
}

// chainRoleView is a role that a wallet has by what is on a chain.
type chainRoleView struct {
	Role    string `json:"role"`
	Holding string `json:"holding"` // as in the configuration
}

// What a query of users may be, in characters and in users.
const (
	maxSearch = 256
	maxUsers  = 200
)

// listUsers is GET admin/users.
func (g *Gateway) listUsers(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	q, err := userQuery(r.URL)
	if err != nil {
		return err
	}
	list, err := g.realm.Users(r.Context(), q)
	if err != nil {
		return err
	}
	answer := struct {
		Users []listedUserView `json:"users"`
		Next  string           `json:"next,omitempty"`
		Total int              `json:"total"`
	}{[]listedUserView{}, list.Next, list.Total}
	for _, u := range list.Users {
		answer.Users = append(answer.Users, viewListed(u))
	}
	return writeJSON(w, r, answer)
}

var errInvalidQuery = &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: "The query of this address is not one that is expected here."}

// userQuery reads what users are asked for. Parameters nobody asks for are ignored, as members of bodies are; one that is
// there twice is read in two ways by different programs, and refused.
func userQuery(u *url.URL) (q authcore.UserQuery, err error) {
	in, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return q, errInvalidQuery.because(err)
	}
	for _, name := range []string{"search", "role", "disabled", "order", "desc", "after", "limit"} {
		if len(in[name]) > 1 {
			return q, errInvalidQuery
		}
	}
	q.Search, q.Role, q.After = in.Get("search"), in.Get("role"), in.Get("after")
	if !utf8.ValidString(q.Search) || utf8.RuneCountInString(q.Search) > maxSearch || q.Role != "" && !validRole(q.Role) {
		return q, errInvalidQuery
	}
	if in.Has("disabled") {
		disabled, known := truths[in.Get("disabled")]
		if !known {
			return q, errInvalidQuery
		}
		q.Disabled = &disabled
	}
	q.Order = authcore.UserOrder(in.Get("order"))
	if !slices.Contains([]authcore.UserOrder{"", authcore.ByUsername, authcore.ByCreated}, q.Order) {
		return q, errInvalidQuery
	}
	known := false
	if q.Descending, known = truths[in.Get("desc")]; !known && in.Has("desc") {
		return q, errInvalidQuery
	}
	if in.Has("limit") {
		if q.Limit, err = strconv.Atoi(in.Get("limit")); err != nil || q.Limit < 1 || q.Limit > maxUsers {
			return q, errInvalidQuery
		}
	}
	return q, nil
}

var truths = map[string]bool{"true": true, "false": false}

// showUser is GET admin/users/{id}.
func (g *Gateway) showUser(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	u, err := g.realm.Stores.Users.User(ctx, r.PathValue("name"))
	if err != nil {
		return noUser(err)
	}
	listed, err := g.realm.listed(ctx, u)
	if err != nil {
		return err
	}
	view := shownUserView{listedUserView: viewListed(listed), ChainRoles: []chainRoleView{}, Credentials: []credentialView{}}
	credentials, err := g.realm.Stores.Credentials.CredentialsOf(ctx, u.ID)
	if err != nil {
		return err
	}
	var wallets []string
	for _, c := range credentials {
		view.Credentials = append(view.Credentials, g.realm.viewCredential(ctx, c))
		if c.Kind == authcore.Wallet {
			wallets = append(wallets, c.Key)
		}
	}
	// A chain that cannot be asked keeps nobody from being shown.
	roles, failed := g.realm.chainRoles(ctx, wallets)
	if failed != nil {
		g.realm.Logger.LogAttrs(ctx, slog.LevelWarn, "roles from chains may be missing", slog.String("user", u.ID), slog.String("cause", failed.Error()))
	}
	for _, one := range roles {
		if one.Has {
			view.ChainRoles = append(view.ChainRoles, chainRoleView{one.Role, one.Holding})
		}
	}
	if view.Sessions, err = g.openSessions(ctx, u.ID, v.identity.SessionID); err != nil {
		return err
	}
	if view.Tokens, err = g.tokensOf(ctx, u.ID); err != nil {
		return err
	}
	until, err := g.realm.Suspended(ctx, u.ID)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		view.SuspendedUntil = timestamp(until)
	}
	return writeJSON(w, r, struct {
		User shownUserView `json:"user"`
	}{view})
}

// listRoles is GET admin/roles.
func (g *Gateway) listRoles(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	return writeJSON(w, r, struct {
		Roles []string `json:"roles"`
	}{g.realm.Roles()})
}

// grantRole is POST admin/users/{id}/roles.
func (g *Gateway) grantRole(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	role := in.required("role")
	if in.err != nil {
		return in.err
	}
	known, err := g.realm.GrantRole(r.Context(), g.trace(r, v), r.PathValue("name"), role)
	if err != nil {
		return noUser(err)
	}
	answer := struct {
		Role    string `json:"role"`
		Warning string `json:"warning,omitempty"`
	}{Role: role}
	if !known {
		answer.Warning = "No rule or grant of the configuration names this role."
	}
	return writeJSON(w, r, answer)
}

// revokeRole is DELETE admin/users/{id}/roles/{role}.
func (g *Gateway) revokeRole(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.RevokeRole(r.Context(), g.trace(r, v), r.PathValue("of"), r.PathValue("name"), false))
}

// disableUser is POST admin/users/{id}/disable.
func (g *Gateway) disableUser(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.Disable(r.Context(), g.trace(r, v), r.PathValue("name"), false))
}

// enableUser is POST admin/users/{id}/enable.
func (g *Gateway) enableUser(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.Enable(r.Context(), g.trace(r, v), r.PathValue("name")))
}

// unlockUser is POST admin/users/{id}/unlock.
func (g *Gateway) unlockUser(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if g.passwords == nil {
		return errNotFound
	}
	return done(w, g.realm.Lift(r.Context(), g.trace(r, v), r.PathValue("name")))
}

// deleteUser is DELETE admin/users/{id}.
func (g *Gateway) deleteUser(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.Delete(r.Context(), g.trace(r, v), r.PathValue("name"), false))
}

// endSessionsOf is DELETE admin/users/{id}/sessions.
func (g *Gateway) endSessionsOf(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.EndSessions(r.Context(), g.trace(r, v), r.PathValue("name")))
}

// endSessionOf is DELETE admin/users/{id}/sessions/{id}.
func (g *Gateway) endSessionOf(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, noSession(g.realm.EndSession(r.Context(), g.trace(r, v), r.PathValue("of"), r.PathValue("name"))))
}

// deleteTokenOf is DELETE admin/users/{id}/tokens/{id}.
func (g *Gateway) deleteTokenOf(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.DeleteToken(r.Context(), g.trace(r, v), r.PathValue("of"), r.PathValue("name")))
}

// removeCredentialOf is DELETE admin/users/{id}/credentials/{id}.
func (g *Gateway) removeCredentialOf(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return done(w, g.realm.RemoveCredential(r.Context(), g.trace(r, v), r.PathValue("of"), r.PathValue("name")))
}

// done answers that a change was made, or why not.
func done(w http.ResponseWriter, err error) error {
	if err != nil {
		return noUser(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
