package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// Algorithm is a COSE algorithm.
type Algorithm int

const (
	ES256 Algorithm = -7
	EdDSA Algorithm = -8
	RS256 Algorithm = -257
)

// Key is the private key of a passkey.
type Key struct {
	Algorithm Algorithm
	signer    crypto.Signer
}

// NewKey makes a key.
func NewKey(a Algorithm) (Key, error) {
	var signer crypto.Signer
	var err error
	switch a {
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("passkeytest: unknown algorithm %d", a)
	}
	return Key{a, signer}, err
}

// COSE is the public key in the form of RFC 9053 and RFC 8230, canonical CBOR.
func (k Key) COSE() []byte {
	switch pub := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		return EC2(k.Algorithm, 1, point[1:33], point[33:])
	case ed25519.PublicKey:
		return OKP(k.Algorithm, pub)
	case *rsa.PublicKey:
		return RSA(k.Algorithm, pub.N.Bytes(), big.NewInt(int64(pub.E)).Bytes())
	}
	return nil
}

// EC2 is an elliptic curve key: P-256 is curve 1.
func EC2(a Algorithm, curve int, x, y []byte) []byte {
	return join(head(5, 5), number(1), number(2), number(3), number(int(a)), number(-1), number(curve), number(-2), text(2, x), number(-3), text(2, y))
}

// OKP is an Ed25519 key.
func OKP(a Algorithm, x []byte) []byte {
	return join(head(5, 4), number(1), number(1), number(3), number(int(a)), number(-1), number(6), number(-2), text(2, x))
}

// RSA is an RSA key.
func RSA(a Algorithm, n, e []byte) []byte {
	return join(head(5, 4), number(1), number(3), number(3), number(int(a)), number(-1), text(2, n), number(-2), text(2, e))
}

// Sign signs as authenticators do: ECDSA as ASN.1, RSA as PKCS #1 v1.5.
func (k Key) Sign(message []byte) ([]byte, error) {
	if k.Algorithm == EdDSA {
		return k.signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	hash := sha256.Sum256(message)
	return k.signer.Sign(rand.Reader, hash[:], crypto.SHA256)
}

// AttestationObject is what a registration brings.
type AttestationObject struct {
	Format     string
	Statement  []byte // a map in CBOR; default: an empty one
	AuthData   []byte
	ClientData []byte // what the statement may sign, beside AuthData
	Key        Key
}

// Packed makes it a self attestation (section 8.2) with this signature; nil: a good one.
func (o *AttestationObject) Packed(sig []byte) {
	if sig == nil {
		hash := sha256.Sum256(o.ClientData)
		var err error
		if sig, err = o.Key.Sign(join(o.AuthData, hash[:])); err != nil {
			panic(err)
		}
	}
	o.Format = "packed"
	o.Statement = Map("alg", number(int(o.Key.Algorithm)), "sig", text(2, sig))
}

func (o *AttestationObject) encode() []byte {
	statement := o.Statement
	if statement == nil {
		statement = Map()
	}
	return Map("fmt", text(3, []byte(o.Format)), "attStmt", statement, "authData", text(2, o.AuthData))
}

// Map is a map of texts to values that are CBOR already.
func Map(pairs ...any) []byte {
	out := head(5, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		out = join(out, text(3, []byte(pairs[i].(string))), pairs[i+1].([]byte))
	}
	return out
}

// Number is an integer in CBOR.
func Number(n int) []byte { return number(n) }

func number(n int) []byte {
	if n < 0 {
		return head(1, -1-n)
	}
	return head(0, n)
}

// text is a string of the major type 2 (bytes) or 3 (UTF-8).
func text(major int, b []byte) []byte { return join(head(major, len(b)), b) }

// head begins an item of CBOR (RFC 8949 section 3).
func head(major, n int) []byte {
	m := byte(major << 5)
	switch {
	case n < 24:
		return []byte{m | byte(n)}
	case n < 1<<8:
		return []byte{m | 24, byte(n)}
	case n < 1<<16:
		return []byte{m | 25, byte(n >> 8), byte(n)}
	}
	return []byte{m | 26, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
