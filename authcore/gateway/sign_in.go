package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/session"
)

// userView is a user as routes tell it. Lists are never null.
type userView struct {
	ID       string            `json:"id"`
	Username string            `json:"username"`
	Name     string            `json:"name"`
	Email    string            `json:"email"`
	Roles    []string          `json:"roles"`
	Wallets  []string          `json:"wallets"`
	Keys     []string          `json:"keys,omitempty"` // of programs
	Methods  []authcore.Method `json:"methods"`
}

func viewUser(id *authcore.Identity) userView {
	return userView{
		ID: id.Subject, Username: id.Username, Name: id.Name, Email: id.Email,
		Roles: append([]string{}, id.Roles...), Wallets: append([]string{}, id.Wallets...), Keys: id.Keys, Methods: methodsOf(id),
	}
}

func methodsOf(id *authcore.Identity) []authcore.Method {
	m := make([]authcore.Method, len(id.Methods))
	for i, use := range id.Methods {
		m[i] = use.Method
	}
	return m
}

// timestamp is how routes tell times: RFC 3339 in UTC.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ending is how a client wants a sign-in to end.
type ending struct {
	cookie   bool   // with a session cookie; else with tokens
	returnTo string // as the client wrote it, not safe yet
	device   string // by which a browser is known again, with the session cookie; may be empty
	// holds is asked once the session is open, which by then ends with all others of its user: whether what was proven is
	// still so. It may be nil.
	holds func(context.Context) error
}

func (o *object) ending() ending {
	how, given := o.optional("session")
	if given && how != "cookie" {
		o.fail("session", `is not "cookie"`)
	}
	to, _ := o.optional("return_to")
	return ending{cookie: given, returnTo: to}
}

// tokensView is how a sign-in ends for a program (RFC 6749 section 5.1).
type tokensView struct {
	AccessToken  string   `json:"access_token"`
	RefreshToken string   `json:"refresh_token"`
	TokenType    string   `json:"token_type"`
	ExpiresIn    int64    `json:"expires_in"`
	User         userView `json:"user"`
}

func (g *Gateway) writeTokens(w http.ResponseWriter, r *http.Request, id *authcore.Identity, access string, expires time.Time, refresh string) error {
	return writeJSON(w, r, tokensView{
		AccessToken: access, RefreshToken: refresh, TokenType: "Bearer",
		ExpiresIn: expires.Unix() - g.realm.Now().Unix(), User: viewUser(id),
	})
}

// signIn opens a session for a user who has proved who it is, and answers in the way that was asked for. The session is
// always a new one: whoever planted a cookie in the browser before (session fixation) holds nothing.
func (g *Gateway) signIn(w http.ResponseWriter, r *http.Request, v *visitor, userID string, use authcore.MethodUse, end ending) error {
	ctx := r.Context()
	var s authcore.Session
	var secret string
	var over []string
	by := g.trace(r, v)
	err := g.realm.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) (err error) {
		s, secret, over, err = g.realm.openWithin(ctx, tx, session.Opening{
			UserID: userID, Origin: g.home(), Use: use, Cookie: end.cookie, ClientIP: by.Client, UserAgent: by.UserAgent,
		}, by, "")
		return err
	})
	if err != nil {
		return err
	}
	g.realm.outlived(ctx, userID, over)
	by.Actor, by.SessionID = userID, s.ID
	v.tried = userID
	id, access, expires, err := g.proven(ctx, s, end)
	if err != nil {
		// Nobody will ever hold its secret. Where this fails too, the session expires.
		_ = g.realm.endSession(context.WithoutCancel(ctx), sessionEnd{authcore.EventSessionEnded, "refused", by}, s.ID)
		return err
	}
	if !end.cookie {
		return g.writeTokens(w, r, id, access, expires, secret)
	}
	g.endReplaced(r, v)
	replaceCookie(w.Header(), g.newCookie(s, secret, access))
	if end.device != "" {
		w.Header().Add("Set-Cookie", g.cookie.setDevice(end.device))
	}
	return writeJSON(w, r, struct {
		User     userView `json:"user"`
		ReturnTo string   `json:"return_to"`
	}{viewUser(id), g.safeReturn(end.returnTo)})
}

// proven answers what access does, where what opened the session still holds.
func (g *Gateway) proven(ctx context.Context, s authcore.Session, end ending) (*authcore.Identity, string, time.Time, error) {
	if end.holds != nil {
		if err := end.holds(ctx); err != nil {
			return nil, "", time.Time{}, err
		}
	}
	return g.access(ctx, s)
}

// endReplaced ends the session whose cookie is about to be replaced. The new sign-in does not depend on it.
func (g *Gateway) endReplaced(r *http.Request, v *visitor) {
	ctx := r.Context()
	if v.via != byCookie {
		return
	}
	old, err := g.realm.sessions.Verify(ctx, v.secret)
	if err == nil {
		err = g.realm.endSession(ctx, sessionEnd{authcore.EventSessionEnded, "replaced", g.trace(r, v)}, old.ID)
	}
	if err != nil {
		g.realm.Logger.LogAttrs(ctx, slog.LevelDebug, "replaced session not ended", slog.String("cause", err.Error()))
	}
}
