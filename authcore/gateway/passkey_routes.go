package gateway

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

// requestRegistration is POST registration/request: it begins to make a passkey, for a new account or for that of
// whoever is signed in.
func (g *Gateway) requestRegistration(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	if err := g.realm.begun(ctx); err != nil {
		return err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	wanted, _ := in.optional("username")
	invite, _ := in.optional("invite")
	if in.err != nil {
		return in.err
	}
	asks := passkey.Registering{Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r))}
	if v.identity != nil {
		u, err := g.realm.freshUser(ctx, v.identity)
		if err != nil {
			return err
		}
		asks.UserID, asks.Username, asks.DisplayName = u.ID, u.Username, u.Name
	} else {
		if invite != "" {
			i, err := g.realm.invited(ctx, invite)
			if err != nil {
				return err
			}
			asks.Invite = i.KeyHash[:]
		} else if !g.realm.OpenRegistration {
			return errClosedToNew
		}
		asks.New = true
		if asks.UserID, err = g.realm.newID(); err != nil {
			return err
		}
		if asks.Username, err = g.realm.newUsername(wanted); err != nil {
			return err
		}
	}
	begun, err := g.realm.passkeys.BeginRegistration(ctx, asks)
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		ChallengeID string          `json:"challengeID"`
		Options     json.RawMessage `json:"creationOptions"`
	}{begun.ChallengeID, begun.Options})
}

// newUsername answers the username that a new account gets: the one that was wanted, or one that nobody guesses. Whether
// somebody has it is told when the account is opened, to whoever went through the ceremony, and not to whoever asks.
func (r *Realm) newUsername(wanted string) (string, error) {
	if wanted != "" {
		name := authcore.FoldUsername(wanted)
		if !authcore.ValidUsername(name) {
			return "", authcore.ErrInvalidUsername
		}
		return name, nil
	}
	random, err := r.random(5)
	return "user-" + strings.ToLower(base32.StdEncoding.EncodeToString(random)), err
}

// answerRegistration is POST registration/response: it opens an account with the new passkey and signs in, or adds the
// passkey to the account of whoever is signed in.
func (g *Gateway) answerRegistration(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	id, response, name, end := in.required("challengeID"), in.object("credential"), in.label("name"), in.ending()
	if in.err != nil {
		return in.err
	}
	made, err := g.realm.passkeys.FinishRegistration(ctx, passkey.Registration{
		Origin: g.origin.text, Subject: v.subject(), ChallengeID: id, Response: response, Name: name,
	})
	if err != nil {
		return passkeyRefusal(err)
	}
	c := made.Credential
	if c.ID, err = g.realm.newID(); err != nil {
		return err
	}
	if !made.New {
		// The ceremony is bound to who is signed in, and began with a fresh sign-in.
		u, err := g.realm.presentUser(ctx, v.identity)
		if err != nil {
			return err
		}
		if err := g.realm.addCredential(ctx, u, c, g.trace(r, v)); err != nil {
			return err
		}
		return g.writeCredential(w, r, c)
	}
	if !g.realm.OpenRegistration && made.Invite == nil {
		return errClosedToNew // since the ceremony began
	}
	c.LastUsed = c.Created
	u := authcore.User{ID: made.UserID, Username: made.Username, Created: c.Created}
	if err := g.realm.createUser(ctx, u, c, made.Invite, g.trace(r, v)); err != nil {
		return err
	}
	return g.signIn(w, r, v, u.ID, passkeyUse(made.Evidence), end)
}

// passkeyUse is what a ceremony proved.
func passkeyUse(e passkey.Evidence) authcore.MethodUse {
	return authcore.MethodUse{Method: authcore.Passkey, UserVerified: e.UserVerified, DeviceBound: e.DeviceBound}
}

// writeOptions answers how to use a passkey.
func writeOptions(w http.ResponseWriter, r *http.Request, begun passkey.Begun) error {
	return writeJSON(w, r, struct {
		ChallengeID string          `json:"challengeID"`
		Options     json.RawMessage `json:"requestOptions"`
	}{begun.ChallengeID, begun.Options})
}

