package gateway

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// recoveryRoutes answers the routes by which somebody with a recovery link adds a new way to sign in. Each is posted the
// key, which is spent together with the new credential being stored and not before.
func (g *Gateway) recoveryRoutes() map[string]route {
	routes := map[string]route{"recover/check": {post: g.limited(g.checkRecovery)}}
	if slices.Contains(g.site.Methods, authcore.Passkey) {
		routes["recover/registration/request"] = route{post: g.limited(g.requestRecovery)}
		routes["recover/registration/response"] = route{post: g.observed(authcore.Passkey, g.limited(g.answerRecovery))}
	}
	if slices.Contains(g.site.Methods, authcore.Wallet) {
		routes["recover/challenge/create"] = route{post: g.limited(g.createRecoveryChallenge)}
		routes["recover/challenge/sign"] = route{post: g.observed(authcore.Wallet, g.limited(g.signRecoveryChallenge))}
	}
	if slices.Contains(g.site.Methods, authcore.Password) {
		routes["recover/password"] = route{post: g.observed(authcore.Password, g.limited(g.recoverPassword))}
	}
	return routes
}

// recovery reads the body of a request with the key of a recovery, and answers whose account it is.
func (g *Gateway) recovery(w http.ResponseWriter, r *http.Request, v *visitor) (in *object, u authcore.User, c authcore.Confirmation, err error) {
	if v.err != nil {
		return nil, u, c, v.err
	}
	if in, err = readObject(w, r); err != nil {
		return nil, u, c, err
	}
	key := in.required("key")
	if in.err != nil {
		return nil, u, c, in.err
	}
	u, c, err = g.realm.recovering(r.Context(), key)
	return in, u, c, err
}

// bound is what the ceremonies of a recovery are bound to: they complete nothing but this one.
func bound(c authcore.Confirmation) string {
	return "recovery of " + c.Subject + " " + hex.EncodeToString(c.KeyHash[:])
}

// checkRecovery is POST recover/check: whose account it is, and until when the link is good. It spends nothing.
func (g *Gateway) checkRecovery(w http.ResponseWriter, r *http.Request, v *visitor) error {
	_, u, c, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	methods := slices.Clone(g.site.Methods)
	if u.Email == "" { // a password is for a confirmed address
		methods = slices.DeleteFunc(methods, func(m authcore.Method) bool { return m == authcore.Password })
	}
	return writeJSON(w, r, struct {
		Username string            `json:"username"`
		Name     string            `json:"name"`
		Email    string            `json:"email"`
		Methods  []authcore.Method `json:"methods"`
		Expires  string            `json:"expires"`
	}{u.Username, u.Name, u.Email, methods, timestamp(c.Expires)})
}

// requestRecovery is POST recover/registration/request: it begins to make a passkey.
func (g *Gateway) requestRecovery(w http.ResponseWriter, r *http.Request, v *visitor) error {
	_, u, c, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	begun, err := g.realm.passkeys.BeginRegistration(r.Context(), passkey.Registering{
		Origin: g.origin.text, Client: clientKey(g.realm.ClientIP(r)), UserID: u.ID, Username: u.Username, DisplayName: u.Name,
		Recovery: bound(c),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		ChallengeID string          `json:"challengeID"`
		Options     json.RawMessage `json:"creationOptions"`
	}{begun.ChallengeID, begun.Options})
}

// answerRecovery is POST recover/registration/response.
func (g *Gateway) answerRecovery(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, u, waiting, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	id, response, name, end := in.required("challengeID"), in.object("credential"), in.label("name"), in.ending()
	if in.err != nil {
		return in.err
	}
	made, err := g.realm.passkeys.FinishRegistration(r.Context(), passkey.Registration{
		Origin: g.origin.text, ChallengeID: id, Response: response, Name: name, Recovery: bound(waiting),
	})
	if err != nil {
		return passkeyRefusal(err)
	}
	c := made.Credential
	if c.ID, err = g.realm.newID(); err != nil {
		return err
	}
	c.LastUsed = c.Created
	return g.finishRecovery(w, r, v, u, waiting, c, passkeyUse(made.Evidence), end)
}

// createRecoveryChallenge is POST recover/challenge/create.
func (g *Gateway) createRecoveryChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, _, waiting, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	address, chain := in.required("address"), in.number("chainId")
	if in.err != nil {
		return in.err
	}
	asked, err := g.realm.wallet.Begin(r.Context(), wallet.Ask{
		Origin: g.origin.text, Subject: bound(waiting), Client: clientKey(g.realm.ClientIP(r)), Address: address, ChainID: chain,
	})
	if err != nil {
		return err
	}
	return writeJSON(w, r, struct {
		Message string `json:"challengeMessage"`
		Nonce   string `json:"nonce"`
		Expires string `json:"expiresAt"`
	}{asked.Message, asked.Nonce, timestamp(asked.Expires)})
}

// signRecoveryChallenge is POST recover/challenge/sign.
func (g *Gateway) signRecoveryChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, u, waiting, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	message, signature, end := in.required("challenge"), in.required("signature"), in.ending()
	if in.err != nil {
		return in.err
	}
	account, err := g.realm.wallet.Finish(ctx, wallet.Answer{
		Origin: g.origin.text, Subject: bound(waiting), Client: clientKey(g.realm.ClientIP(r)), Message: message, Signature: signature,
	})
	if err != nil {
		return err
	}
	c, err := g.realm.Stores.Credentials.CredentialByKey(ctx, authcore.Wallet, account.Key())
	switch {
	case errors.Is(err, authcore.ErrCredentialNotFound):
		if c, err = g.realm.newCredential(u.ID, proof{kind: authcore.Wallet, key: account.Key()}); err != nil {
			return err
		}
	case err != nil:
		return err
	case c.UserID != u.ID:
		return authcore.ErrCredentialInUse
	}
	return g.finishRecovery(w, r, v, u, waiting, c, authcore.MethodUse{Method: authcore.Wallet, Proof: account.Proof}, end)
}

func (g *Gateway) finishRecovery(w http.ResponseWriter, r *http.Request, v *visitor, u authcore.User, waiting authcore.Confirmation, c authcore.Credential, use authcore.MethodUse, end ending) error {
	if err := g.realm.recovered(r.Context(), u, waiting, c, g.trace(r, v)); err != nil {
		return err
	}
	return g.signIn(w, r, v, u.ID, use, end)
}

// recoverPassword is POST recover/password.
func (g *Gateway) recoverPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, u, _, err := g.recovery(w, r, v)
	if err != nil {
		return err
	}
	key, secret, end := in.required("key"), in.required("password"), in.ending()
	if in.err != nil {
		return in.err
	}
	by := g.trace(r, v)
	by.Actor = u.ID
	_, ended, err := g.passwords.Recover(ctx, password.Resetting{Key: key, Password: secret, By: by})
	if err != nil {
		return err
	}
	g.realm.haveEnded(ctx, u.ID, ended)
	return g.passwordSignIn(w, r, v, u.ID, end)
}
