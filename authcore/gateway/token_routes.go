package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

const (
	maxTokens        = 100 // of one user
	maxPersonalRoles = 64  // of one token
	maxPersonalPaths = 64
	maxPersonalPath  = 1024 // bytes
	longestPersonal  = 10 * 366 * 24 * time.Hour
)

var (
	errPersonal     = &Error{Status: http.StatusForbidden, Code: "forbidden", Detail: "This cannot be done with a personal access token. Sign in."}
	errNoToken      = &Error{Status: http.StatusNotFound, Code: "token_not_found", Detail: "There is no such personal access token."}
	errInvalidToken = &Error{Status: http.StatusBadRequest, Code: "invalid_token", Detail: "No such token can be made: it has a name, roles that you have, and paths as rules have them, and is good for ten years at most."}
	errManyTokens   = &Error{Status: http.StatusConflict, Code: "too_many_tokens", Detail: "There are 100 personal access tokens already. Delete one first."}
)

// tokenRoutes answers the routes by which people manage their personal access tokens.
func (g *Gateway) tokenRoutes() map[string]route {
	return map[string]route{
		"tokens":   {get: signedIn(g.listTokens), post: signedIn(g.createToken)},
		"tokens/*": {delete: signedIn(g.deleteToken)},
	}
}

// tokenView is a personal access token as routes tell it to its owner.
type tokenView struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Token    string   `json:"token,omitempty"` // only in the answer to its making
	Created  string   `json:"created"`
	Expires  string   `json:"expires,omitempty"`   // absent: never
	LastUsed string   `json:"last_used,omitempty"` // absent: never
	Roles    []string `json:"roles,omitzero"`      // absent: all that its owner has
	Paths    []string `json:"paths,omitempty"`     // absent: any
}

func viewToken(t authcore.PersonalAccessToken) tokenView {
	v := tokenView{ID: t.ID, Name: t.Name, Created: timestamp(t.Created), Paths: t.Paths}
	if !t.Expires.IsZero() {
		v.Expires = timestamp(t.Expires)
	}
	if !t.LastUsed.IsZero() {
		v.LastUsed = timestamp(t.LastUsed)
	}
	if !t.AllRoles {
		v.Roles = append([]string{}, t.Roles...)
	}
	return v
}

// listTokens is GET tokens.
func (g *Gateway) listTokens(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if _, err := g.realm.presentUser(ctx, v.identity); err != nil {
		return err
	}
	views, err := g.tokensOf(ctx, v.subject())
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		Tokens []tokenView `json:"tokens"`
	}{views})
}

// tokensOf answers the personal access tokens of a user as routes tell them.
func (g *Gateway) tokensOf(ctx context.Context, userID string) ([]tokenView, error) {
	all, err := g.realm.Tokens(ctx, userID)
	views := []tokenView{}
	for _, t := range all {
		views = append(views, viewToken(t))
	}
	return views, err
}

// createToken is POST tokens.
func (g *Gateway) createToken(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	in.required("name")
	t := authcore.PersonalAccessToken{
		UserID: v.subject(), Origin: g.home(), Name: in.label("name"), AllRoles: !in.has("roles"), Roles: in.texts("roles"), Paths: in.texts("paths"),
	}
	lasts, noPaths := time.Duration(min(in.number("expires_in"), uint64(longestPersonal/time.Second)+1))*time.Second, in.has("paths") && len(t.Paths) == 0
	if in.err != nil {
		return in.err
	}
	ctx := r.Context()
	owner, err := g.realm.freshUser(ctx, v.identity)
	if err != nil {
		return err
	}
	if noPaths {
		return errInvalidToken.because(errors.New("gateway: token: paths are named, and there are none"))
	}
	if err := g.countChange(w, r, v.subject()); err != nil {
		return err
	}
	t, text, err := g.realm.createToken(ctx, g.trace(r, v), v.identity.SessionID, owner, t, lasts)
	if err != nil {
		return err
	}
	view := viewToken(t)
	view.Token = text
	w.Header()["Content-Type"] = []string{"application/json"}
	return writeJSONBody(w, r, http.StatusCreated, view)
}

// deleteToken is DELETE tokens/{id}. It asks for no fresh sign-in: who finds that a token has leaked must not be kept from
// ending it.
func (g *Gateway) deleteToken(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if _, err := g.realm.presentUser(ctx, v.identity); err != nil {
		return err
	}
	return done(w, g.realm.DeleteToken(ctx, g.trace(r, v), v.subject(), r.PathValue("name")))
}

