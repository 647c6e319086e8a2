package keysign

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Messages and signatures of other implementations: testdata/foreign.mjs makes them.
func TestForeignAnswers(t *testing.T) {
	b, err := os.ReadFile("testdata/foreign.json")
	if err != nil {
		t.Fatal(err)
	}
	var foreign struct {
		Answers []struct {
			By                               string
			Kind                             Kind
			Account, Message, Key, Signature string
		}
		Base58 [][2]string
	}
	if err := json.Unmarshal(b, &foreign); err != nil {
		t.Fatal(err)
	}
	for _, f := range foreign.Answers {
		t.Run(f.By+", "+string(f.Kind), func(t *testing.T) {
			h := build(t)
			h.Rand = &sequence{}
			asked := h.begin(t, f.Kind, f.Account)
			if asked.Message != f.Message {
				t.Fatalf("message:\n%s\nwant:\n%s", asked.Message, f.Message)
			}
			got, err := h.Finish(ctx, Answer{Origin: home, Message: f.Message, Signature: f.Signature, Key: f.Key})
			if err != nil || got.Key() != f.Account {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	for _, pair := range foreign.Base58 {
		want, err := hex.DecodeString(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := encode58([32]byte(want)); got != pair[1] {
			t.Errorf("%x is %s, want %s", want, got, pair[1])
		}
		if got, ok := decode58(pair[1]); !ok || got != [32]byte(want) {
			t.Errorf("%s is %x", pair[1], got)
		}
	}
	if len(foreign.Answers) < 8 || len(foreign.Base58) < 4 {
		t.Error("vectors are missing")
	}
}

func TestSignIn(t *testing.T) {
	s := newSigner(1)
	for _, kind := range kinds {
		h := build(t)
		account := s.account(kind)
		asked := h.begin(t, kind, account.Key())
		if asked.Account != account || !asked.Expires.Equal(asked.IssuedAt.Add(time.Minute)) {
			t.Errorf("%s: %+v", kind, asked)
		}
		if got, err := h.Finish(ctx, s.answer(t, asked.Message)); err != nil || got != account {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
		// Once.
		if _, err := h.Finish(ctx, s.answer(t, asked.Message)); !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%s: replayed: %v", kind, err)
		}
		asked = h.begin(t, kind, account.Key())
		h.now = asked.Expires
		if _, err := h.Finish(ctx, s.answer(t, asked.Message)); !errors.Is(err, authcore.ErrChallengeExpired) {
			t.Errorf("%s: late: %v", kind, err)
		}
	}
}

// A wallet that is asked by SolanaSignInInput without an address writes its own.
func TestOpenAccount(t *testing.T) {
	h, s := build(t), newSigner(1)
	asked := h.begin(t, Solana, "")
	if asked.Message != "" || asked.Account != (Account{}) {
		t.Errorf("%+v", asked)
	}
	account := s.account(Solana)
	got, err := h.Finish(ctx, s.answer(t, fill(asked, account.Name)))
	if err != nil || got != account {
		t.Errorf("%v, %v", got, err)
	}
	// Programs know their key.
	for _, kind := range []Kind{Ed25519, MLDSA65} {
		if _, err := h.Begin(ctx, Ask{Origin: home, Kind: kind}); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s without a key: %v", kind, err)
		}
	}
}

func TestBeginRefusals(t *testing.T) {
	s := newSigner(1)
	h := build(t)
	for _, c := range []struct {
		name string
		ask  Ask
		want error
	}{
		{"a key of another kind", Ask{Origin: home, Kind: Ed25519, Account: s.account(Solana).Key()}, ErrInvalidKey},
		{"a Solana wallet as a key", Ask{Origin: home, Kind: Solana, Account: s.account(Ed25519).Key()}, ErrInvalidKey},
		{"no key", Ask{Origin: home, Kind: Ed25519, Account: "ed25519:"}, ErrInvalidKey},
		{"unknown kind", Ask{Origin: home, Kind: "rsa", Account: "rsa:1"}, ErrKindOff},
	} {
		if _, err := h.Begin(ctx, c.ask); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	h.Kinds = []Kind{Ed25519}
	if _, err := h.Begin(ctx, Ask{Origin: home, Kind: Solana}); !errors.Is(err, ErrKindOff) {
		t.Errorf("a kind that is off: %v", err)
	}
	if _, err := h.Begin(ctx, Ask{Origin: "app.example.com", Kind: Ed25519, Account: s.account(Ed25519).Key()}); err == nil {
		t.Error("an origin without scheme")
	}
	h.Challenges = failing{}
	if _, err := h.Begin(ctx, Ask{Origin: home, Kind: Ed25519, Account: s.account(Ed25519).Key()}); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("a store that is down: %v", err)
	}
	asked := build(t).begin(t, Ed25519, s.account(Ed25519).Key())
	if _, err := h.Finish(ctx, s.answer(t, asked.Message)); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("a store that is down: %v", err)
	}
}

// What is switched off while a challenge waits is off for it too.
func TestSwitchedOff(t *testing.T) {
	h, s := build(t), newSigner(1)
	asked := h.begin(t, Solana, "")
	h.Kinds = []Kind{Ed25519, MLDSA65}
	if _, err := h.Finish(ctx, s.answer(t, fill(asked, s.account(Solana).Name))); !errors.Is(err, ErrKindOff) {
		t.Errorf("%v", err)
	}
}

// Of many at once one gets in.
func TestFinishRace(t *testing.T) {
	h, s := build(t), newSigner(1)
	answer := s.answer(t, h.begin(t, Solana, s.account(Solana).Key()).Message)
	var all sync.WaitGroup
	won := make(chan Account, 64)
	for range cap(won) {
		all.Go(func() {
			if a, err := h.Finish(ctx, answer); err == nil {
				won <- a
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Errorf("%d got in", len(won))
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   SignIn
		ok   bool
	}{
		{"nothing", SignIn{}, true},
		{"all", SignIn{Kinds: kinds, Cluster: "devnet", Statement: "Sign in to Example."}, true},
		{"unknown kind", SignIn{Kinds: []Kind{"rsa"}}, false},
		{"a kind twice", SignIn{Kinds: []Kind{Solana, Solana}}, false},
		{"unknown cluster", SignIn{Cluster: "moon"}, false},
		{"two lines", SignIn{Statement: "a\nURI: b"}, false},
		{"not ASCII", SignIn{Statement: "ä"}, false},
		{"long statement", SignIn{Statement: strings.Repeat("a", 1025)}, false},
		{"negative life", SignIn{TTL: -1}, false},
	} {
		if err := c.in.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
