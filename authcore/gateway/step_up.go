package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// signedIn lets in who is signed in.
func signedIn(do serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		switch {
		case v.err != nil:
			return v.err
		case v.barred:
			return errPersonal
		case v.identity == nil:
			return errSignedOut
		}
		return do(w, r, v)
	}
}

// createStepUpChallenge is POST step-up/challenge/create.
func (g *Gateway) createStepUpChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return g.askWallet(w, r, v, true)
}

// signStepUpChallenge is POST step-up/challenge/sign: with any wallet that is linked to the account.
func (g *Gateway) signStepUpChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	message, signature := in.required("challenge"), in.required("signature")
	if in.err != nil {
		return in.err
	}
	if kind, is := keysign.KindOf(message); is {
		return g.signStepUpKey(w, r, v, kind, in)
	}
	if !g.offers(authcore.Wallet) {
		return errNotFound
	}
	account, err := g.realm.wallet.Finish(ctx, wallet.Answer{
		Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), StepUp: true,
		Message: message, Signature: signature,
	})
	if err != nil {
		return err
	}
	return g.stepUpWith(w, r, v, authcore.MethodUse{Method: authcore.Wallet, Proof: account.Proof}, account.Key())
}

// stepUpWith steps up with a wallet or a key that was just proved, where it is one of the account.
func (g *Gateway) stepUpWith(w http.ResponseWriter, r *http.Request, v *visitor, use authcore.MethodUse, key string) error {
	ctx := r.Context()
	c, err := g.realm.Stores.Credentials.CredentialByKey(ctx, use.Method, key)
	switch {
	// One answer for a wallet of somebody else and of nobody: it is none of this account, and more is not to be told.
	case errors.Is(err, authcore.ErrCredentialNotFound), err == nil && c.UserID != v.subject():
		return fmt.Errorf("gateway: step up: not a wallet of this account: %w", wallet.ErrInvalidSignature)
	case err != nil:
		return err
	}
	if err := g.realm.useCredential(ctx, c); err != nil {
		return err
	}
	return g.stepUp(w, r, v, c.UserID, use)
}

// requestStepUp is POST step-up/authentication/request.
func (g *Gateway) requestStepUp(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	if in.optional("username"); in.err != nil { // who it is is known
		return in.err
	}
	begun, err := g.realm.passkeys.BeginAuthentication(r.Context(), passkey.Authenticating{
		Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), StepUp: true,
	})
	if err != nil {
		return err
	}
	return writeOptions(w, r, begun)
}

// answerStepUp is POST step-up/authentication/response.
func (g *Gateway) answerStepUp(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	id, response := in.required("challengeID"), in.object("credential")
	if in.err != nil {
		return in.err
	}
	userID, use, err := g.authenticated(r, passkey.Authentication{
		Origin: g.origin.text, Subject: v.subject(), ChallengeID: id, Response: response, StepUp: true,
	})
	if err != nil {
		return err
	}
	return g.stepUp(w, r, v, userID, use)
}

// stepUp notes in the session at hand what its user has just proven, and answers with the session. A browser gets a
// cookie and a program an access token that say so; the refresh token stays as it is.
func (g *Gateway) stepUp(w http.ResponseWriter, r *http.Request, v *visitor, userID string, use authcore.MethodUse) error {
	ctx := r.Context()
	if userID != v.subject() {
		// The mechanisms have seen to it. Whoever proves to be somebody else must never strengthen this session.
		return errStepUp.because(errors.New("gateway: step up: proven by another user"))
	}
	var s authcore.Session
	err := g.realm.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) (err error) {
		if s, err = g.realm.sessions.In(tx.Sessions).StepUp(ctx, v.identity.SessionID, use); err != nil {
			return err
		}
		return g.realm.note(ctx, tx, authcore.EventStepUp, string(use.Method), userID, g.trace(r, v), "")
	})
	if err != nil {
		return err
	}
	now := g.realm.Now()
	g.realm.State.steppedUp(s, now.Add(g.realm.AccessToken+time.Minute))
	id, access, expires, err := g.access(ctx, s)
	if err != nil {
		return err
	}
	answer := struct {
		Session     sessionView `json:"session"`
		AccessToken string      `json:"access_token,omitempty"`
		TokenType   string      `json:"token_type,omitempty"`
		ExpiresIn   int64       `json:"expires_in,omitempty"`
	}{Session: viewSession(id, s.IdleUntil)}
	if v.via == byCookie {
		replaceCookie(w.Header(), g.newCookie(s, v.secret, access))
	} else {
		answer.AccessToken, answer.TokenType, answer.ExpiresIn = access, "Bearer", expires.Unix()-now.Unix()
	}
	return writeJSON(w, r, answer)
}
