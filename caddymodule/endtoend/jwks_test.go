package endtoend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// findKey is what a backend does with jwks.json (RFC 7517, RFC 7518 §6.2).
func findKey(keys []json.RawMessage, kid any) (*ecdsa.PublicKey, error) {
	for _, raw := range keys {
		var k struct{ Kty, Crv, Kid, X, Y, D string }
		if err := json.Unmarshal(raw, &k); err != nil {
			return nil, err
		}
		if k.D != "" {
			return nil, errors.New("jwks.json shows a private key")
		}
		if k.Kid != kid || k.Kty != "EC" || k.Crv != "P-256" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	}
	return nil, errors.New("no key with this kid in jwks.json")
}
