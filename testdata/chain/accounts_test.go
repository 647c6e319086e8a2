package chain

import (
	"crypto/ecdsa"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

func TestSafe(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	library, err := w.deploy(w.creation("SignMessageLib"))
	if err != nil {
		t.Fatal(err)
	}
	safe := func(threshold int64, owners ...common.Address) common.Address {
		a, err := w.newSafe(threshold, owners...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	one := safe(1, address(w.owner))
	two := safe(2, address(w.owner), address(w.other))
	ours := safe(1, address(w.key))
	nested := safe(1, one)
	by := func(keys ...*ecdsa.PrivateKey) func(common.Address, [32]byte) []byte {
		return func(a common.Address, hash [32]byte) []byte { return signSafe(a, hash, keys...) }
	}
	nothing := func(common.Address, [32]byte) []byte { return nil }
	for _, tt := range []struct {
		name string
		safe common.Address
		sign func(common.Address, [32]byte) []byte
		want bool
	}{
		{"its owner", one, by(w.owner), true},
		{"another key", one, by(w.other), false},
		{"its owner for another Safe", one, func(_ common.Address, hash [32]byte) []byte { return signSafe(two, hash, w.owner) }, false},
		{"its owner, not for the Safe", one, func(_ common.Address, hash [32]byte) []byte { return sign(hash, w.owner) }, false},
		{"not signed on the chain", one, nothing, false},
		{"two owners", two, by(w.owner, w.other), true},
		{"one owner of two", two, by(w.owner), false},
		{"one owner twice", two, by(w.owner, w.owner), false},
		{"an owner and a stranger", two, by(w.owner, w.third), false},
		// Where v is 1, the owner in r approved the hash before, or sends the transaction: nobody sends this one.
		{"an owner said to have sent it", one, func(common.Address, [32]byte) []byte {
			return append(common.LeftPadBytes(address(w.owner).Bytes(), 32), append(make([]byte, 32), 1)...)
		}, false},
		{"another message signed on the chain", ours, func(a common.Address, _ [32]byte) []byte {
			if err := w.approve(a, library, [32]byte{1}); err != nil {
				t.Fatal(err)
			}
			return nil
		}, false},
		{"signed on the chain", ours, func(a common.Address, hash [32]byte) []byte {
			if err := w.approve(a, library, hash); err != nil {
				t.Fatal(err)
			}
			return nil
		}, true},
		// An owner that is a Safe itself: v 0, its address, where its signature begins, and the signature.
		{"a Safe that owns a Safe", nested, func(a common.Address, hash [32]byte) []byte {
			inner := signSafeMessage(one, a, hash, w.owner)
			out := append(common.LeftPadBytes(one[:], 32), common.LeftPadBytes([]byte{65}, 32)...)
			out = append(out, 0)
			out = append(out, common.LeftPadBytes([]byte{byte(len(inner))}, 32)...)
			return append(out, inner...)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			message, hash := asks(t, tt.safe, chainID)
			account, err := signIn(t.Context(), contracts, message, hex(tt.sign(tt.safe, hash)))
			if !tt.want {
				refused(t, err)
				return
			}
			signedIn(t, account, err, tt.safe, chainID)
		})
	}
}

// TestRotatedOwner: who owned a contract yesterday does not sign in today.
func TestRotatedOwner(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	account, err := w.deploy(w.creation("ForSaleWallet", address(w.owner)))
	if err != nil {
		t.Fatal(err)
	}
	message, hash := asks(t, account, chainID)
	first, second := hex(sign(hash, w.owner)), hex(sign(hash, w.other))
	got, err := signIn(t.Context(), contracts, message, first)
	signedIn(t, got, err, account, chainID)
	if _, err := w.send(&account, w.call("ForSaleWallet", "buy", address(w.other))); err != nil {
		t.Fatal(err)
	}
	_, err = signIn(t.Context(), contracts, message, first)
	refused(t, err)
	got, err = signIn(t.Context(), contracts, message, second)
	signedIn(t, got, err, account, chainID)
}

// TestDelegatedAccounts: a key keeps its authority over its account whatever code the account runs (EIP-7702), and signs in
// as the same it always was. Whom the code lets sign beside it signs in as the contract.
func TestDelegatedAccounts(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	for _, tt := range []struct {
		delegate string
		data     []byte
		other    bool // whether another key may sign
	}{
		{"DelegateNo1271", nil, false},
		{"DelegateWith1271", nil, false},
		{"DelegateSession", w.call("DelegateSession", "init", address(w.other)), true},
		{"DelegateYes", nil, true},
		{"EchoWallet", nil, false},
	} {
		t.Run(tt.delegate, func(t *testing.T) {
			key, err := crypto.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			account := address(key)
			message, hash := asks(t, account, chainID)
			_, err = signIn(t.Context(), contracts, message, hex(sign(hash, w.other)))
			refused(t, err)
			if err := w.delegate(key, w.at[tt.delegate], tt.data); err != nil {
				t.Fatal(err)
			}
			got, err := signIn(t.Context(), contracts, message, hex(sign(hash, key)))
			signedIn(t, got, err, account, 0)
			got, err = signIn(t.Context(), contracts, message, hex(sign(hash, w.other)))
			if tt.other {
				signedIn(t, got, err, account, chainID)
			} else {
				refused(t, err)
			}
			// The delegation is taken back.
			if err := w.delegate(key, common.Address{}, nil); err != nil {
				t.Fatal(err)
			}
			_, err = signIn(t.Context(), contracts, message, hex(sign(hash, w.other)))
			refused(t, err)
			got, err = signIn(t.Context(), contracts, message, hex(sign(hash, key)))
			signedIn(t, got, err, account, 0)
		})
	}
}

// TestUndeployed: wallets that have no code yet sign in where a factory that is listed deploys them at their very address
// (ERC-6492).
func TestUndeployed(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	future := func(kind uint8, owner common.Address, salt int64) common.Address {
		a, err := w.willBe(kind, owner, salt)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	owner, factory, chained := address(w.owner), w.at["WalletFactory"], w.at["Chain2"]
	setup := w.setUpSafe(1, owner)
	safe := w.safeAt(setup, 99)
	deploySafe := w.call("SafeProxyFactory", "createProxyWithNonce", w.at["SafeSingleton"], setup, big.NewInt(99))
	forSale := future(forSaleWallet, owner, 7)
	buy := w.call("ForSaleWallet", "buy", address(w.other))
	for _, tt := range []struct {
		name    string
		account common.Address
		sign    func(a common.Address, hash [32]byte) []byte
		want    bool
	}{
		{"by a factory that is listed", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(ownerWallet, owner, 7), sign(hash, w.owner))
		}, true},
		{"that binds what it signs", future(boundWallet, owner, 7), func(a common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(boundWallet, owner, 7), signBound(a, hash, w.owner))
		}, true},
		{"a Safe", safe, func(a common.Address, hash [32]byte) []byte {
			return wrap(w.at["SafeProxyFactory"], deploySafe, signSafe(a, hash, w.owner))
		}, true},
		{"a Safe, another key", safe, func(a common.Address, hash [32]byte) []byte {
			return wrap(w.at["SafeProxyFactory"], deploySafe, signSafe(a, hash, w.other))
		}, false},
		{"another key", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(ownerWallet, owner, 7), sign(hash, w.other))
		}, false},
		{"another wallet is deployed", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(ownerWallet, owner, 8), sign(hash, w.owner))
		}, false},
		{"nothing is deployed", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, nil, sign(hash, w.owner))
		}, false},
		{"not wrapped", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte { return sign(hash, w.owner) }, false},
		{"wrapped twice", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			call := w.creates(ownerWallet, owner, 7)
			return wrap(factory, call, wrap(factory, call, sign(hash, w.owner)))
		}, false},
		{"by a factory that is not listed", future(ownerWallet, owner, 7), func(_ common.Address, hash [32]byte) []byte {
			return wrap(chained, w.call("Chain2", "go", factory, w.creates(ownerWallet, owner, 7), factory, w.creates(ownerWallet, owner, 7)), sign(hash, w.owner))
		}, false},
		{"deployed and bought within the check", forSale, func(_ common.Address, hash [32]byte) []byte {
			return wrap(chained, w.call("Chain2", "go", factory, w.creates(forSaleWallet, owner, 7), forSale, buy), sign(hash, w.other))
		}, false},
		{"on sale, its owner", forSale, func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(forSaleWallet, owner, 7), sign(hash, w.owner))
		}, true},
		{"an account with a key and no code, another key", address(w.third), func(_ common.Address, hash [32]byte) []byte {
			return wrap(factory, w.creates(ownerWallet, owner, 7), sign(hash, w.owner))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			message, hash := asks(t, tt.account, chainID)
			account, err := signIn(t.Context(), contracts, message, hex(tt.sign(tt.account, hash)))
			if !tt.want {
				refused(t, err)
				return
			}
			signedIn(t, account, err, tt.account, chainID)
			// What was deployed was thrown away.
			if code, err := contracts.Code(t.Context(), chainID, wallet.Address(tt.account)); err != nil || len(code) > 0 {
				t.Errorf("%d bytes of code, error %v", len(code), err)
			}
		})
	}
}

