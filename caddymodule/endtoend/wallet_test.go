package endtoend

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"strconv"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
)

// wallet is a plain key, the same for the same name in every run.
type wallet struct {
	key     *ecdsa.PrivateKey
	address string // EIP-55
}

func walletOf(name string) wallet {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("authgate test wallet " + name)))
	if err != nil {
		panic(err) // of 2^256 names, some 2^128 have none
	}
	return wallet{key, crypto.PubkeyToAddress(key.PublicKey).Hex()}
}

// sign signs as personal_sign does (EIP-191).
func (w wallet) sign(message string) string {
	prefix := "\x19Ethereum Signed Message:\n" + strconv.Itoa(len(message))
	sig, err := crypto.Sign(crypto.Keccak256([]byte(prefix+message)), w.key)
	if err != nil {
		panic(err)
	}
	sig[64] += 27
	return "0x" + hex.EncodeToString(sig)
}

type userBody struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`
	Wallets  []string `json:"wallets"`
	Methods  []string `json:"methods"`
}

// signedIn is the answer to a finished sign-in, of either form.
type signedIn struct {
	AccessToken  string   `json:"access_token"`
	RefreshToken string   `json:"refresh_token"`
	TokenType    string   `json:"token_type"`
	ExpiresIn    int      `json:"expires_in"`
	User         userBody `json:"user"`
	ReturnTo     string   `json:"return_to"`

	cookie string // "name=value"
}

// bearer and cookieLine are the header lines that carry the sign-in.
func (s signedIn) bearer() string     { return "Authorization: Bearer " + s.AccessToken }
func (s signedIn) cookieLine() string { return "Cookie: " + s.cookie }

// challenge asks for a message for the wallet.
func (g *gate) challenge(t *testing.T, w wallet) (message, nonce string) {
	t.Helper()
	var c struct{ ChallengeMessage, Nonce, ExpiresAt string }
	g.post(t, "challenge/create", map[string]any{"address": w.address}).into(t, 200, &c)
	if c.ChallengeMessage == "" || c.Nonce == "" || c.ExpiresAt == "" {
		t.Fatalf("challenge with an empty member: %+v", c)
	}
	return c.ChallengeMessage, c.Nonce
}

// signIn signs the wallet in for a program.
func (g *gate) signIn(t *testing.T, w wallet) signedIn {
	t.Helper()
	message, _ := g.challenge(t, w)
	var s signedIn
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": w.sign(message)}).into(t, 200, &s)
	if s.AccessToken == "" || s.RefreshToken == "" {
		t.Fatalf("sign-in without tokens: %+v", s)
	}
	return s
}

// signInBrowser signs the wallet in with a cookie.
func (g *gate) signInBrowser(t *testing.T, w wallet) signedIn {
	t.Helper()
	message, _ := g.challenge(t, w)
	var s signedIn
	a := g.post(t, "challenge/sign", map[string]any{
		"challenge": message, "signature": w.sign(message), "session": "cookie",
	})
	a.into(t, 200, &s)
	c := a.cookie()
	if c == nil || c.Value == "" {
		t.Fatalf("sign-in with session cookie sets no cookie: %v", a.header)
	}
	if s.AccessToken != "" || s.RefreshToken != "" {
		t.Error("sign-in with session cookie shows tokens to scripts of the page")
	}
	s.cookie = fmt.Sprintf("%s=%s", c.Name, c.Value)
	return s
}
