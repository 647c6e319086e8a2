package password

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	deviceSaltSize  = 32
	deviceNonceSize = 16
)

// record is what is stored of a password: authcore.Credential.Data.
type record struct {
	PHC string `json:"phc"`
	// DeviceSalt is the key of all device tokens. It is new with each new password, which so forgets all devices.
	DeviceSalt []byte    `json:"device_salt"`
	Changed    time.Time `json:"changed"`
	// Lifts is how often an operator lifted a suspension. It is part of what tries with device tokens are counted under,
	// since nobody could name all those counts to clear them.
	Lifts int `json:"lifts,omitempty"`
}

func (r record) encode() ([]byte, error) { return json.Marshal(r) }

func readRecord(c authcore.Credential) (record, error) {
	var r record
	if err := json.Unmarshal(c.Data, &r); err != nil {
		return record{}, fmt.Errorf("password: stored record: %w: %w", ErrInvalidHash, err)
	}
	return r, nil
}

// newRecord is the record of a new password.
func (p *Passwords) newRecord(phc string, now time.Time) (record, error) {
	salt, err := p.random(deviceSaltSize)
	return record{PHC: phc, DeviceSalt: salt, Changed: now}, err
}

// newCredential is the password of an account that has none; a user has one at most, since its key is the user's id.
func (p *Passwords) newCredential(userID string, r record, now time.Time) (authcore.Credential, error) {
	id, err := p.newID()
	if err != nil {
		return authcore.Credential{}, err
	}
	data, err := r.encode()
	return authcore.Credential{ID: id, UserID: userID, Kind: authcore.Password, Key: userID, Data: data, Created: now}, err
}

// account is who tries to sign in: the zero user for an address that nobody has, the zero credential for an account that
// has no password.
type account struct {
	user       authcore.User
	credential authcore.Credential
	record     record
}

func (a account) hasPassword() bool { return a.credential.ID != "" }

// accountByEmail answers the account of an address in its one form, or nobody's.
func (p *Passwords) accountByEmail(ctx context.Context, email string) (account, error) {
	u, err := p.Stores.Users.UserByEmail(ctx, email)
	return p.withPassword(ctx, u, err)
}

// accountByID answers the account of a user, or nobody's.
func (p *Passwords) accountByID(ctx context.Context, userID string) (account, error) {
	u, err := p.Stores.Users.User(ctx, userID)
	return p.withPassword(ctx, u, err)
}

// withPassword adds the password to a user who was looked for. It is looked for where there is nobody too: an outsider
// who measures must not learn that the first answer was no.
func (p *Passwords) withPassword(ctx context.Context, u authcore.User, err error) (account, error) {
	if err != nil && !errors.Is(err, authcore.ErrUserNotFound) {
		return account{}, authcore.StoreError("password: read the user", err)
	}
	a := account{user: u}
	a.credential, err = p.Stores.Credentials.CredentialByKey(ctx, authcore.Password, u.ID)
	switch {
	case errors.Is(err, authcore.ErrCredentialNotFound):
		a.credential = authcore.Credential{}
		return a, nil
	case err != nil:
		return account{}, authcore.StoreError("password: read the credential", err)
	}
	// One that cannot be read is the zero record. Its hash is no hash, which a sign-in reports and a reset replaces.
	a.record, _ = readRecord(a.credential)
	return a, nil
}

// Device tokens prove that somebody signed in with this password, on this browser: base64url(nonce | HMAC).

var device = base64.RawURLEncoding.Strict()

func (p *Passwords) newDevice(userID string, r record) (string, error) {
	nonce, err := p.random(deviceNonceSize)
	if err != nil {
		return "", err
	}
	return device.EncodeToString(append(nonce, r.deviceMAC(userID, nonce)...)), nil
}

// deviceNonce answers the name of the browser that has this token, and whether the token is one for this password.
func (r record) deviceNonce(userID, token string) (string, bool) {
	const size = deviceNonceSize + sha256.Size
	// The decoder skips line breaks, so the length of the text is compared.
	if len(token) != device.EncodedLen(size) || len(r.DeviceSalt) != deviceSaltSize {
		return "", false
	}
	raw, err := device.DecodeString(token)
	if err != nil || len(raw) != size || !hmac.Equal(raw[deviceNonceSize:], r.deviceMAC(userID, raw[:deviceNonceSize])) {
		return "", false
	}
	return device.EncodeToString(raw[:deviceNonceSize]), true
}

func (r record) deviceMAC(userID string, nonce []byte) []byte {
	mac := hmac.New(sha256.New, r.DeviceSalt)
	mac.Write([]byte("authgate device\x00" + userID + "\x00"))
	mac.Write(nonce)
	return mac.Sum(nil)
}
