package chain

import (
	"context"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// BenchmarkSignIn judges answers of wallets of each kind; "chain" beside them is how long the chain itself takes to be asked
// the same by the client of go-ethereum: its own answer, without a gateway.
func BenchmarkSignIn(b *testing.B) {
	w := theWorld(b)
	contracts, err := wallet.NewContracts(wallet.ContractsConfig{
		Chains:    map[uint64][]string{chainID: {w.url}},
		Factories: []wallet.Address{wallet.Address(w.at["WalletFactory"])},
		PerClient: 64, Timeout: patience,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(contracts.Close)
	client, err := ethclient.Dial(w.url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	must := func(a common.Address, err error) common.Address {
		if err != nil {
			b.Fatal(err)
		}
		return a
	}
	one := must(w.newSafe(1, address(w.owner)))
	delegated, err := crypto.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	if err := w.delegate(delegated, w.at["DelegateSession"], w.call("DelegateSession", "init", address(w.other))); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct {
		name    string
		account common.Address
		sign    func(hash [32]byte) []byte
		deploys bool
	}{
		{"key", address(w.owner), func(hash [32]byte) []byte { return sign(hash, w.owner) }, false},
		{"contract", w.at["OwnerWallet"], func(hash [32]byte) []byte { return sign(hash, w.owner) }, false},
		{"safe-1", one, func(hash [32]byte) []byte { return signSafe(one, hash, w.owner) }, false},
		{"safe-2", w.at["Safe2of2"], func(hash [32]byte) []byte { return signSafe(w.at["Safe2of2"], hash, w.owner, w.other) }, false},
		{"delegated", address(delegated), func(hash [32]byte) []byte { return sign(hash, w.other) }, false},
		{"undeployed", must(w.willBe(ownerWallet, address(w.owner), 7)), func(hash [32]byte) []byte {
			return wrap(w.at["WalletFactory"], w.creates(ownerWallet, address(w.owner), 7), sign(hash, w.owner))
		}, true},
	} {
		message, hash := asks(b, kind.account, chainID)
		signature := kind.sign(hash)
		text := hex(signature)
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := signIn(b.Context(), contracts, message, text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign-ins/s")
		})
		b.Run(kind.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := signIn(b.Context(), contracts, message, text); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign-ins/s")
		})
		if kind.account == address(w.owner) || kind.deploys {
			continue // a plain key asks no chain, and of an undeployed wallet no single call answers
		}
		packed, err := w.artifacts["OwnerWallet"].ABI.Pack("isValidSignature", hash, signature)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(kind.name+"/chain", func(b *testing.B) {
			for b.Loop() {
				answer, err := client.CallContract(context.Background(), ethereum.CallMsg{To: &kind.account, Data: packed, Gas: 3_000_000}, nil)
				if err != nil || len(answer) != 32 || answer[0] != 0x16 {
					b.Fatal(answer, err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
		})
	}
}
