package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/caddy-authgate/authgate/authcore"
)

// shapes are what the ids and transports of passkeys in use look like: of password managers, phones, computers and
// security keys.
var shapes = [...]struct {
	size       int // of the id, in bytes
	transports []string
}{
	{16, []string{"hybrid", "internal"}},
	{16, []string{"hybrid", "internal"}},
	{20, []string{"hybrid", "internal"}},
	{20, []string{"hybrid", "internal"}},
	{16, []string{"internal"}},
	{32, []string{"internal"}},
	{32, []string{"internal"}},
	{48, []string{"nfc", "usb"}},
}

// offer answers the passkeys of a user by name, or made up ones where there are none: an outsider must not learn who has
// an account, or who has a passkey (section 14.6.2). They are made either way; what it takes to find real ones besides, whoever
// answers has to hide.
func (c *Ceremonies) offer(ctx context.Context, a Authenticating, rpID string) ([]protocol.CredentialDescriptor, error) {
	secret, err := c.Secret(ctx)
	if err != nil {
		return nil, authcore.StoreError("passkey", err)
	}
	if len(secret) == 0 {
		return nil, errors.New("passkey: the secret is empty")
	}
	own, err := c.descriptors(ctx, a.UserID, rpID)
	if err != nil {
		return nil, err
	}
	made := decoys(secret, rpID, a.Username)
	if len(own) == 0 {
		return made, nil
	}
	return own, nil
}

// decoys are the passkeys of a username that has none: the same at every call, as real ones are, and not to be told from
// real ones without the secret.
func decoys(secret []byte, rpID, username string) []protocol.CredentialDescriptor {
	word := func(n byte) []byte {
		mac := hmac.New(sha512.New, secret)
		mac.Write([]byte("authgate passkey decoy\x00" + rpID + "\x00" + authcore.FoldUsername(username)))
		mac.Write([]byte{0, n})
		return mac.Sum(nil)
	}
	dice := word(0)
	count := 1
	if dice[0] < 64 {
		count = 2 // one in four
	}
	var made []protocol.CredentialDescriptor
	for i := range count {
		shape := shapes[int(dice[1+i])%len(shapes)]
		made = append(made, descriptor(word(byte(1 + i))[:shape.size], shape.transports))
	}
	return made
}

// decoyRecord is a passkey that nobody has, to do as much work for as for a real one. Its key is the base point of
// P-256; nothing is ever accepted for it.
func decoyRecord(rpID string, flags protocol.AuthenticatorFlags) Record {
	return Record{RPID: rpID, PublicKey: decoyKey, Flags: byte(flags), AttestationFormat: "none"}
}

var decoyKey = []byte("\xa5\x01\x02\x03\x26\x20\x01" +
	"\x21\x58\x20\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96" +
	"\x22\x58\x20\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5")
