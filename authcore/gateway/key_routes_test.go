package gateway

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// base58 of the Ed25519 keys whose seeds are 32 times the bytes 1 and 2, as @scure/base writes them.
var solanaAddresses = map[byte]string{
	1: "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9",
	2: "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu",
}

// keySigner is a Solana wallet, and a program, with the keys of one seed.
type keySigner struct {
	ed25519 ed25519.PrivateKey
	mldsa   *mldsa65.PrivateKey
	address string
}

func newKeySigner(n byte) keySigner {
	seed := bytes.Repeat([]byte{n}, 32)
	_, mldsa := mldsa65.NewKeyFromSeed((*[32]byte)(seed))
	return keySigner{ed25519.NewKeyFromSeed(seed), mldsa, solanaAddresses[n]}
}

func (s keySigner) plain() string { return "ed25519:" + hex.EncodeToString(s.ed25519[32:]) }

func (s keySigner) whole() string {
	return "ml-dsa-65:" + hex.EncodeToString(s.mldsa.Public().(*mldsa65.PublicKey).Bytes())
}

func (s keySigner) hash() string {
	a, err := keysign.ParseAccount(s.whole())
	if err != nil {
		panic(err)
	}
	return a.Key()
}

func (s keySigner) key(kind keysign.Kind) string {
	return map[keysign.Kind]string{keysign.Solana: "solana:" + s.address, keysign.Ed25519: s.plain(), keysign.MLDSA65: s.hash()}[kind]
}

// ask is the body that asks for a message.
func (s keySigner) ask(kind keysign.Kind) string {
	if kind == keysign.Solana {
		return fmt.Sprintf(`{"chain":"solana","address":%q}`, s.address)
	}
	return fmt.Sprintf(`{"key":%q}`, s.key(kind))
}

// solution is the body that answers a message.
func (s keySigner) solution(message, more string) string {
	if kind, _ := keysign.KindOf(message); kind == keysign.MLDSA65 {
		var sig [mldsa65.SignatureSize]byte
		if err := mldsa65.SignTo(s.mldsa, []byte(message), nil, false, sig[:]); err != nil {
			panic(err)
		}
		return fmt.Sprintf(`{"challenge":%q,"signature":"0x%x","key":%q%s}`, message, sig, s.whole(), more)
	}
	return fmt.Sprintf(`{"challenge":%q,"signature":"0x%x"%s}`, message, ed25519.Sign(s.ed25519, []byte(message)), more)
}

// withKeys switches all kinds on.
func withKeys(c *RealmConfig, _ *Site) {
	c.Wallet.Solana = "mainnet"
	c.Keys = []keysign.Kind{keysign.Ed25519, keysign.MLDSA65}
}

var allKinds = []keysign.Kind{keysign.Solana, keysign.Ed25519, keysign.MLDSA65}

// keyMessage asks for a message to sign, on one of the routes for that.
func (h *house) keyMessage(prefix, body string, headers ...string) string {
	h.t.Helper()
	var asked struct{ ChallengeMessage string }
	h.do("POST", prefix+"challenge/create", body, headers...).ok(&asked)
	return asked.ChallengeMessage
}

// presentKey goes through both steps of signing in.
func (h *house) presentKey(s keySigner, kind keysign.Kind, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "challenge/sign", s.solution(h.keyMessage("", s.ask(kind), headers...), more), headers...)
}

