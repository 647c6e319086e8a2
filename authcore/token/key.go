package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// scalarSize is the size of a private key, of r, of s and of a coordinate in bytes (RFC 7518 section 3.4).
const scalarSize = 32

// signingKey is a key of the store, ready for use.
type signingKey struct {
	id      string // RFC 7638 thumbprint
	private *ecdsa.PrivateKey
	created time.Time
	public  jwk
}

// jwk is a public key as JWKS shows it (RFC 7517 section 4, RFC 7518 section 6.2.1).
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
}

// newKey draws a key from random bytes by rejection (FIPS 186-5, appendix A.2.2).
func newKey(random io.Reader, created time.Time) (authcore.Key, error) {
	// A draw is rejected once in 2³²; two in a row mean that the source is no random one.
	for range 2 {
		var scalar [scalarSize]byte
		if _, err := io.ReadFull(random, scalar[:]); err != nil {
			return authcore.Key{}, fmt.Errorf("token: make key: read random bytes: %w", err)
		}
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
		if err != nil {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return authcore.Key{}, fmt.Errorf("token: make key: %w", err)
		}
		public, err := newJWK(&private.PublicKey)
		if err != nil {
			return authcore.Key{}, fmt.Errorf("token: make key: %w", err)
		}
		return authcore.Key{ID: public.ID, PKCS8: der, Created: created}, nil
	}
	return authcore.Key{}, errors.New("token: make key: source of randomness is not random")
}

// parseKey refuses a key that is not what its id says: under a wrong id it would sign what nobody can verify.
func parseKey(k authcore.Key) (*signingKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		// The error of the parser is left out: it may quote what it read.
		return nil, fmt.Errorf("token: key %q is not PKCS #8", k.ID)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("token: key %q is not a P-256 key", k.ID)
	}
	public, err := newJWK(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("token: key %q: %w", k.ID, err)
	}
	if public.ID != k.ID {
		return nil, fmt.Errorf("token: key %q has the thumbprint %q", k.ID, public.ID)
	}
	return &signingKey{id: k.ID, private: private, created: k.Created, public: public}, nil
}

// secret derives 32 bytes for one purpose from the private key (RFC 5869).
func (k *signingKey) secret(purpose string) ([]byte, error) {
	private, err := k.private.Bytes()
	if err != nil {
		return nil, fmt.Errorf("token: secret: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, private, nil, "authgate "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("token: secret: %w", err)
	}
	return secret, nil
}

// newJWK describes a P-256 key; its id is the RFC 7638 thumbprint.
func newJWK(public *ecdsa.PublicKey) (jwk, error) {
	point, err := public.Bytes() // SEC 1, section 2.3.3: 4 | x | y
	if err != nil {
		return jwk{}, err
	}
	k := jwk{
		KeyType: "EC", Curve: "P-256",
		X:   base64.RawURLEncoding.EncodeToString(point[1 : 1+scalarSize]),
		Y:   base64.RawURLEncoding.EncodeToString(point[1+scalarSize:]),
		Use: "sig", Algorithm: algorithm,
	}
	// RFC 7638 section 3.2: the required members of an EC key, in lexicographic order, without whitespace.
	members, err := json.Marshal(struct {
		Curve   string `json:"crv"`
		KeyType string `json:"kty"`
		X       string `json:"x"`
		Y       string `json:"y"`
	}{k.Curve, k.KeyType, k.X, k.Y})
	if err != nil {
		return jwk{}, err
	}
	sum := sha256.Sum256(members)
	k.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}
