package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

var errNoSession = &Error{Status: http.StatusNotFound, Code: "session_not_found", Detail: "There is no such session, or it has ended."}

// noUser tells that the user in a path is not there. Elsewhere the same error is about who asks.
func noUser(err error) error {
	if errors.Is(err, authcore.ErrUserNotFound) {
		return errNoUser.because(err)
	}
	return err
}

// noSession tells the same of the session in a path.
func noSession(err error) error {
	if errors.Is(err, authcore.ErrSessionNotFound) {
		return errNoSession.because(err)
	}
	return err
}

// openView is a session in a list.
type openView struct {
	ID        string            `json:"id"`
	Created   string            `json:"created"`
	LastSeen  string            `json:"last_seen"`
	Expires   string            `json:"expires"`
	ClientIP  string            `json:"client_ip"`
	UserAgent string            `json:"user_agent"`
	Methods   []authcore.Method `json:"methods"`
	Current   bool              `json:"current"` // the one of who asks
}

// openSessions answers the sessions of a user, oldest first.
func (g *Gateway) openSessions(ctx context.Context, userID, current string) ([]openView, error) {
	all, err := g.realm.Stores.Sessions.SessionsOf(ctx, userID, g.realm.Now())
	views := []openView{}
	for _, s := range all {
		v := openView{
			ID: s.ID, Created: timestamp(s.Created), LastSeen: timestamp(s.LastSeen), Expires: timestamp(s.IdleUntil),
			ClientIP: s.ClientIP, UserAgent: authcore.ClientText(s.UserAgent), Methods: []authcore.Method{}, Current: s.ID == current,
		}
		for _, use := range s.Methods {
			v.Methods = append(v.Methods, use.Method)
		}
		views = append(views, v)
	}
	return views, err
}

// listSessions is GET sessions.
func (g *Gateway) listSessions(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if _, err := g.realm.presentUser(ctx, v.identity); err != nil {
		return err
	}
	views, err := g.openSessions(ctx, v.subject(), v.identity.SessionID)
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		Sessions []openView `json:"sessions"`
	}{views})
}

// endOwnSession is DELETE sessions/{id}.
func (g *Gateway) endOwnSession(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if _, err := g.realm.presentUser(ctx, v.identity); err != nil {
		return err
	}
	return done(w, noSession(g.realm.EndSession(ctx, g.trace(r, v), v.subject(), r.PathValue("name"))))
}

// endOwnSessions is DELETE sessions: all but the one at hand.
func (g *Gateway) endOwnSessions(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if _, err := g.realm.presentUser(ctx, v.identity); err != nil {
		return err
	}
	return done(w, g.realm.EndSessions(ctx, g.trace(r, v), v.subject()))
}

// changeProfile is PATCH profile. A new username needs a fresh sign-in: backends know users by it.
func (g *Gateway) changeProfile(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	var p Profile
	if _, given := in.optional("name"); given {
		name := in.label("name")
		p.Name = &name
	}
	if username, given := in.optional("username"); given {
		username = authcore.FoldUsername(username)
		p.Username = &username
	}
	if in.err != nil {
		return in.err
	}
	if p.Username != nil {
		if _, err = g.realm.freshUser(ctx, v.identity); err == nil {
			err = g.countUsername(w, r, v.subject())
		}
	} else {
		_, err = g.realm.presentUser(ctx, v.identity)
	}
	if err == nil && p.Name != nil {
		err = g.countChange(w, r, v.subject())
	}
	if err != nil {
		return err
	}
	if err := g.realm.ChangeProfile(ctx, g.trace(r, v), v.subject(), p); err != nil {
		return err
	}
	id, err := g.realm.present(ctx, v.identity.SessionID, g.realm.Now())
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		User userView `json:"user"`
	}{viewUser(id)})
}

// roleView is a role of who asks, and where it comes from: "administrator", where one gave it or an invite did,
// "configuration", or else "chain", by what a wallet holds. It may come from both of the first.
type roleView struct {
	Role string   `json:"role"`
	From []string `json:"from"`
}

// showProfile is GET profile: who asks, as the store has it at this moment.
func (g *Gateway) showProfile(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	u, err := g.realm.presentUser(ctx, v.identity)
	if err != nil {
		return err
	}
	id, err := g.realm.present(ctx, v.identity.SessionID, g.realm.Now())
	if err != nil {
		return err
	}
	granted := g.realm.grants.roles(id)
	roles := make([]roleView, len(id.Roles))
	for i, role := range id.Roles {
		roles[i] = roleView{Role: role, From: []string{}}
		if slices.Contains(u.Roles, role) {
			roles[i].From = append(roles[i].From, "administrator")
		}
		if slices.Contains(granted, role) {
			roles[i].From = append(roles[i].From, "configuration")
		}
		if len(roles[i].From) == 0 {
			roles[i].From = append(roles[i].From, "chain")
		}
	}
	return writeJSON(w, r, struct {
		User  userView   `json:"user"`
		Roles []roleView `json:"roles"`
	}{viewUser(id), roles})
}

// ownAccountRoutes answers the routes by which people manage what is theirs.
func (g *Gateway) ownAccountRoutes() map[string]route {
	return map[string]route{
		"profile":    {get: signedIn(g.showProfile), patch: signedIn(g.changeProfile)},
		"sessions":   {get: signedIn(g.listSessions), delete: signedIn(g.endOwnSessions)},
		"sessions/*": {delete: signedIn(g.endOwnSession)},
	}
}