func TestKeySignIn(t *testing.T) {
	h := build(t, withKeys)
	s := newKeySigner(1)
	ids := make(map[string]bool)
	for _, kind := range allKinds {
		var in signedInView
		h.presentKey(s, kind, "").ok(&in)
		key, method := s.key(kind), authcore.ProgramKey
		wallets, keys := []string{}, []string{key}
		if kind == keysign.Solana {
			method, wallets, keys = authcore.Wallet, keys, nil
		}
		if u := in.User; u.Username != key || !slices.Equal(u.Wallets, wallets) || !slices.Equal(u.Keys, keys) || !slices.Equal(u.Methods, []authcore.Method{method}) {
			t.Errorf("%s: %+v", kind, u)
		}
		if h.signedInAs(in.bearer()) != in.User.ID {
			t.Errorf("%s: not signed in", kind)
		}
		// The same again is the same account; another kind of the same bytes is not.
		var again signedInView
		h.presentKey(s, kind, "").ok(&again)
		if again.User.ID != in.User.ID || ids[in.User.ID] {
			t.Errorf("%s: account %s, then %s", kind, in.User.ID, again.User.ID)
		}
		ids[in.User.ID] = true
		if told := h.seen.told[len(h.seen.told)-1]; told != string(method)+" ok" {
			t.Errorf("observer: %s", told)
		}
	}
	// A browser of Solana.
	pair, set := h.presentKey(s, keysign.Solana, `,"session":"cookie"`).ok(new(signedInView)).cookie()
	if !set || h.signedInAs([]string{"Cookie", pair}) == "" {
		t.Error("no cookie")
	}
}

// A wallet that knows solana:signIn is asked without an address, and writes the message by the input.
func TestSolanaSignInInput(t *testing.T) {
	h := build(t, withKeys)
	s := newKeySigner(1)
	var asked struct {
		Nonce, ExpiresAt string
		SignInInput      map[string]string
	}
	a := h.do("POST", "challenge/create", `{"chain":"solana:mainnet"}`).ok(&asked)
	if got := jsonNames(t, a.Body.Bytes()); !slices.Equal(got, []string{"expiresAt", "nonce", "signInInput"}) {
		t.Errorf("members: %q", got)
	}
	in := asked.SignInInput
	want := map[string]string{
		"domain": "app.example.com", "statement": "Sign in.", "uri": home, "version": "1", "chainId": "mainnet",
		"nonce": asked.Nonce, "issuedAt": "2026-11-21T12:00:00.000Z", "expirationTime": "2026-11-21T12:01:00.000Z",
	}
	if fmt.Sprint(in) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", in, want)
	}
	// As the Wallet Standard's createSignInMessageText does.
	message := in["domain"] + " wants you to sign in with your Solana account:\n" + s.address + "\n\n" + in["statement"] + "\n\nURI: " + in["uri"] +
		"\nVersion: " + in["version"] + "\nChain ID: " + in["chainId"] + "\nNonce: " + in["nonce"] + "\nIssued At: " + in["issuedAt"] + "\nExpiration Time: " + in["expirationTime"]
	var signed signedInView
	h.do("POST", "challenge/sign", s.solution(message, "")).ok(&signed)
	if signed.User.Username != "solana:"+s.address {
		t.Errorf("%+v", signed.User)
	}

	a = h.do("POST", "challenge/create", s.ask(keysign.Solana)).ok(&asked)
	if got := jsonNames(t, a.Body.Bytes()); !slices.Equal(got, []string{"challengeMessage", "expiresAt", "nonce", "signInInput"}) || asked.SignInInput["address"] != s.address {
		t.Errorf("with an address: %q, %v", got, asked.SignInInput)
	}
}

