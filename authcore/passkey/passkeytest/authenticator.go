// Package passkeytest is an authenticator in software, with the browser in front of it, for tests: it answers the options
// of registrations and authentications as navigator.credentials does, and, told to, in ways in which no browser would.
//
// It checks little, as it is there to let others be checked, and it is not for use: its keys lie open.
package passkeytest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The refusals of the browser.
var (
	ErrExcluded     = errors.New("passkeytest: InvalidStateError: a passkey of the list to exclude is here")
	ErrNoCredential = errors.New("passkeytest: NotAllowedError: no passkey that was asked for is here")
)

// Authenticator makes passkeys and keeps them. Its fields may be changed between calls; the zero value is a security key
// with ES256 that verifies its user and counts. Not for several goroutines at once.
type Authenticator struct {
	Algorithm  Algorithm // of passkeys to come; default ES256
	AAGUID     [16]byte
	Attachment string   // default "platform"
	Transports []string // default "internal"

	Absent      bool // UP=0
	Unverified  bool // UV=0
	Synced      bool // BE=1
	BackedUp    bool // BS=1
	Counterless bool // all counts are 0

	Rand  io.Reader // default crypto/rand.Reader
	Twist Twist     // what is done wrong

	Credentials []*Credential // oldest first
}

// Credential is a passkey.
type Credential struct {
	ID         []byte
	RPID       string
	UserHandle []byte
	SignCount  uint32 // of the last use
	Key        Key
}

// Twist changes an answer on its way, after it was made well. All are optional.
type Twist struct {
	ClientData  func(members map[string]any)         // before it is written, hashed and signed
	ClientJSON  func(text []byte) []byte             // likewise, as it is written
	PublicKey   func(cose []byte) []byte             // of a registration
	Attestation func(object *AttestationObject)      // before it is encoded
	AuthData    func(data []byte) []byte             // before it is signed
	Signature   func(sig []byte) []byte              // of an assertion
	Response    func(response, inner map[string]any) // the JSON that leaves the page, and its member response
	// Extensions are outputs in the authenticator data: a map in CBOR.
	Extensions []byte
}

// Flags of the authenticator data (WebAuthn section 6.1).
const (
	FlagUP byte = 1 << 0
	FlagUV byte = 1 << 2
	FlagBE byte = 1 << 3
	FlagBS byte = 1 << 4
	FlagAT byte = 1 << 6
	FlagED byte = 1 << 7
)

type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Params []struct {
			Alg Algorithm `json:"alg"`
		} `json:"pubKeyCredParams"`
		Exclude []descriptor `json:"excludeCredentials"`
		Allow   []descriptor `json:"allowCredentials"`
	} `json:"publicKey"`
}

type descriptor struct {
	ID string `json:"id"`
}

// Create answers {"publicKey":{…}}, the options of a registration, on a page of this origin: with RegistrationResponseJSON
// or ErrExcluded.
func (a *Authenticator) Create(optionsJSON []byte, origin string) ([]byte, error) {
	var o options
	if err := json.Unmarshal(optionsJSON, &o); err != nil {
		return nil, err
	}
	for _, d := range o.PublicKey.Exclude {
		if a.find(func(c *Credential) bool { return encode(c.ID) == d.ID }) != nil {
			return nil, ErrExcluded
		}
	}
	algorithm := a.Algorithm
	if algorithm == 0 {
		algorithm = ES256
	}
	key, err := NewKey(algorithm)
	if err != nil {
		return nil, err
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		return nil, err
	}
	c := &Credential{ID: make([]byte, 32), RPID: o.PublicKey.RP.ID, UserHandle: handle, Key: key}
	if _, err := io.ReadFull(a.random(), c.ID); err != nil {
		return nil, err
	}
	a.count(c)
	client, err := a.clientData("webauthn.create", o.PublicKey.Challenge, origin)
	if err != nil {
		return nil, err
	}
	cose := key.COSE()
	if a.Twist.PublicKey != nil {
		cose = a.Twist.PublicKey(cose)
	}
	data := a.authData(c, FlagAT)
	data = append(data, a.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(c.ID)))
	data = append(data, c.ID...)
	data = a.extend(append(data, cose...))
	object := AttestationObject{Format: "none", AuthData: data, ClientData: client, Key: key}
	if a.Twist.Attestation != nil {
		a.Twist.Attestation(&object)
	}
	a.Credentials = append(a.Credentials, c)
	transports := a.Transports
	if transports == nil {
		transports = []string{"internal"}
	}
	return a.answer(c, map[string]any{
		"clientDataJSON":     encode(client),
		"attestationObject":  encode(object.encode()),
		"authenticatorData":  encode(data),
		"publicKeyAlgorithm": int(algorithm),
		"transports":         transports,
	}, map[string]any{"credProps": map[string]any{"rk": true}})
}

