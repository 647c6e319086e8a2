package chain

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

const (
	vectors = "../../../shared/vectors/ethereum/own"
	safes   = "../e2e/node_modules/@safe-global/safe-contracts/build/artifacts/contracts"
)

// artifact is a compiled contract.
type artifact struct {
	ABI      abi.ABI       `json:"abi"`
	Creation hexutil.Bytes `json:"bytecode"`
	Runtime  hexutil.Bytes `json:"deployedBytecode"`
}

// shape is a wallet of the vectors, with a signature that is said to be its.
type shape struct {
	Name      string          `json:"name"`
	Address   common.Address  `json:"address"`
	Message   string          `json:"message"`
	Hash      common.Hash     `json:"hash"`
	Signature string          `json:"signature"`
	Viem      bool            `json:"viem"`
	Expect    json.RawMessage `json:"expectStrict"` // true, false, or a word of what decides
	Note      string          `json:"note"`
}

// world is a chain with all contracts of the vectors at their addresses.
type world struct {
	*chain
	artifacts map[string]artifact
	at        map[string]common.Address // by name
	shapes    []shape
	owner     *ecdsa.PrivateKey // of the wallets
	other     *ecdsa.PrivateKey
	third     *ecdsa.PrivateKey
	salt      atomic.Int64 // of the last Safe
}

func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func newWorld() (*world, error) {
	var matrix struct {
		Deployments map[string]common.Address `json:"deployments"`
		Keys        map[string]hexutil.Bytes  `json:"keys"`
		Cases       []shape                   `json:"cases"`
	}
	w := &world{artifacts: map[string]artifact{}}
	w.salt.Store(100)
	if err := readJSON(filepath.Join(vectors, "contract-matrix.json"), &matrix); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(vectors, "wallet-artifacts.json"), &w.artifacts); err != nil {
		return nil, err
	}
	w.at, w.shapes = matrix.Deployments, matrix.Cases
	for name, file := range map[string]string{
		"SafeSingleton":       "Safe.sol/Safe.json",
		"SafeProxyFactory":    "proxies/SafeProxyFactory.sol/SafeProxyFactory.json",
		"SafeProxy":           "proxies/SafeProxy.sol/SafeProxy.json",
		"SignMessageLib":      "libraries/SignMessageLib.sol/SignMessageLib.json",
		"SafeFallbackHandler": "handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json",
	} {
		var a artifact
		if err := readJSON(filepath.Join(safes, filepath.FromSlash(file)), &a); err != nil {
			return nil, fmt.Errorf("the contracts of Safe are not installed (npm ci in testdata/e2e): %w", err)
		}
		w.artifacts[name] = a
	}
	for name, key := range map[string]**ecdsa.PrivateKey{"owner": &w.owner, "other": &w.other, "third": &w.third} {
		k, err := crypto.ToECDSA(matrix.Keys[name])
		if err != nil {
			return nil, err
		}
		*key = k
	}
	var err error
	if w.chain, err = newChain(w.delegated()); err != nil {
		return nil, err
	}
	return w, w.deployAll()
}

// delegated answers the accounts of the vectors that delegated their code (EIP-7702), whose keys are not told.
func (w *world) delegated() types.GenesisAlloc {
	alloc := types.GenesisAlloc{}
	for name, delegate := range map[string]string{
		"7702 no 1271: other key":      "DelegateNo1271",
		"7702 with 1271: other key":    "DelegateWith1271",
		"7702 session key: other key":  "DelegateSession",
		"7702 yes-delegate: other key": "DelegateYes",
	} {
		for _, s := range w.shapes {
			if s.Name == name {
				account := types.Account{Code: types.AddressToDelegation(w.at[delegate]), Balance: big.NewInt(0)}
				if delegate == "DelegateSession" {
					account.Storage = map[common.Hash]common.Hash{{}: common.BytesToHash(signerOf(s).Bytes())}
				}
				alloc[s.Address] = account
			}
		}
	}
	return alloc
}

