package wallet

import (
	"context"
	"testing"
)

// benchmarkSignIn is Begin, the wallet's part (not timed), and Finish.
func benchmarkSignIn(b *testing.B, h *house, ask Ask, sign func(message string) string) {
	b.ReportAllocs()
	for b.Loop() {
		asked := h.begin(b, ask)
		b.StopTimer()
		sig := sign(asked.Message)
		h.store.created = nil
		b.StartTimer()
		if _, err := h.finish(asked.Message, sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignInByKind is the sign-in of a key, of a contract, and of one that is not deployed yet, on a chain of this
// process over HTTP.
func BenchmarkSignInByKind(b *testing.B) {
	h, f := contractHouse(b, func(c *ContractsConfig) { c.Factories = []Address{someFactory} })
	f.deploy(someFactory, says(addressWord(contractWallet)))
	f.simulated = says(yes)
	b.Run("key", func(b *testing.B) {
		w := newSigner(b, 1)
		benchmarkSignIn(b, h, Ask{Address: w.address.String(), ChainID: 10}, func(m string) string { return w.sign(b, m) })
	})
	contract := Ask{Address: contractWallet.String(), ChainID: 10}
	b.Run("contract", func(b *testing.B) {
		f.deploy(contractWallet, says(yes))
		benchmarkSignIn(b, h, contract, func(string) string { return "0x" })
	})
	b.Run("not deployed", func(b *testing.B) {
		f.deploy(contractWallet, nil)
		sig := text(wrapped(someFactory, nil, nil))
		benchmarkSignIn(b, h, contract, func(string) string { return sig })
	})
	_ = f.questions()
}

// BenchmarkVerifyContract is one check, alone and many at once.
func BenchmarkVerifyContract(b *testing.B) {
	f := newFakeChain(b, 10)
	f.deploy(contractWallet, says(yes))
	k := testContracts(b, func(c *ContractsConfig) { c.PerClient = 16 }, f)
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if err := k.Verify(b.Context(), "", 10, contractWallet, [32]byte{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("at once", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := k.Verify(b.Context(), "", 10, contractWallet, [32]byte{}, nil); err != nil {
					b.Error(err)
				}
			}
		})
	})
	_ = f.questions()
}

// BenchmarkChainAnswer is what the chain itself takes for the question of a check, without any of ours around it.
func BenchmarkChainAnswer(b *testing.B) {
	f := newFakeChain(b, 10)
	f.deploy(contractWallet, says(yes))
	k := testContracts(b, nil, f)
	e := k.chains[10].endpoints[0]
	q := question{wallet: contractWallet}
	for b.Loop() {
		if said, err := e.isValid(context.Background(), q); err != nil || said != valid {
			b.Fatal(said, err)
		}
	}
	_ = f.questions()
}
