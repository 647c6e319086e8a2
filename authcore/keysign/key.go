package keysign

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
)

// Kind is what a key is, and what it is used as; its text begins the credential keys of its kind.
type Kind string

const (
	Solana  Kind = "solana"    // the Ed25519 key of a Solana wallet
	Ed25519 Kind = "ed25519"   // an Ed25519 key of a program
	MLDSA65 Kind = "ml-dsa-65" // an ML-DSA-65 key of a program
)

// kinds are all there are.
var kinds = []Kind{Solana, Ed25519, MLDSA65}

// Account is who signed in, or is to: a key by its name.
type Account struct {
	Kind Kind
	// Name is the address of a Solana wallet in base 58, an Ed25519 key in 64 lower-case hex digits, or the SHA-256 of an
	// ML-DSA-65 key likewise.
	Name string
}

// Key is the credential key of the account: its kind, a colon and its name. A Solana wallet is the same on every cluster,
// as it is a plain key.
func (a Account) Key() string { return string(a.Kind) + ":" + a.Name }

// ParseAccount reads a credential key. An ML-DSA-65 key may also be written as a whole, in hex digits. What is not the one
// spelling of a key that somebody can have is refused with ErrInvalidKey.
func ParseAccount(s string) (Account, error) {
	kind, name, _ := strings.Cut(s, ":")
	a := Account{Kind: Kind(kind), Name: name}
	switch a.Kind {
	case Solana, Ed25519:
		_, err := a.ed25519()
		if err != nil {
			return Account{}, err
		}
		return a, nil
	case MLDSA65:
		if len(name) == 2*mldsa65.PublicKeySize {
			whole, ok := decodeHex(name, mldsa65.PublicKeySize)
			if !ok {
				return Account{}, fmt.Errorf("keysign: parse key: not lower-case hexadecimal: %w", ErrInvalidKey)
			}
			return mldsaAccount(whole), nil
		}
		if _, ok := decodeHex(name, sha256.Size); !ok {
			return Account{}, fmt.Errorf("keysign: parse key: not the hexadecimal SHA-256 of a key: %w", ErrInvalidKey)
		}
		return a, nil
	}
	return Account{}, fmt.Errorf("keysign: parse key: not solana:, ed25519: or ml-dsa-65: and a key: %w", ErrInvalidKey)
}

// mldsaAccount names an ML-DSA-65 key. The key itself has 1952 bytes, too many for a name.
func mldsaAccount(whole []byte) Account {
	sum := sha256.Sum256(whole)
	return Account{Kind: MLDSA65, Name: hex.EncodeToString(sum[:])}
}

// ed25519 answers the key behind the name of a Solana wallet or an Ed25519 key.
func (a Account) ed25519() (key [32]byte, err error) {
	var ok bool
	if a.Kind == Solana {
		key, ok = decode58(a.Name)
	} else {
		var b []byte
		if b, ok = decodeHex(a.Name, len(key)); ok {
			key = [32]byte(b)
		}
	}
	if !ok {
		return key, fmt.Errorf("keysign: parse key: not 32 bytes in their one spelling: %w", ErrInvalidKey)
	}
	return key, checkPoint(key)
}

// minusOne is the scalar l-1, l being the order of the base point.
var minusOne = func() *edwards25519.Scalar {
	one := [32]byte{1}
	s, err := edwards25519.NewScalar().SetCanonicalBytes(one[:])
	if err != nil {
		panic(err) // 1 is less than l
	}
	return s.Negate(s)
}()

// checkPoint refuses what nobody has as a public key: no point of the curve (as are accounts that programs on Solana own)
// and points outside of the group that the base point makes. With a point of small order anybody's signature would be
// good; with one that has such a part, verifiers disagree about signatures, and one secret would have eight keys (RFC 8032
// section 5.1.7 leaves this to the verifier). The second spellings that the library takes, with y of p or more (section
// 5.1.3), are of points outside of that group, all of them.
func checkPoint(key [32]byte) error {
	p, err := new(edwards25519.Point).SetBytes(key[:])
	if err != nil {
		return fmt.Errorf("keysign: key: not a point: %w", ErrInvalidKey)
	}
	identity := edwards25519.NewIdentityPoint()
	if new(edwards25519.Point).MultByCofactor(p).Equal(identity) == 1 {
		return fmt.Errorf("keysign: key: of small order: %w", ErrInvalidKey)
	}
	// l times p is the identity exactly where p is in the group of order l.
	all := new(edwards25519.Point).ScalarMult(minusOne, p)
	if all.Add(all, p).Equal(identity) != 1 {
		return fmt.Errorf("keysign: key: not of prime order: %w", ErrInvalidKey)
	}
	return nil
}

// decodeHex reads exactly n bytes in lower-case hex digits, so that a name has one spelling.
func decodeHex(s string, n int) ([]byte, bool) {
	if len(s) != 2*n || s != strings.ToLower(s) {
		return nil, false
	}
	b, err := hex.DecodeString(s)
	return b, err == nil
}
