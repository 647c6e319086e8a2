package passkey

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// Ceremonies are registration and authentication. Each has two parts: Begin makes a challenge and the options for the
// browser, Finish judges what comes back. The zero value of every field but the stores is its default. It may be used
// from many goroutines at once.
type Ceremonies struct {
	Challenges  authcore.Challenges  // required
	Credentials authcore.Credentials // required

	// RPID is the domain that passkeys belong to; default: the host of the origin. It cannot be changed later: passkeys
	// stay with the one they were made for. Below a parent domain any site can ask for them, but only the origins that
	// run ceremonies here are answered.
	RPID   string
	RPName string // shown by some browsers; default: the RPID
	// RelatedOrigins are further origins, not below RPID, on which ceremonies run; see WellKnown.
	RelatedOrigins []string

	UserVerification UserVerification // default: required
	Attestation      Attestation      // default: none
	// ForbidSynced refuses passkeys that can be copied to another device (backup eligible), at registration and at
	// sign-in.
	ForbidSynced bool
	// AllowAAGUIDs, where it is not empty, are the only models of authenticators that may be used, and RefuseAAGUIDs those
	// that may not. An AAGUID is what an authenticator says of itself; many browsers put zeros in its place unless an
	// attestation is asked for, and zeros are a model like any other here.
	AllowAAGUIDs, RefuseAAGUIDs []AAGUID

	// Secret answers a key, 32 bytes or so, the same on all instances and after restarts: it decides what is answered to
	// a username that has no passkeys. Without it no username is answered with its passkeys: the browser offers what it
	// has, as where none is given.
	Secret func(context.Context) ([]byte, error)

	TTL  time.Duration    // how long a ceremony may take; default 5 min, as the specification suggests (section 15.1)
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader
}

// UserVerification says whether the authenticator must check who holds it, by PIN, fingerprint or face.
type UserVerification string

// The zero value is VerificationRequired. A passkey that was used without verification is one factor, not two; see
// Evidence.
const (
	VerificationRequired  UserVerification = "required"
	VerificationPreferred UserVerification = "preferred"
)

// Attestation says whether authenticators are asked for a statement about their model.
type Attestation string

// The zero value is AttestationNone: a statement that comes nevertheless is dropped unread. With AttestationDirect one
// that comes must be valid, and is stored.
const (
	AttestationNone   Attestation = "none"
	AttestationDirect Attestation = "direct"
)

// Begun is a ceremony that waits for the browser.
type Begun struct {
	ChallengeID string          // comes back with the response; good once
	Options     json.RawMessage // {"publicKey":{…}}; parse…OptionsFromJSON takes the inner object as it is
	Expires     time.Time
}

// Evidence is what a ceremony showed, of itself.
type Evidence struct {
	UserVerified bool // the authenticator says that it checked who holds it
	DeviceBound  bool // the key cannot leave its authenticator
}

const (
	defaultTTL = 5 * time.Minute
	// MaxResponse is how long a response of the browser may be, in bytes.
	MaxResponse = 64 << 10
)

// UserHandle is how authenticators know an account: the user.id of WebAuthn, 64 bytes. It is derived, so it needs no
// storage and one account never has two; the user id it is derived from is random and opaque, so it tells nothing
// (section 14.6.1).
func UserHandle(userID string) []byte {
	h := sha512.Sum512([]byte("authgate passkey user handle\x00" + userID))
	return h[:]
}

// RelyingPartyID is the domain that passkeys of this origin belong to.
func (c *Ceremonies) RelyingPartyID(origin string) string {
	if c.RPID != "" {
		return c.RPID
	}
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// party is the relying party of one origin. Nothing is remembered between ceremonies, so every option is as it was
// configured and a ceremony accepts its own origin alone.
func (c *Ceremonies) party(origin string) (*webauthn.WebAuthn, error) {
	id := c.RelyingPartyID(origin)
	name := c.RPName
	if name == "" {
		name = id
	}
	// Timeouts are not enforced by the library, which has a clock of its own: the challenge expires in the store.
	ttl := c.ttl()
	// A twentieth of the time is left for the way back.
	timeout := webauthn.TimeoutConfig{Timeout: ttl - ttl/20, TimeoutUVD: ttl - ttl/20}
	party, err := webauthn.New(&webauthn.Config{
		RPID:          id,
		RPDisplayName: name,
		RPOrigins:     []string{origin},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			UserVerification: c.userVerification(),
		},
		AttestationPreference: c.conveyance(),
		Timeouts:              webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Section 7.1 step 27, 7.2 step 24: a relying party may ignore unsolicited outputs. It must: WebKit sends appid.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return party, nil
}

func (c *Ceremonies) userVerification() protocol.UserVerificationRequirement {
	if c.UserVerification == VerificationPreferred {
		return protocol.VerificationPreferred
	}
	return protocol.VerificationRequired
}

func (c *Ceremonies) conveyance() protocol.ConveyancePreference {
	if c.Attestation == AttestationDirect {
		return protocol.PreferDirectAttestation
	}
	return protocol.PreferNoAttestation
}

func (c *Ceremonies) random(n int) ([]byte, error) {
	source := c.Rand
	if source == nil {
		source = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(source, b); err != nil {
		return nil, fmt.Errorf("passkey: random bytes: %w", err)
	}
	return b, nil
}

func (c *Ceremonies) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Ceremonies) ttl() time.Duration {
	if c.TTL == 0 {
		return defaultTTL
	}
	return c.TTL
}