// createToken makes a token for its owner, the user of a session, good for as long as it says; zero: for ever. It answers what
// is shown this once. The owner is told by mail: a token outlives the session through which somebody else may have made it.
func (r *Realm) createToken(ctx context.Context, by authcore.Trace, sessionID string, owner authcore.User, t authcore.PersonalAccessToken, lasts time.Duration) (authcore.PersonalAccessToken, string, error) {
	invalid := func(why string) (authcore.PersonalAccessToken, string, error) {
		return t, "", errInvalidToken.because(fmt.Errorf("gateway: token: %s", why))
	}
	now := r.Now()
	// No more than the user has at this moment, which an access token need not know.
	id, err := r.present(ctx, sessionID, now)
	if err != nil {
		return t, "", err
	}
	slices.Sort(t.Roles)
	t.Roles = slices.Compact(t.Roles)
	switch {
	case t.Name == "":
		return invalid("it has no name")
	case lasts > longestPersonal:
		return invalid("it is good for too long")
	case len(t.Roles) > maxPersonalRoles || len(t.Paths) > maxPersonalPaths:
		return invalid("it has too many roles or paths")
	case slices.ContainsFunc(t.Roles, func(role string) bool { return !slices.Contains(id.Roles, role) }):
		return invalid("it has a role that its owner has not")
	case slices.ContainsFunc(t.Paths, func(path string) bool { return len(path) > maxPersonalPath }):
		return invalid("a path is too long")
	}
	if len(t.Paths) > 0 {
		if _, err := policy.CompilePaths(t.Paths); err != nil {
			e := errInvalidToken.because(err)
			e.reason = "paths"
			return t, "", e
		}
	}
	var text string
	if t.ID, text, err = r.newPersonal(); err != nil {
		return t, "", err
	}
	t.SecretHash, t.Created = authcore.HashSecret(text), now
	if lasts > 0 {
		t.Expires = now.Add(lasts)
	}
	tell, err := r.told(ctx, owner, authcore.Mail{Kind: authcore.MailTokenCreated, Label: t.Name, Until: t.Expires}, by)
	if err != nil {
		return t, "", err
	}
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		// The threat: who has a stolen session makes a token while its owner recovers the account, which ends that session
		// and deletes the tokens that there are.
		if _, err := s.Sessions.Session(ctx, sessionID); err != nil {
			return err
		}
		// Here and not before: of several requests at once each would find the others' tokens missing.
		all, err := s.PersonalAccessTokens.PersonalAccessTokensOf(ctx, t.UserID)
		if err != nil {
			return err
		}
		if len(all) >= maxTokens {
			return errManyTokens
		}
		if err := s.PersonalAccessTokens.CreatePersonalAccessToken(ctx, t); err != nil {
			return err
		}
		if err := r.note(ctx, s, authcore.EventTokenCreated, "", t.UserID, by, t.Name); err != nil {
			return err
		}
		return tell(s)
	})
	return t, text, err
}

// Tokens answers the personal access tokens of a user, expired ones too that are not deleted yet, oldest first.
func (r *Realm) Tokens(ctx context.Context, userID string) ([]authcore.PersonalAccessToken, error) {
	r.notePersonal(ctx) // what is known here of their last use
	return r.Stores.PersonalAccessTokens.PersonalAccessTokensOf(ctx, userID)
}

// DeleteToken deletes a personal access token of a user, and ends what is under way with it, on all instances. The user is
// told by mail where it was somebody else. It is authcore.ErrPersonalAccessTokenNotFound where it is not one of theirs.
func (r *Realm) DeleteToken(ctx context.Context, by authcore.Trace, userID, id string) error {
	t, err := r.Stores.PersonalAccessTokens.PersonalAccessToken(ctx, id)
	if err == nil && t.UserID != userID {
		err = fmt.Errorf("gateway: delete token: %w", authcore.ErrPersonalAccessTokenNotFound)
	}
	if err != nil {
		return err
	}
	ended := personalSession + id
	if short := r.Challenges.Notices; short != nil { // see endSessions
		if err := short.Notify(ctx, sessionEnded(ended)); err != nil {
			return err
		}
	}
	code, tell := "owner", func(authcore.Stores) error { return nil }
	if by.Actor != userID {
		code = "administrator"
		u, err := r.Stores.Users.User(ctx, userID)
		if err != nil {
			return err
		}
		if tell, err = r.told(ctx, u, authcore.Mail{Kind: authcore.MailTokenDeleted, Label: t.Name}, by); err != nil {
			return err
		}
	}
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if code == "administrator" {
			if err := r.stillAdministers(ctx, s, by); err != nil {
				return err
			}
		}
		if err := s.PersonalAccessTokens.DeletePersonalAccessToken(ctx, userID, id); err != nil {
			return err
		}
		if err := r.note(ctx, s, authcore.EventTokenDeleted, code, userID, by, t.Name); err != nil {
			return err
		}
		if err := tell(s); err != nil || r.Challenges.Notices != nil || s.Notices == nil {
			return err
		}
		return s.Notices.Notify(ctx, sessionEnded(ended))
	})
	if err != nil {
		return err
	}
	r.forget(ended)
	return nil
}