func TestKeyRefusals(t *testing.T) {
	s := newKeySigner(1)
	h := build(t, withKeys)
	for _, c := range []struct {
		name, body, code string
	}{
		{"address of Ethereum", `{"chain":"solana","address":"` + newSigner(1).address() + `"}`, "invalid_address"},
		{"empty address", `{"chain":"solana","address":""}`, "invalid_address"},
		{"small order", `{"chain":"solana","address":"11111111111111111111111111111111"}`, "invalid_address"},
		{"another cluster", `{"chain":"solana:devnet"}`, "chain_not_allowed"},
		{"another chain", `{"chain":"eip155:1"}`, "chain_not_allowed"},
		{"chain in another case", `{"chain":"Solana"}`, "chain_not_allowed"},
		{"empty chain", `{"chain":""}`, "chain_not_allowed"},
		{"key and chain", `{"chain":"solana","key":"` + s.plain() + `"}`, "invalid_request"},
		{"chain of wrong type", `{"chain":1}`, "invalid_request"},
		{"key of wrong type", `{"key":{}}`, "invalid_request"},
		{"empty key", `{"key":""}`, "invalid_key"},
		{"wallet as key", `{"key":"solana:` + s.address + `"}`, "invalid_key"},
		{"small order key", `{"key":"ed25519:01` + strings.Repeat("0", 62) + `"}`, "invalid_key"},
		{"unknown kind", `{"key":"rsa:00"}`, "invalid_key"},
	} {
		a := h.do("POST", "challenge/create", c.body)
		var p struct{ Code string }
		if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || a.Code != 400 || p.Code != c.code {
			t.Errorf("%s: %d %s", c.name, a.Code, a.Body)
		}
	}
	// null counts as not there.
	h.do("POST", "challenge/create", `{"chain":null,"key":null}`).ok(new(map[string]any))

	message := h.keyMessage("", s.ask(keysign.Solana))
	bad := newKeySigner(2).solution(message, "")
	h.do("POST", "challenge/sign", bad).refused(400, "invalid_signature")
	h.do("POST", "challenge/sign", s.solution(message, "")).refused(404, "challenge_not_found")
	if told := h.seen.told[len(h.seen.told)-2]; told != "wallet invalid_signature" {
		t.Errorf("observer: %s", told)
	}
	message = h.keyMessage("", s.ask(keysign.Ed25519))
	h.do("POST", "challenge/sign", s.solution(strings.Replace(message, "Sign in.", "Sign it.", 1), "")).refused(400, "invalid_message")
	if told := h.seen.told[len(h.seen.told)-1]; told != "key invalid_message" {
		t.Errorf("observer: %s", told)
	}
	message = h.keyMessage("", s.ask(keysign.MLDSA65))
	h.do("POST", "challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":"0x00"}`, message)).refused(400, "invalid_key")
	message = h.keyMessage("", s.ask(keysign.Solana))
	h.now = h.now.Add(time.Minute)
	h.do("POST", "challenge/sign", s.solution(message, "")).refused(412, "challenge_expired")
}

// What is off is not there, whichever member asks for it.
func TestKeysOff(t *testing.T) {
	s := newKeySigner(1)
	h := build(t)
	h.do("POST", "challenge/create", `{"chain":"solana"}`).refused(400, "chain_not_allowed")
	h.do("POST", "challenge/create", s.ask(keysign.Ed25519)).refused(404, "not_found")

	h = build(t, withKeys)
	message := h.keyMessage("", s.ask(keysign.Ed25519))
	wallets := h.neighbour(Site{Origin: home, Methods: []authcore.Method{authcore.Wallet}})
	wallets.do("POST", "challenge/create", s.ask(keysign.Ed25519)).refused(404, "not_found")
	wallets.do("POST", "challenge/sign", s.solution(message, "")).refused(404, "not_found")

	message = h.keyMessage("", s.ask(keysign.Solana))
	ethereum := h.challenge(newSigner(1))
	keys := h.neighbour(Site{Origin: home, Methods: []authcore.Method{authcore.ProgramKey}})
	keys.do("POST", "challenge/create", s.ask(keysign.Solana)).refused(404, "not_found")
	keys.do("POST", "challenge/create", `{}`).refused(404, "not_found")
	keys.do("POST", "challenge/sign", s.solution(message, "")).refused(404, "not_found")
	keys.do("POST", "challenge/sign", solution(newSigner(1), ethereum, "")).refused(404, "not_found")
	keys.presentKey(s, keysign.Ed25519, "").ok(new(signedInView))

	h = build(t, withKeys, func(c *RealmConfig, _ *Site) { c.Keys = []keysign.Kind{keysign.Ed25519} })
	h.do("POST", "challenge/create", s.ask(keysign.MLDSA65)).refused(400, "key_not_allowed")
}

// Nobody is let in by a challenge that was asked for on another site of the same realm, or for Ethereum.
func TestKeyChallengeOfAnotherSite(t *testing.T) {
	h := build(t, withKeys)
	other := h.neighbour(Site{Origin: "https://other.example.com"})
	s := newKeySigner(1)
	for _, kind := range allKinds {
		h.do("POST", "challenge/sign", s.solution(other.keyMessage("", s.ask(kind)), "")).refused(404, "challenge_not_found")
	}
	var own struct{ Nonce string }
	h.do("POST", "challenge/create", `{}`).ok(&own)
	message := h.keyMessage("", s.ask(keysign.Solana))
	at := strings.Index(message, "\nNonce: ")
	message = message[:at] + "\nNonce: " + own.Nonce + message[strings.Index(message, "\nIssued At"):]
	h.do("POST", "challenge/sign", s.solution(message, "")).refused(404, "challenge_not_found")
}

// Roles are granted by credential keys, open accounts under invite, and are there with a renewed token too.
func TestKeyGrants(t *testing.T) {
	s := newKeySigner(1)
	h := build(t, withKeys, func(c *RealmConfig, site *Site) {
		c.OpenRegistration = false
		c.Grants = []Grant{{Role: "ops", To: []string{s.key(keysign.Solana), s.plain(), s.whole()}}}
		site.Rules = []policy.Rule{
			{Roles: []string{"ops"}, With: []authcore.Method{authcore.ProgramKey}, Paths: []string{"/deploy"}},
			{Users: []string{s.key(keysign.Solana)}, Paths: []string{"/wallet"}},
			{Users: []string{s.hash()}, Paths: []string{"/hash"}},
		}
	})
	h.presentKey(newKeySigner(2), keysign.Solana, "").refused(403, "registration_closed")
	// What the backend is asked for, and whether that passes.
	passes := func(in signedInView, path string) bool {
		r := h.request("GET", "", "", in.bearer()...)
		r.URL.Path = path
		return h.serve(r).Code == 418
	}
	for _, kind := range allKinds {
		var in signedInView
		h.presentKey(s, kind, "").ok(&in)
		if !slices.Equal(in.User.Roles, []string{"ops"}) {
			t.Errorf("%s: roles %q", kind, in.User.Roles)
		}
		var renewed signedInView
		h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, in.RefreshToken)).ok(&renewed)
		if !slices.Equal(renewed.User.Roles, []string{"ops"}) {
			t.Errorf("%s: renewed with %q", kind, renewed.User.Roles)
		}
		for path, want := range map[string]bool{
			"/deploy": kind != keysign.Solana, "/wallet": kind == keysign.Solana, "/hash": kind == keysign.MLDSA65,
		} {
			if got := passes(renewed, path); got != want {
				t.Errorf("%s: %s: %t", kind, path, got)
			}
		}
		if a, err := h.realm.Account(t.Context(), s.key(kind)); err != nil || a.ID != in.User.ID || !slices.Equal(a.Roles, []string{"ops"}) {
			t.Errorf("%s: operator: %v, %v", kind, a, err)
		}
	}
}

// Keys are linked to an account, step it up, and are deleted but for the last way in.
func TestKeysOfAccount(t *testing.T) {
	h := build(t, withKeys)
	s, mallory := newKeySigner(1), newKeySigner(2)
	session := h.signInCookie(newSigner(1))
	for _, kind := range allKinds {
		h.now = h.now.Add(time.Second)
		pair, _ := h.presentKey(s, kind, `,"session":"cookie"`, session...).ok(new(signedInView)).cookie()
		session = []string{"Cookie", pair}
	}
	var who struct{ User userView }
	h.do("GET", "session", "", session...).ok(&who)
	if !slices.Equal(who.User.Wallets, []string{newSigner(1).address(), s.key(keysign.Solana)}) ||
		!slices.Equal(who.User.Keys, []string{s.plain(), s.hash()}) {
		t.Errorf("%+v", who.User)
	}
	// Who has it may not have it twice.
	other := h.signInCookie(newSigner(2))
	h.presentKey(s, keysign.Solana, `,"session":"cookie"`, other...).refused(409, "credential_in_use")

	for _, kind := range allKinds {
		h.now = h.now.Add(time.Hour)
		h.do("POST", "step-up/challenge/sign", mallory.solution(h.keyMessage("step-up/", mallory.ask(kind), session...), ""), session...).
			refused(400, "invalid_signature")
		// A challenge to sign in is none to step up.
		h.do("POST", "step-up/challenge/sign", s.solution(h.keyMessage("", s.ask(kind), session...), ""), session...).
			refused(404, "challenge_not_found")
		a := h.do("POST", "step-up/challenge/sign", s.solution(h.keyMessage("step-up/", s.ask(kind), session...), ""), session...).ok(new(map[string]any))
		pair, _ := a.cookie()
		session = []string{"Cookie", pair}
	}
	var list struct{ Credentials []credentialView }
	h.do("GET", "credentials", "", session...).ok(&list)
	if len(list.Credentials) != 4 {
		t.Fatalf("%+v", list)
	}
	for i, want := range []string{s.plain(), s.hash()} {
		if c := list.Credentials[2+i]; c.Kind != authcore.ProgramKey || c.Key != want || c.Wallet != "" {
			t.Errorf("%+v", c)
		}
	}
	for i, c := range list.Credentials {
		a := h.do("DELETE", "credentials/"+c.ID, "", session...)
		if i == 3 {
			a.refused(409, "last_credential")
		} else if a.Code != 204 {
			t.Errorf("%d: %d %s", i, a.Code, a.Body)
		}
	}
}

// A wallet of a kind that was switched off is no way in, so the other one is the last.
func TestLastCredentialOfAKindThatIsOn(t *testing.T) {
	h := build(t, withKeys)
	session := h.signInCookie(newSigner(1))
	s := newKeySigner(1)
	pair, _ := h.presentKey(s, keysign.Solana, `,"session":"cookie"`, session...).ok(new(signedInView)).cookie()
	session = []string{"Cookie", pair}
	h.realm.keysign.Kinds = nil
	var list struct{ Credentials []credentialView }
	h.do("GET", "credentials", "", session...).ok(&list)
	for _, c := range list.Credentials {
		if c.Wallet == newSigner(1).address() {
			h.do("DELETE", "credentials/"+c.ID, "", session...).refused(409, "last_credential")
		}
	}
}

// No page offers what programs sign in with.
func TestPagesLeaveKeysOut(t *testing.T) {
	h := build(t, withKeys)
	a := h.do("GET", "sign-in", "", "Accept", "text/html")
	if !strings.Contains(a.Body.String(), "methods=[wallet]") {
		t.Error(a.Body)
	}
}

func TestKeyConfiguration(t *testing.T) {
	for _, c := range []struct {
		name string
		in   RealmConfig
	}{
		{"a wallet as key", RealmConfig{Keys: []keysign.Kind{keysign.Solana}}},
		{"unknown kind", RealmConfig{Keys: []keysign.Kind{"rsa"}}},
		{"a kind twice", RealmConfig{Keys: []keysign.Kind{keysign.Ed25519, keysign.Ed25519}}},
		{"unknown cluster", RealmConfig{Wallet: &WalletConfig{Solana: "moon"}}},
		{"grant to a bare address", RealmConfig{Grants: []Grant{{Role: "a", To: []string{solanaAddresses[1]}}}}},
		{"grant to a key of small order", RealmConfig{Grants: []Grant{{Role: "a", To: []string{"solana:11111111111111111111111111111111"}}}}},
	} {
		if _, err := NewRealm(c.in); err == nil {
			t.Errorf("%s is taken", c.name)
		}
	}
}
