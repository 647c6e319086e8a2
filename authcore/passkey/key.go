package passkey

import (
	"errors"
	"fmt"
	"math/big"

	"filippo.io/edwards25519"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

const (
	maxKey         = 1024       // bytes; one of RSA with 4096 bits has some 530
	minRSA, maxRSA = 2048, 4096 // bits
	maxExponent    = 1<<31 - 1
)

// checkKey refuses a public key with which nobody, or anybody, could sign in. The library finds the former at the first
// sign-in only, and has no opinion of the latter.
func checkKey(cose []byte) error {
	// It is stored, and read at every sign-in; COSE allows for any number of unknown members.
	if len(cose) > maxKey {
		return fmt.Errorf("public key: %d bytes", len(cose))
	}
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return err
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		// ParsePublicKey has seen that the point is on the curve of its algorithm.
		return nil
	case webauthncose.OKPPublicKeyData:
		p, err := new(edwards25519.Point).SetBytes(k.XCoord)
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		// With a point of small order anybody's signature is good (RFC 8032 leaves this to the verifier).
		if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
			return errors.New("public key: of small order")
		}
		return nil
	case webauthncose.RSAPublicKeyData:
		// Beyond the upper bound every sign-in would cost seconds.
		if n := new(big.Int).SetBytes(k.Modulus).BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("public key: RSA of %d bits", n)
		}
		if e, err := webauthncose.ParseRSAPublicKeyDataExponent(&k); err != nil || e < 3 || e > maxExponent || e&1 == 0 {
			return errors.New("public key: RSA exponent")
		}
		return nil
	}
	return errors.New("public key: of another kind")
}
