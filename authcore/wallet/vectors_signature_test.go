package wallet

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestVectorsEIP55(t *testing.T) {
	var cases []struct {
		Address       string
		ChecksumValid bool
	}
	readVectors(t, "eip55.json", &cases)
	for _, c := range cases {
		a, err := ParseAddress(c.Address)
		if err != nil {
			t.Errorf("%s: %v", c.Address, err)
		}
		if (a.String() == c.Address) != c.ChecksumValid {
			t.Errorf("%s is written %s", c.Address, a)
		}
	}
	var accounts []struct{ Name, Address, PrivateKey string }
	readVectors(t, "ethers/accounts-eip55.json", &accounts)
	for _, c := range accounts {
		a, err := ParseAddress(c.Address)
		if c.Address == common.HexToAddress("0").Hex() {
			if !errors.Is(err, ErrInvalidAddress) {
				t.Errorf("zero address: %v", err)
			}
			continue
		}
		if err != nil || a.String() != c.Address {
			t.Errorf("%s: %s is written %s, %v", c.Name, c.Address, a, err)
		}
		if c.PrivateKey == "" {
			continue
		}
		key, err := crypto.HexToECDSA(c.PrivateKey[2:])
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		sig, err := crypto.Sign(hashOf("hello"), key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Recover("hello", sig); err != nil || got != a {
			t.Errorf("%s: recovered %s, %v", c.Name, got, err)
		}
	}
}

func hashOf(text string) []byte {
	h := Hash(text)
	return h[:]
}

func TestVectorsEIP191(t *testing.T) {
	var cases []struct{ Message, MessageSource, Hash string }
	for _, file := range []string{"eip191-hash.json", "ethers/eip191-hash.json"} {
		cases = nil
		readVectors(t, file, &cases)
		for _, c := range cases {
			if c.MessageSource != "" {
				c.Message = strings.Trim(c.MessageSource, `"`)
			}
			if got := "0x" + hex.EncodeToString(hashOf(c.Message)); got != c.Hash {
				t.Errorf("%q: %s, want %s", c.Message, got, c.Hash)
			}
		}
	}
}

func TestVectorsSIWESignatures(t *testing.T) {
	type signed struct {
		fields
		Signature string
	}
	var cases map[string]signed
	readVectors(t, "siwe/verification_positive.json", &cases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text, err := c.format()
			if err != nil {
				t.Fatal(err)
			}
			m, _ := c.message()
			if account, err := new(SignIn).verify(t.Context(), m, Answer{Message: text, Signature: c.Signature}); err != nil || account.Key() != c.Address {
				t.Errorf("%s, %v", account.Key(), err)
			}
		})
	}
	// Judged at the moment they were issued: what is wrong with each is told beside it.
	wrong := map[string]error{
		"expired message":     authcore.ErrChallengeExpired,
		"custom time":         authcore.ErrChallengeExpired, // its clock is a hundred years later
		"malformed signature": ErrInvalidSignature,
		"not yet valid":       ErrInvalidMessage,
	}
	var negative map[string]struct {
		signed
		Time string
	}
	readVectors(t, "siwe/verification_negative.json", &negative)
	for name, c := range negative {
		t.Run("negative/"+name, func(t *testing.T) {
			text, err := c.format()
			if name == "invalid notBefore" { // February 31st
				if err == nil {
					t.Errorf("formatted\n%s", text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			clock := c.IssuedAt
			if c.Time != "" {
				clock = c.Time
			}
			if account, err := finishVector(t, c.URI, c.Nonce, clock, text, c.Signature); !errors.Is(err, wrong[name]) || err == nil {
				t.Errorf("%+v, %v, want %v", account, err, wrong[name])
			}
		})
	}
}

// finishVector lets a SignIn that has issued this nonce judge a message at this time.
func finishVector(t *testing.T, origin, nonce, clock, text, signature string) (Account, error) {
	t.Helper()
	now := timestamp(t, clock).Time()
	store := &challenges{open: map[[32]byte]authcore.Challenge{
		authcore.HashSecret(nonce): {
			Binding: authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: origin},
			Expires: now.Add(time.Second),
		},
	}}
	signIn := SignIn{Challenges: store, Now: func() time.Time { return now }}
	return signIn.Finish(context.Background(), Answer{Origin: origin, Message: text, Signature: signature})
}

func TestVectorsEOA(t *testing.T) {
	var file struct {
		Clock string
		Cases []struct {
			Name, Address, Message, Signature, Why, MessageHash string
			Valid                                               any
		}
	}
	readVectors(t, "own/eoa-signatures.json", &file)
	if len(file.Cases) < 53 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	refused := map[string]string{
		"EIP-2098 compact 64 bytes": "a second signature for the same message; wallets do not send it",
		"no 0x":                     "one form of hexadecimal",
		"0X prefix":                 "one form of hexadecimal",
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			want, decided := c.Valid.(bool)
			if _, ours := refused[c.Name]; !decided && !ours {
				t.Fatalf("no policy on this signature (%s)", c.Why)
			}
			if c.Name == "1 MB of hex" {
				c.Signature = "0x" + strings.Repeat("ab", 1<<20)
			}
			if got := "0x" + hex.EncodeToString(hashOf(c.Message)); got != c.MessageHash {
				t.Errorf("hash %s, want %s", got, c.MessageHash)
			}
			account, err := finishVector(t, "https://app.example.test", "Ab3dEf6hIj9kLm2n", file.Clock, c.Message, c.Signature)
			if (err == nil) != want || err == nil && account.Key() != c.Address {
				t.Errorf("%s, %v, want %v (%s)", account.Key(), err, want, c.Why)
			}
			if err != nil && !errors.Is(err, ErrInvalidSignature) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The precompile takes 32 bytes of v and the upper half of s; a sign-in takes neither.
func TestVectorsECRecover(t *testing.T) {
	var cases []struct{ Name, Input, Expected string }
	readVectors(t, "go-ethereum/ecRecover.json", &cases)
	half := new(big.Int).Rsh(crypto.S256().Params().N, 1)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			in, err := hex.DecodeString(c.Input)
			if err != nil {
				t.Fatal(err)
			}
			in = in[:128] // the precompile ignores what follows
			hash, v, r, s := [32]byte(in[:32]), in[32:64], in[64:96], new(big.Int).SetBytes(in[96:])
			if !bytes.Equal(v[:31], make([]byte, 31)) {
				if c.Expected != "" {
					t.Fatal("a v that a signature cannot carry")
				}
				return
			}
			sig := append(bytes.Clone(r), append(bytes.Clone(in[96:]), v[31])...)
			if s.Cmp(half) > 0 {
				if _, err := recoverHash(hash, sig); !errors.Is(err, ErrInvalidSignature) {
					t.Errorf("high s: %v", err)
				}
				new(big.Int).Sub(crypto.S256().Params().N, s).FillBytes(sig[32:64])
				sig[64] = 27 + 28 - sig[64]
			}
			got, err := recoverHash(hash, sig)
			if c.Expected == "" {
				if err == nil {
					t.Errorf("recovered %s", got)
				}
				return
			}
			if err != nil || hex.EncodeToString(got[:]) != c.Expected[24:] {
				t.Errorf("%s, %v, want %s", got, err, c.Expected)
			}
		})
	}
}
