package gateway

import (
	"net/http"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// subject is the user to whom a challenge is bound.
func (v *visitor) subject() string {
	if v.identity == nil {
		return ""
	}
	return v.identity.Subject
}

// createChallenge is POST challenge/create.
func (g *Gateway) createChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return g.askWallet(w, r, v, false)
}

// askWallet answers a message to sign, or a nonce to write one around.
func (g *Gateway) askWallet(w http.ResponseWriter, r *http.Request, v *visitor, stepUp bool) error {
	if v.err != nil {
		return v.err // a challenge for nobody would be of no use to whoever this is
	}
	if err := g.realm.begun(r.Context()); err != nil {
		return err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	if in.has("key") || in.has("chain") {
		return g.askKey(w, r, v, in, stepUp)
	}
	if !g.offers(authcore.Wallet) {
		return errNotFound
	}
	address, written := in.optional("address")
	chain := in.number("chainId")
	switch {
	case in.err != nil:
		return in.err
	case written && address == "":
		return wallet.ErrInvalidAddress
	}
	asked, err := g.realm.wallet.Begin(r.Context(), wallet.Ask{
		Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), StepUp: stepUp,
		Address: address, ChainID: chain,
	})
	if err != nil {
		return err
	}
	if written {
		return writeJSON(w, r, struct {
			Message string `json:"challengeMessage"`
			Nonce   string `json:"nonce"`
			Expires string `json:"expiresAt"`
		}{asked.Message, asked.Nonce, timestamp(asked.Expires)})
	}
	return writeJSON(w, r, struct {
		Nonce     string `json:"nonce"`
		Domain    string `json:"domain"`
		URI       string `json:"uri"`
		Version   string `json:"version"`
		Statement string `json:"statement"`
		Expires   string `json:"expiresAt"`
	}{asked.Nonce, asked.Domain, asked.URI, asked.Version, asked.Statement, timestamp(asked.Expires)})
}

// signChallenge is POST challenge/sign: it signs in, opens an account, or links a further wallet to the account of
// whoever is signed in, and then signs in with that.
func (g *Gateway) signChallenge(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	message, signature, end := in.required("challenge"), in.required("signature"), in.ending()
	v.invite, _ = in.optional("invite")
	if in.err != nil {
		return in.err
	}
	if kind, is := keysign.KindOf(message); is {
		return g.signKey(w, r, v, kind, in, end)
	}
	if !g.offers(authcore.Wallet) {
		return errNotFound
	}
	account, err := g.realm.wallet.Finish(r.Context(), wallet.Answer{
		Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), Message: message, Signature: signature,
	})
	if err != nil {
		return err
	}
	granted, doubt := g.realm.grants.any(account.Key(), ""), error(nil)
	if !granted {
		granted, doubt = g.realm.grantedByChain(r.Context(), account.Key())
	}
	userID, err := g.ownerOf(r, v, proof{
		// The key as username too: one address on two chains may be two contracts of different owners.
		kind: authcore.Wallet, key: account.Key(), username: account.Key(),
		granted: granted, doubt: doubt,
	})
	if err != nil {
		return err
	}
	return g.signIn(w, r, v, userID, authcore.MethodUse{Method: authcore.Wallet, Proof: account.Proof}, end)
}

// ownerOf answers whose a proved credential is, after adding it to the account of whoever is signed in.
func (g *Gateway) ownerOf(r *http.Request, v *visitor, p proof) (userID string, err error) {
	if v.identity == nil {
		p.invite = v.invite
		v.tried, err = g.realm.accountFor(r.Context(), p, g.trace(r, v))
		return v.tried, err
	}
	return v.identity.Subject, g.realm.link(r.Context(), v.identity, p, g.trace(r, v))
}