// Get answers {"publicKey":{…}}, the options of an authentication, with its newest passkey that may be used: with
// AuthenticationResponseJSON or ErrNoCredential.
func (a *Authenticator) Get(optionsJSON []byte, origin string) ([]byte, error) {
	var o options
	if err := json.Unmarshal(optionsJSON, &o); err != nil {
		return nil, err
	}
	c := a.find(func(c *Credential) bool {
		return c.RPID == o.PublicKey.RPID && (len(o.PublicKey.Allow) == 0 || slices.ContainsFunc(o.PublicKey.Allow, func(d descriptor) bool {
			return d.ID == encode(c.ID)
		}))
	})
	if c == nil {
		return nil, ErrNoCredential
	}
	return a.Assert(c, o.PublicKey.Challenge, origin)
}

// Assert answers a challenge with this passkey, whatever was asked for.
func (a *Authenticator) Assert(c *Credential, challenge, origin string) ([]byte, error) {
	a.count(c)
	client, err := a.clientData("webauthn.get", challenge, origin)
	if err != nil {
		return nil, err
	}
	data := a.extend(a.authData(c, 0))
	hash := sha256.Sum256(client)
	sig, err := c.Key.Sign(slices.Concat(data, hash[:]))
	if err != nil {
		return nil, err
	}
	if a.Twist.Signature != nil {
		sig = a.Twist.Signature(sig)
	}
	return a.answer(c, map[string]any{
		"clientDataJSON":    encode(client),
		"authenticatorData": encode(data),
		"signature":         encode(sig),
		"userHandle":        encode(c.UserHandle),
	}, map[string]any{})
}

func (a *Authenticator) answer(c *Credential, inner, extensions map[string]any) ([]byte, error) {
	attachment := a.Attachment
	if attachment == "" {
		attachment = "platform"
	}
	response := map[string]any{
		"id": encode(c.ID), "rawId": encode(c.ID), "type": "public-key", "authenticatorAttachment": attachment,
		"clientExtensionResults": extensions, "response": inner,
	}
	if a.Twist.Response != nil {
		a.Twist.Response(response, inner)
	}
	return json.Marshal(response)
}

func (a *Authenticator) clientData(kind, challenge, origin string) ([]byte, error) {
	members := map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}
	if a.Twist.ClientData != nil {
		a.Twist.ClientData(members)
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("passkeytest: client data: %w", err)
	}
	if a.Twist.ClientJSON != nil {
		text = a.Twist.ClientJSON(text)
	}
	return text, nil
}

func (a *Authenticator) authData(c *Credential, flags byte) []byte {
	for _, f := range []struct {
		on   bool
		flag byte
	}{
		{!a.Absent, FlagUP},
		{!a.Unverified, FlagUV},
		{a.Synced, FlagBE},
		{a.BackedUp, FlagBS},
		{a.Twist.Extensions != nil, FlagED},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	hash := sha256.Sum256([]byte(c.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), c.SignCount)
}

// extend ends the authenticator data.
func (a *Authenticator) extend(data []byte) []byte {
	data = append(data, a.Twist.Extensions...)
	if a.Twist.AuthData != nil {
		data = a.Twist.AuthData(data)
	}
	return data
}

func (a *Authenticator) count(c *Credential) {
	if a.Counterless {
		c.SignCount = 0
		return
	}
	c.SignCount++
}

// find answers the newest passkey that fits.
func (a *Authenticator) find(fits func(*Credential) bool) *Credential {
	for _, c := range slices.Backward(a.Credentials) {
		if fits(c) {
			return c
		}
	}
	return nil
}

func (a *Authenticator) random() io.Reader {
	if a.Rand == nil {
		return rand.Reader
	}
	return a.Rand
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
