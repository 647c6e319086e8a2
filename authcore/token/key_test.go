package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// RFC 7638 has no example of an EC key; this one is that of RFC 7517 appendix A.1, its thumbprint computed elsewhere.
func TestThumbprint(t *testing.T) {
	x, y := decode(t, "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"), decode(t, "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte("\x04"+x+y))
	if err != nil {
		t.Fatal(err)
	}
	k, err := newJWK(public)
	if err != nil || k.ID != "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s" {
		t.Errorf("thumbprint %q, %v", k.ID, err)
	}
}

// A store from which a wrong key comes must not lead to tokens that nobody can verify, or to another algorithm.
func TestWrongKeyInTheStore(t *testing.T) {
	good, err := newKey(rand.Reader, start)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKey(rand.Reader, start)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der := func(key any) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	thumbprint, err := newJWK(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]authcore.Key{
		"not a key":           {ID: good.ID, PKCS8: []byte("secret stuff"), Created: start},
		"another key":         {ID: good.ID, PKCS8: other.PKCS8, Created: start},
		"a key of P-384":      {ID: thumbprint.ID, PKCS8: der(p384), Created: start},
		"a key of RSA":        {ID: good.ID, PKCS8: der(rsaKey), Created: start},
		"key without content": {ID: good.ID, Created: start},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			if err := store.AddKey(t.Context(), k, ""); err != nil {
				t.Fatal(err)
			}
			_, _, err := instance(store, newClock()).Access(t.Context(), origin, []string{origin}, alice())
			if !errors.Is(err, authcore.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret stuff") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// A source of randomness that is stuck must not yield a key that everybody can guess, nor an endless loop.
func TestNewKeyFromBadRandomness(t *testing.T) {
	n := elliptic.P256().Params().N
	for name, source := range map[string][]byte{
		"zeros":      make([]byte, 64),
		"the order":  slices.Concat(n.Bytes(), n.Bytes()),
		"all ones":   bytes.Repeat([]byte{0xff}, 64),
		"runs short": make([]byte, 31),
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := newKey(bytes.NewReader(source), start); err == nil {
				t.Errorf("made %q", k.ID)
			}
		})
	}
	// One unlucky draw is none.
	largest := new(big.Int).Sub(n, big.NewInt(1))
	if _, err := newKey(bytes.NewReader(slices.Concat(n.Bytes(), largest.Bytes())), start); err != nil {
		t.Error(err)
	}
}