// requestAuthentication is POST authentication/request.
func (g *Gateway) requestAuthentication(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	if err := g.realm.begun(ctx); err != nil {
		return err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	name, _ := in.optional("username")
	if in.err != nil {
		return in.err
	}
	began := time.Now()
	asks := passkey.Authenticating{
		Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), Username: authcore.FoldUsername(name),
	}
	if name != "" {
		u, err := g.realm.Stores.Users.UserByUsername(ctx, asks.Username)
		if err != nil && !errors.Is(err, authcore.ErrUserNotFound) {
			return err
		}
		asks.UserID = u.ID
	}
	begun, err := g.realm.passkeys.BeginAuthentication(ctx, asks)
	if err != nil {
		return err
	}
	if name != "" {
		if err := untilNextStep(ctx, began); err != nil {
			return err
		}
	}
	return writeOptions(w, r, begun)
}

// namedStep is the time, or a multiple of it, that an answer about a username takes. It is much more than the work takes
// where the store is at hand, so that nearly all answers take it once.
const namedStep = 50 * time.Millisecond

// untilNextStep waits until the time since began is a multiple of namedStep: an outsider must not learn by the clock who has an
// account, or who has a passkey, whose records take some time to read and to parse. Who hangs up, even in one direction alone,
// is answered the same whatever there is.
func untilNextStep(ctx context.Context, began time.Time) error {
	wait := time.NewTimer(namedStep - time.Since(began)%namedStep)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answerAuthentication is POST authentication/response.
func (g *Gateway) answerAuthentication(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	id, response, end := in.required("challengeID"), in.object("credential"), in.ending()
	if in.err != nil {
		return in.err
	}
	userID, use, err := g.authenticated(r, passkey.Authentication{
		Origin: g.origin.text, Subject: v.subject(), ChallengeID: id, Response: response,
	})
	if err != nil {
		return err
	}
	return g.signIn(w, r, v, userID, use, end)
}

// authenticated judges an assertion, tells the operator what was odd about it, and answers whose passkey it is and what
// that proved.
func (g *Gateway) authenticated(r *http.Request, a passkey.Authentication) (userID string, use authcore.MethodUse, err error) {
	ctx := r.Context()
	done, err := g.realm.passkeys.FinishAuthentication(ctx, a)
	var count *passkey.SignCountError
	if errors.As(err, &count) {
		g.tellOdd(r, slog.LevelWarn, "sign_count_refused", count.UserID, count.CredentialID, count.Stored, count.Received)
	}
	if err != nil {
		return "", use, passkeyRefusal(err)
	}
	for _, e := range done.Events {
		level := slog.LevelInfo
		if e.Kind == passkey.SignCountWentBack {
			level = slog.LevelWarn
		}
		g.tellOdd(r, level, string(e.Kind), done.UserID, done.Credential.ID, e.Was, e.Is)
	}
	if _, err := g.realm.enabledUser(ctx, done.UserID); err != nil {
		return "", use, err
	}
	return done.UserID, passkeyUse(done.Evidence), nil
}

// tellOdd tells the operator that something about a passkey is odd.
func (g *Gateway) tellOdd(r *http.Request, level slog.Level, event, user, credential string, was, is uint32) {
	g.realm.Observer.PasskeyOdd(event)
	g.realm.Logger.LogAttrs(r.Context(), level, "odd passkey", slog.String("event", event), slog.String("user", user),
		slog.String("credential", credential), slog.Uint64("was", uint64(was)), slog.Uint64("is", uint64(is)),
		slog.String("client", g.realm.ClientIP(r).String()))
}

// passkeyRefusal answers err with the statuses that clients of these routes know for a challenge, where it is about one.
func passkeyRefusal(err error) error {
	switch {
	case errors.Is(err, authcore.ErrUnavailable):
	case errors.Is(err, authcore.ErrChallengeNotFound):
		return errNoCeremony.because(err)
	case errors.Is(err, authcore.ErrChallengeExpired):
		return errLateCeremony.because(err)
	}
	return err
}
