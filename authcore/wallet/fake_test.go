package wallet

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore"
)

// challenges is a store of challenges as small as its contract allows.
type challenges struct {
	mu      sync.Mutex
	open    map[[32]byte]authcore.Challenge
	created []authcore.Challenge
	fail    error // answered by every method, where it is set
}

func (s *challenges) CreateChallenge(_ context.Context, c authcore.Challenge, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.open == nil {
		s.open = make(map[[32]byte]authcore.Challenge)
	}
	s.open[c.ID] = c
	s.created = append(s.created, c)
	return nil
}

func (s *challenges) ConsumeChallenge(_ context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return authcore.Challenge{}, s.fail
	}
	c, ok := s.open[id]
	if !ok {
		return authcore.Challenge{}, authcore.ErrChallengeNotFound
	}
	delete(s.open, id)
	if err := c.Check(want, now); err != nil {
		return authcore.Challenge{}, err
	}
	return c, nil
}

func (s *challenges) DeleteExpiredChallenges(_ context.Context, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for id, c := range s.open {
		if !c.Expires.After(before) {
			delete(s.open, id)
			n++
		}
	}
	return n, s.fail
}

// signer is a wallet that is a plain key.
type signer struct {
	key     *ecdsa.PrivateKey
	address Address
}

// newSigner makes the wallet with this number as key.
func newSigner(tb testing.TB, number byte) signer {
	tb.Helper()
	var secret [32]byte
	secret[31] = number
	key, err := crypto.ToECDSA(secret[:])
	if err != nil {
		tb.Fatal(err)
	}
	return signer{key, Address(crypto.PubkeyToAddress(key.PublicKey))}
}

// sign signs as wallets do, with v 27 or 28.
func (s signer) sign(tb testing.TB, text string) string {
	tb.Helper()
	hash := Hash(text)
	sig, err := crypto.Sign(hash[:], s.key)
	if err != nil {
		tb.Fatal(err)
	}
	sig[64] += 27
	return "0x" + hex.EncodeToString(sig)
}
