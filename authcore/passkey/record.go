package passkey

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// AAGUID names a model of authenticators. Its text is that of a UUID.
type AAGUID [16]byte

// ParseAAGUID reads the form 8-4-4-4-12 of hexadecimal digits.
func ParseAAGUID(s string) (AAGUID, error) {
	var a AAGUID
	digits := strings.ReplaceAll(s, "-", "")
	if _, err := hex.Decode(a[:], []byte(digits[:min(len(digits), 32)])); err != nil || len(s) != 36 || !strings.EqualFold(a.String(), s) {
		return AAGUID{}, fmt.Errorf("passkey: %q is not an AAGUID; write it as 01020304-0506-0708-0102-030405060708", s)
	}
	return a, nil
}

func (a AAGUID) String() string {
	h := hex.EncodeToString(a[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (a AAGUID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a *AAGUID) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAAGUID(string(text))
	return err
}

// Record is what is stored of a passkey beside its id: the credential record of WebAuthn (section 4), as
// authcore.Credential.Data. ReadRecord reads it.
type Record struct {
	RPID      string `json:"rp_id"`
	PublicKey []byte `json:"public_key"` // COSE
	// Flags is the octet of the authenticator data, as of the last use; but its bit UV says that the user was verified at
	// registration. Booleans would lose the bits that are not known yet.
	Flags     byte   `json:"flags"`
	SignCount uint32 `json:"sign_count"`
	// SignCountWentBack is when a sign count last did not grow; zero where the last use was as it should be.
	SignCountWentBack time.Time                      `json:"sign_count_went_back,omitzero"`
	BackupChanged     time.Time                      `json:"backup_changed,omitzero"` // when Synced or BackedUp last changed
	AAGUID            AAGUID                         `json:"aaguid"`
	Transports        []string                       `json:"transports,omitempty"`
	Attachment        string                         `json:"attachment,omitempty"` // platform or cross-platform
	AttestationFormat string                         `json:"attestation_format"`
	AttestationType   string                         `json:"attestation_type,omitempty"`
	Attestation       webauthn.CredentialAttestation `json:"attestation,omitzero"` // as it came, where one was asked for
	Extensions        webauthn.CredentialExtensions  `json:"extensions,omitzero"`
}

// ReadRecord reads what is stored of a passkey.
func ReadRecord(c authcore.Credential) (Record, error) {
	var r Record
	if err := json.Unmarshal(c.Data, &r); err != nil {
		return Record{}, fmt.Errorf("passkey: stored record: %w", err)
	}
	if c.Kind != authcore.Passkey || r.RPID == "" || len(r.PublicKey) == 0 {
		return Record{}, errors.New("passkey: stored record: not one of a passkey")
	}
	return r, nil
}

// Synced reports whether the key can be on several devices (backup eligible); else it is bound to one.
func (r Record) Synced() bool { return r.flags().HasBackupEligible() }

// BackedUp reports whether the key was on several devices, or in a backup, at its last use.
func (r Record) BackedUp() bool { return r.flags().HasBackupState() }

func (r Record) flags() protocol.AuthenticatorFlags { return protocol.AuthenticatorFlags(r.Flags) }

// newRecord is what a registration showed.
func newRecord(rpID string, c *webauthn.Credential, attestation Attestation) Record {
	r := Record{
		RPID:              rpID,
		PublicKey:         c.PublicKey,
		Flags:             byte(c.Flags.ProtocolValue()),
		SignCount:         c.Authenticator.SignCount,
		Attachment:        string(c.Authenticator.Attachment),
		AttestationFormat: c.AttestationFormat,
		AttestationType:   c.AttestationType,
		Extensions:        c.Extensions,
	}
	copy(r.AAGUID[:], c.Authenticator.AAGUID)
	// Unknown transports are kept, as section 4 asks, but not any number of any length: they are the client's words.
	for _, t := range c.Transport {
		if len(r.Transports) < 8 && len(t) <= 32 {
			r.Transports = append(r.Transports, string(t))
		}
	}
	if attestation == AttestationDirect {
		r.Attestation = c.Attestation
	}
	return r
}

// credential is the record in the form of the library.
func (r Record) credential(id []byte) webauthn.Credential {
	return webauthn.Credential{
		ID:                id,
		PublicKey:         r.PublicKey,
		AttestationType:   r.AttestationType,
		AttestationFormat: r.AttestationFormat,
		Flags:             webauthn.NewCredentialFlags(r.flags()),
		Authenticator:     webauthn.Authenticator{AAGUID: r.AAGUID[:], SignCount: r.SignCount},
	}
}

// descriptor names a passkey to the browser.
func descriptor(id []byte, transports []string) protocol.CredentialDescriptor {
	d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id}
	for _, t := range transports {
		d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
	}
	return d
}

// Key is what the store calls the passkey with this id.
func Key(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// owner is an account in the form of the library.
type owner struct {
	handle            []byte
	name, displayName string
	credentials       []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return o.handle }
func (o owner) WebAuthnName() string                       { return o.name }
func (o owner) WebAuthnDisplayName() string                { return o.displayName }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.credentials }
