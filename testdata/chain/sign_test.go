package chain

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

const (
	origin   = "https://gateway.example.test"
	patience = 20 * time.Second // a machine may have much else to do
)

// clock is the time of the vectors.
var clock = time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)

// issued is a store of challenges that issued whatever is answered, as often as it is asked: what is tested here comes
// after it.
type issued struct{ message string }

func (issued) CreateChallenge(context.Context, authcore.Challenge, time.Time) error { return nil }

func (i issued) ConsumeChallenge(context.Context, [32]byte, authcore.Binding, time.Time) (authcore.Challenge, error) {
	sum := sha256.Sum256([]byte(i.message))
	return authcore.Challenge{Data: sum[:]}, nil
}

func (issued) DeleteExpiredChallenges(context.Context, time.Time) (int, error) { return 0, nil }

// signIn finishes a sign-in with a message that was issued.
func signIn(ctx context.Context, contracts *wallet.Contracts, message, signature string) (wallet.Account, error) {
	s := &wallet.SignIn{Challenges: issued{message}, Contracts: contracts, Now: func() time.Time { return clock }}
	return s.Finish(ctx, wallet.Answer{Origin: origin, Message: message, Signature: signature})
}

// contracts answers what asks the chain. Only wallets of WalletFactory and of Safe's own factory are taken before they are
// deployed.
func (w *world) contracts(tb testing.TB) *wallet.Contracts {
	tb.Helper()
	c, err := wallet.NewContracts(wallet.ContractsConfig{
		Chains:    map[uint64][]string{chainID: {w.url}},
		Factories: []wallet.Address{wallet.Address(w.at["WalletFactory"]), wallet.Address(w.at["SafeProxyFactory"])},
		Timeout:   patience,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// asks is a message that the gateway issues for a wallet, and its hash.
func asks(tb testing.TB, account common.Address, chain uint64) (message string, hash [32]byte) {
	tb.Helper()
	message, err := wallet.Message{
		Domain: "gateway.example.test", Address: wallet.Address(account), Statement: "Sign in to the gateway.", URI: origin,
		Version: "1", ChainID: chain, Nonce: "n0nceN0nce1234567",
		IssuedAt: wallet.NewTimestamp(clock.Add(-time.Minute)), ExpirationTime: wallet.NewTimestamp(clock.Add(time.Minute)),
	}.Format()
	if err != nil {
		tb.Fatal(err)
	}
	return message, wallet.Hash(message)
}

// sign signs as wallets do, with v 27 or 28.
func sign(hash [32]byte, key *ecdsa.PrivateKey) []byte {
	sig, err := crypto.Sign(hash[:], key)
	if err != nil {
		panic(err)
	}
	sig[64] += 27
	return sig
}

// signEach is the signatures of several, by their addresses.
func signEach(hash [32]byte, keys ...*ecdsa.PrivateKey) []byte {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b *ecdsa.PrivateKey) int {
		return bytes.Compare(address(a).Bytes(), address(b).Bytes())
	})
	var all []byte
	for _, key := range keys {
		all = append(all, sign(hash, key)...)
	}
	return all
}

// signBound signs for a BoundWallet, which binds what it is asked to itself and its chain.
func signBound(account common.Address, hash [32]byte, key *ecdsa.PrivateKey) []byte {
	message := crypto.Keccak256(crypto.Keccak256([]byte("WalletMessage(bytes32 hash)")), hash[:])
	return sign(crypto.Keccak256Hash([]byte{0x19, 0x01}, domainOf(account), message), key)
}

// wrap is a signature of a wallet that is not deployed, and how it is deployed (ERC-6492).
func wrap(factory common.Address, call, signature []byte) []byte {
	kind := func(name string) abi.Argument {
		t, err := abi.NewType(name, "", nil)
		if err != nil {
			panic(err)
		}
		return abi.Argument{Type: t}
	}
	body, err := abi.Arguments{kind("address"), kind("bytes"), kind("bytes")}.Pack(factory, call, signature)
	if err != nil {
		panic(err)
	}
	return append(body, bytes.Repeat([]byte{0x64, 0x92}, 16)...)
}

func address(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func ascending(addresses ...common.Address) []common.Address {
	slices.SortFunc(addresses, func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
	return addresses
}

func hex(b []byte) string { return hexutil.Encode(b) }
