package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/session"
	"github.com/caddy-authgate/authgate/authcore/token"
)

// refreshTokens is POST token/refresh.
func (g *Gateway) refreshTokens(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	refresh := in.required("refresh_token")
	if in.err != nil {
		return in.err
	}
	ctx := r.Context()
	sid, ok := g.realm.sessions.SessionID(refresh)
	if !ok {
		return errInvalidGrant
	}
	// Everything that can fail comes before the token is spent: a store that goes down half way must leave the client a
	// token that is good, not one that counts as stolen when it is tried again. The id proves nothing yet, so nothing of
	// this is told before Refreshed has compared the secrets.
	s, err := g.realm.Stores.Sessions.Session(ctx, sid)
	if err == nil && !g.mayUse(s) {
		err = errInvalidGrant
	}
	if err == nil {
		err = g.realm.recheck(ctx, s)
	}
	if err == nil {
		id, access, expires, failed := g.access(ctx, s)
		if err = failed; err == nil {
			if _, refresh, err = g.sessionsFor(r, v).Refreshed(ctx, refresh); err == nil {
				return g.writeTokens(w, r, id, access, expires, refresh)
			}
		}
	}
	switch {
	case errors.Is(err, session.ErrReused):
		// A thief may hold access tokens of this family; they are as void as its refresh tokens, here at once and elsewhere
		// where it can be told.
		g.realm.forget(sid)
		if err := g.realm.endSessions(context.WithoutCancel(ctx), sid); err != nil {
			g.realm.Logger.WarnContext(ctx, "other instances not told of a stolen refresh token", "session", sid, "cause", err.Error())
		}
	case errors.Is(err, authcore.ErrSessionNotFound):
		return errInvalidGrant.because(err)
	}
	return err
}

// sessionsFor answers the sessions for a refresh: that a spent token was shown is in the audit log as the reason of the end.
func (g *Gateway) sessionsFor(r *http.Request, v *visitor) *session.Sessions {
	s := g.realm.sessions.In(g.realm.Stores.Sessions)
	s.EndFamily = func(ctx context.Context, of authcore.Session) error {
		return g.realm.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) error {
			if err := tx.Sessions.EndSession(ctx, of.ID); err != nil {
				return err
			}
			by := g.trace(r, v)
			by.SessionID = of.ID
			return g.realm.note(ctx, tx, authcore.EventSessionEnded, "refresh_token_reused", of.UserID, by, "")
		})
	}
	return s
}

// signOut is POST sign-out. It has no body to read. Where the store is down the browser forgets its cookie all the same,
// but the session lives on, and that is told.
func (g *Gateway) signOut(w http.ResponseWriter, r *http.Request, v *visitor) error {
	// Where any page may have sent the form, the answer must not even clear the cookie, which the request need not carry.
	asForm := g.isNavigation(r)
	if asForm && !namesSender(r) {
		return errCrossSite
	}
	if v.via == byNothing || v.via == byCookie {
		replaceCookie(w.Header(), g.clearCookie())
	}
	sid, err := g.sessionToEnd(r, v)
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound), errors.Is(err, token.ErrInvalid):
	case err != nil:
		return err
	case sid != "":
		if at, err := g.realm.signInOf(r.Context(), sid); err != nil {
			return err
		} else if at != "" {
			if err := g.realm.endSession(r.Context(), sessionEnd{authcore.EventSignOut, "", g.trace(r, v)}, at); err != nil {
				return err
			}
		}
		if err := g.realm.endSession(r.Context(), sessionEnd{authcore.EventSignOut, "", g.trace(r, v)}, sid); err != nil {
			return err
		}
	}
	if asForm {
		to := g.site.Path + "/sign-in?return_to=" + url.QueryEscape(g.safeReturn(r.URL.Query().Get("return_to"))) + "#signed-out"
		w.Header()["Location"] = []string{to}
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionToEnd answers the session of what was presented, expired ones too: who signs out late means it as much.
func (g *Gateway) sessionToEnd(r *http.Request, v *visitor) (string, error) {
	switch {
	case v.identity != nil:
		return v.identity.SessionID, nil
	case v.via == byCookie:
		s, err := g.realm.sessions.Verify(r.Context(), v.secret)
		return s.ID, err
	case v.via == byBearer:
		tok, _ := bearerToken(r.Header)
		return g.realm.issuer.SessionID(r.Context(), tok, g.audience)
	}
	return "", nil
}

// showSession is GET session.
func (g *Gateway) showSession(w http.ResponseWriter, r *http.Request, v *visitor) error {
	id := v.identity
	if id.Token {
		return g.showPersonal(w, r, v)
	}
	s, err := g.realm.Stores.Sessions.Session(r.Context(), id.SessionID)
	expires := s.IdleUntil
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		return errSignedOut // ended elsewhere
	case err != nil:
		// Who is signed in stays so while the store is down, for as long as the access token is good and no longer.
		expires = v.ticket.expires
	}
	return writeJSON(w, r, struct {
		User    userView    `json:"user"`
		Session sessionView `json:"session"`
	}{viewUser(id), viewSession(id, expires)})
}

// showPersonal is GET session with a personal access token: nobody has signed in with it, and it may be good for ever.
func (g *Gateway) showPersonal(w http.ResponseWriter, r *http.Request, v *visitor) error {
	id, until, err := g.realm.presentPersonal(r.Context(), v.ticket.personal.id, g.realm.Now())
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		return errSignedOut // deleted elsewhere
	case err != nil:
		id, until = v.identity, v.ticket.expires // as in showSession
	}
	view := sessionView{ID: id.SessionID, Methods: []authcore.Method{}}
	if !until.IsZero() {
		view.Expires = timestamp(until)
	}
	return writeJSON(w, r, struct {
		User    userView    `json:"user"`
		Session sessionView `json:"session"`
	}{viewUser(id), view})
}

// sessionView is the session at hand as routes tell it.
type sessionView struct {
	ID       string            `json:"id"`
	Methods  []authcore.Method `json:"methods"`
	AuthTime string            `json:"auth_time,omitempty"`
	Expires  string            `json:"expires,omitempty"`
}

func viewSession(id *authcore.Identity, expires time.Time) sessionView {
	return sessionView{id.SessionID, methodsOf(id), timestamp(id.AuthTime()), timestamp(expires)}
}
