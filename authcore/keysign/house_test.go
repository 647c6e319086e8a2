package keysign

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

const home = "https://app.example.com"

var ctx = context.Background()

// house is a ceremony with its store in memory, and a clock that a test turns.
type house struct {
	*SignIn
	now   time.Time
	store *memstore.Challenges
}

func build(tb testing.TB) *house {
	tb.Helper()
	store := memstore.NewChallenges(memstore.ChallengesConfig{})
	h := &house{now: time.Date(2026, 11, 22, 12, 0, 0, 250_999_999, time.UTC), store: store}
	h.SignIn = &SignIn{Challenges: store, Kinds: slices.Clone(kinds), Now: func() time.Time { return h.now }}
	if err := h.Validate(); err != nil {
		tb.Fatal(err)
	}
	return h
}

// begin asks for a message on the usual site.
func (h *house) begin(tb testing.TB, kind Kind, account string) Asked {
	tb.Helper()
	asked, err := h.Begin(ctx, Ask{Origin: home, Client: "client", Kind: kind, Account: account})
	if err != nil {
		tb.Fatal(err)
	}
	return asked
}

// signer has a key of each kind, made of one secret.
type signer struct {
	ed25519 ed25519.PrivateKey
	mldsa   *mldsa65.PrivateKey
}

func newSigner(number byte) signer {
	seed := bytes.Repeat([]byte{number}, 32)
	_, mldsa := mldsa65.NewKeyFromSeed((*[32]byte)(seed))
	return signer{ed25519.NewKeyFromSeed(seed), mldsa}
}

func (s signer) public() [32]byte { return [32]byte(s.ed25519.Public().(ed25519.PublicKey)) }

// whole is the ML-DSA-65 key as answers carry it.
func (s signer) whole() string {
	return "ml-dsa-65:" + hex.EncodeToString(s.mldsa.Public().(*mldsa65.PublicKey).Bytes())
}

func (s signer) account(kind Kind) Account {
	public := s.public()
	switch kind {
	case Solana:
		return Account{Solana, encode58(public)}
	case Ed25519:
		return Account{Ed25519, hex.EncodeToString(public[:])}
	}
	return mldsaAccount(s.mldsa.Public().(*mldsa65.PublicKey).Bytes())
}

// answer signs a message as the key of its kind does.
func (s signer) answer(tb testing.TB, message string) Answer {
	tb.Helper()
	a := Answer{Origin: home, Message: message}
	if kind, _ := KindOf(message); kind != MLDSA65 {
		a.Signature = "0x" + hex.EncodeToString(ed25519.Sign(s.ed25519, []byte(message)))
		return a
	}
	var sig [mldsa65.SignatureSize]byte
	if err := mldsa65.SignTo(s.mldsa, []byte(message), nil, true, sig[:]); err != nil {
		tb.Fatal(err)
	}
	a.Key, a.Signature = s.whole(), "0x"+hex.EncodeToString(sig[:])
	return a
}

// fill writes the address into a message whose account was left open, as a wallet does by SolanaSignInInput.
func fill(asked Asked, address string) string { return asked.text(Solana, address) }

// sequence is a source of bytes 1, 2, 3, …
type sequence struct{ n byte }

func (s *sequence) Read(b []byte) (int, error) {
	for i := range b {
		s.n++
		b[i] = s.n
	}
	return len(b), nil
}

// failing is a store that cannot work.
type failing struct{ authcore.Challenges }

func (failing) CreateChallenge(context.Context, authcore.Challenge, time.Time) error {
	return context.DeadlineExceeded
}

func (failing) ConsumeChallenge(context.Context, [32]byte, authcore.Binding, time.Time) (authcore.Challenge, error) {
	return authcore.Challenge{}, context.DeadlineExceeded
}

func flipped(signature string, at int) string {
	b, err := hex.DecodeString(strings.TrimPrefix(signature, "0x"))
	if err != nil {
		panic(err)
	}
	b[at] ^= 1
	return "0x" + hex.EncodeToString(b)
}