// TestDeployedWalletIsNotPrepared: of a wallet that has code not even a factory that is listed is called, since whoever signs
// chooses the call. Here it makes a stranger the owner, for as long as the check lasts.
func TestDeployedWalletIsNotPrepared(t *testing.T) {
	w := theWorld(t)
	sale := w.at["ForSaleWallet"]
	contracts, err := wallet.NewContracts(wallet.ContractsConfig{
		Chains: map[uint64][]string{chainID: {w.url}}, Factories: []wallet.Address{wallet.Address(sale)}, Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(contracts.Close)
	message, hash := asks(t, sale, chainID)
	buy := w.call("ForSaleWallet", "buy", address(w.other))
	_, err = signIn(t.Context(), contracts, message, hex(wrap(sale, buy, sign(hash, w.other))))
	refused(t, err)
}

// TestNoFactory: nothing that is not deployed signs in where no factory is listed.
func TestNoFactory(t *testing.T) {
	w := theWorld(t)
	contracts, err := wallet.NewContracts(wallet.ContractsConfig{Chains: map[uint64][]string{chainID: {w.url}}, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(contracts.Close)
	account, err := w.willBe(ownerWallet, address(w.owner), 7)
	if err != nil {
		t.Fatal(err)
	}
	message, hash := asks(t, account, chainID)
	_, err = signIn(t.Context(), contracts, message, hex(wrap(w.at["WalletFactory"], w.creates(ownerWallet, address(w.owner), 7), sign(hash, w.owner))))
	refused(t, err)
}

// TestAnotherChainAnswers: an endpoint of another chain than it is configured for is not believed, since the wallet there
// may be anybody's.
func TestAnotherChainAnswers(t *testing.T) {
	w := theWorld(t)
	contracts, err := wallet.NewContracts(wallet.ContractsConfig{Chains: map[uint64][]string{1: {w.url}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(contracts.Close)
	message, hash := asks(t, w.at["OwnerWallet"], 1)
	if _, err := signIn(t.Context(), contracts, message, hex(sign(hash, w.owner))); !errors.Is(err, wallet.ErrRPCUnavailable) {
		t.Error(err)
	}
}