// signerOf answers whose key signed, whatever the address of the wallet.
func signerOf(s shape) common.Address {
	sig := hexutil.MustDecode(s.Signature)
	sig[64] -= 27
	key, err := crypto.SigToPub(s.Hash[:], sig)
	if err != nil {
		panic(err)
	}
	return crypto.PubkeyToAddress(*key)
}

// deployAll deploys in the order of the vectors, so that the addresses are theirs, too.
func (w *world) deployAll() error {
	owner := address(w.owner)
	for _, d := range []struct {
		name string
		args []any
	}{
		{"OwnerWallet", []any{owner}},
		{"BoundWallet", []any{owner}},
		{"MultiWallet", []any{w.owners(), big.NewInt(2)}},
		{"RevertWallet", nil},
		{"RejectWallet", nil},
		{"ZeroWallet", nil},
		{"BoolWallet", nil},
		{"LegacyWallet", nil},
		{"ShortReturnWallet", nil},
		{"DirtyReturnWallet", nil},
		{"RightAlignedWallet", nil},
		{"EchoWallet", nil},
		{"BombWallet", nil},
		{"LoopWallet", nil},
		{"YesWallet", nil},
		{"TimedWallet", []any{owner, big.NewInt(1 << 40)}},
		{"WritingWallet", []any{owner}},
		{"WalletFactory", nil},
		{"ForSaleWallet", []any{owner}},
		{"Chain2", nil},
		{"DelegateNo1271", nil},
		{"DelegateWith1271", nil},
		{"DelegateSession", nil},
		{"DelegateYes", nil},
		{"SafeSingleton", nil},
		{"SafeProxyFactory", nil},
		{"SafeFallbackHandler", nil},
	} {
		got, err := w.deploy(w.creation(d.name, d.args...))
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if want := w.at[d.name]; got != want {
			return fmt.Errorf("%s is at %s, not at %s", d.name, got, want)
		}
	}
	safe, err := w.safeWith(1, 2, owner, address(w.other))
	if err != nil {
		return err
	}
	if want := w.at["Safe2of2"]; safe != want {
		return fmt.Errorf("the Safe is at %s, not at %s", safe, want)
	}
	// Of the wallets that are not deployed one is meanwhile.
	factory := w.at["WalletFactory"]
	_, err = w.send(&factory, w.creates(ownerWallet, owner, 2))
	return err
}

// The kinds of wallet that WalletFactory deploys.
const (
	ownerWallet = iota
	boundWallet
	forSaleWallet
)

// creates is the call by which WalletFactory deploys a wallet.
func (w *world) creates(kind uint8, owner common.Address, salt int64) []byte {
	return w.call("WalletFactory", "create", kind, owner, number(salt))
}

// willBe answers where WalletFactory deploys a wallet.
func (w *world) willBe(kind uint8, owner common.Address, salt int64) (common.Address, error) {
	factory := w.at["WalletFactory"]
	out, err := w.backend.Client().CallContract(context.Background(), ethereum.CallMsg{
		To: &factory, Data: w.call("WalletFactory", "addressOf", kind, owner, number(salt)),
	}, nil)
	return common.BytesToAddress(out), err
}

func number(n int64) [32]byte { return common.BigToHash(big.NewInt(n)) }

// creation is what deploys a contract.
func (w *world) creation(name string, args ...any) []byte {
	a := w.artifacts[name]
	packed, err := a.ABI.Pack("", args...)
	if err != nil {
		panic(err)
	}
	return append(append([]byte{}, a.Creation...), packed...)
}

// call is what calls a function of a contract.
func (w *world) call(name, function string, args ...any) []byte {
	packed, err := w.artifacts[name].ABI.Pack(function, args...)
	if err != nil {
		panic(err)
	}
	return packed
}

// owners of what has three, ascending, as such wallets want them.
func (w *world) owners() []common.Address {
	return ascending(address(w.owner), address(w.other), address(w.third))
}
