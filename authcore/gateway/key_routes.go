package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// keySignIn is the ceremony of Solana wallets and of keys of programs.
func (r *Realm) keySignIn() (*keysign.SignIn, error) {
	s := &keysign.SignIn{Challenges: r.Challenges.Challenges, Kinds: slices.Clone(r.Keys), Now: r.Now, Rand: r.Rand}
	for _, kind := range s.Kinds {
		if kind != keysign.Ed25519 && kind != keysign.MLDSA65 {
			return nil, fmt.Errorf("gateway: keys: %q is not known; write ed25519 or ml-dsa-65, and solana among the options of wallet", kind)
		}
	}
	if w := r.Wallet; w != nil {
		s.Statement, s.TTL, s.Cluster = w.Statement, w.ChallengeTTL, w.Solana
		if w.Solana != "" {
			s.Kinds = append(s.Kinds, keysign.Solana)
		}
	}
	s.TTL = cmp.Or(s.TTL, time.Minute)
	return s, s.Validate()
}

// methodOf is how somebody signs in with a key of this kind.
func methodOf(kind keysign.Kind) authcore.Method {
	if kind == keysign.Solana {
		return authcore.Wallet
	}
	return authcore.ProgramKey
}

// takesKey reports whether the kind of a wallet or of a program's key is on: it may have been on only when it was linked.
func (r *Realm) takesKey(c authcore.Credential) bool {
	kind, _, named := strings.Cut(c.Key, ":")
	return !named || kind == "eip155" || slices.Contains(r.keysign.Kinds, keysign.Kind(kind))
}

// offers reports whether a sign-in method is offered on this site.
func (g *Gateway) offers(m authcore.Method) bool { return slices.Contains(g.site.Methods, m) }

// signInInput are the members of the SolanaSignInInput of the Wallet Standard that fix a message: a wallet must not write a
// field that is not among them.
type signInInput struct {
	Domain    string `json:"domain"`
	Address   string `json:"address,omitempty"`
	Statement string `json:"statement"`
	URI       string `json:"uri"`
	Version   string `json:"version"`
	ChainID   string `json:"chainId"`
	Nonce     string `json:"nonce"`
	IssuedAt  string `json:"issuedAt"`
	Expires   string `json:"expirationTime"`
}

// askKey answers a message for a Solana wallet, of which the request names the chain and may name the address, or for a
// program, of which it names the key.
func (g *Gateway) askKey(w http.ResponseWriter, r *http.Request, v *visitor, in *object, stepUp bool) error {
	ask := keysign.Ask{Origin: g.origin.text, Subject: v.subject(), Client: clientKey(g.realm.ClientIP(r)), StepUp: stepUp}
	key, isKey := in.optional("key")
	chain, isChain := in.optional("chain")
	address, written := in.optional("address")
	if isKey == isChain {
		in.fail("key", "and chain: one of them says who is to sign")
	}
	switch {
	case in.err != nil:
		return in.err
	case isKey:
		if !g.offers(authcore.ProgramKey) {
			return errNotFound
		}
		account, err := keysign.ParseAccount(key)
		if err != nil {
			return err
		}
		if account.Kind == keysign.Solana {
			return fmt.Errorf("gateway: a wallet is no key of a program: %w", keysign.ErrInvalidKey)
		}
		ask.Kind, ask.Account = account.Kind, account.Key()
	default:
		if !g.offers(authcore.Wallet) {
			return errNotFound
		}
		cluster := g.realm.Wallet.Solana
		if cluster == "" || chain != string(keysign.Solana) && chain != string(keysign.Solana)+":"+cluster {
			return wallet.ErrChainNotAllowed
		}
		if ask.Kind = keysign.Solana; written {
			ask.Account = string(keysign.Solana) + ":" + address
		}
	}
	asked, err := g.realm.keysign.Begin(r.Context(), ask)
	switch {
	case ask.Kind == keysign.Solana && errors.Is(err, keysign.ErrInvalidKey):
		return fmt.Errorf("gateway: %w: %w", wallet.ErrInvalidAddress, err)
	case err != nil:
		return err
	}
	answer := struct {
		Message string       `json:"challengeMessage,omitempty"`
		Input   *signInInput `json:"signInInput,omitempty"`
		Nonce   string       `json:"nonce"`
		Expires string       `json:"expiresAt"`
	}{Message: asked.Message, Nonce: asked.Nonce, Expires: timestamp(asked.Expires)}
	if ask.Kind == keysign.Solana {
		answer.Input = &signInInput{
			asked.Domain, asked.Account.Name, asked.Statement, asked.URI, asked.Version, asked.ChainID, asked.Nonce,
			keysign.Stamp(asked.IssuedAt), keysign.Stamp(asked.Expires),
		}
	}
	return writeJSON(w, r, answer)
}

// finishKey judges the answer to a challenge of askKey.
func (g *Gateway) finishKey(r *http.Request, v *visitor, kind keysign.Kind, in *object, stepUp bool) (key string, err error) {
	v.method = methodOf(kind)
	if !g.offers(v.method) {
		return "", errNotFound
	}
	whole, _ := in.optional("key")
	if in.err != nil {
		return "", in.err
	}
	account, err := g.realm.keysign.Finish(r.Context(), keysign.Answer{
		Origin: g.origin.text, Subject: v.subject(), StepUp: stepUp,
		Message: in.required("challenge"), Signature: in.required("signature"), Key: whole,
	})
	return account.Key(), err
}

// signKey is challenge/sign for what askKey has asked.
func (g *Gateway) signKey(w http.ResponseWriter, r *http.Request, v *visitor, kind keysign.Kind, in *object, end ending) error {
	key, err := g.finishKey(r, v, kind, in, false)
	if err != nil {
		return err
	}
	// The key as username too: its colon keeps it out of what people can choose.
	userID, err := g.ownerOf(r, v, proof{kind: v.method, key: key, username: key, granted: g.realm.grants.any(key, "")})
	if err != nil {
		return err
	}
	return g.signIn(w, r, v, userID, authcore.MethodUse{Method: v.method}, end)
}

// signStepUpKey is step-up/challenge/sign for what askKey has asked.
func (g *Gateway) signStepUpKey(w http.ResponseWriter, r *http.Request, v *visitor, kind keysign.Kind, in *object) error {
	key, err := g.finishKey(r, v, kind, in, true)
	if err != nil {
		return err
	}
	return g.stepUpWith(w, r, v, authcore.MethodUse{Method: v.method}, key)
}
