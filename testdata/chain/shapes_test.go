package chain

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// TestShapes has wallets sign what they are asked, beside those of the vectors: each of the contracts there with a
// signature that would do, and ones made by hand.
func TestShapes(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	owner := func(_ common.Address, hash [32]byte) []byte { return sign(hash, w.owner) }
	other := func(_ common.Address, hash [32]byte) []byte { return sign(hash, w.other) }
	nothing := func(common.Address, [32]byte) []byte { return nil }
	several := func(keys ...*ecdsa.PrivateKey) func(common.Address, [32]byte) []byte {
		return func(_ common.Address, hash [32]byte) []byte { return signEach(hash, keys...) }
	}
	bound := func(key *ecdsa.PrivateKey) func(common.Address, [32]byte) []byte {
		return func(a common.Address, hash [32]byte) []byte { return signBound(a, hash, key) }
	}
	// Whoever wraps a signature for a wallet that is deployed chooses a call, and the call is not made.
	wrapped := func(call []byte, target common.Address, inner func(common.Address, [32]byte) []byte) func(common.Address, [32]byte) []byte {
		return func(a common.Address, hash [32]byte) []byte { return wrap(target, call, inner(a, hash)) }
	}
	deploy := func(code []byte) common.Address {
		a, err := w.deploy(code)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ended := deploy(w.creation("TimedWallet", address(w.owner), big.NewInt(1)))
	elsewhere := deploy(w.creation("OwnerWallet", address(w.other)))
	for _, tt := range []struct {
		name    string
		account common.Address
		sign    func(common.Address, [32]byte) []byte
		want    bool
	}{
		{"owner of a wallet", w.at["OwnerWallet"], owner, true},
		{"nobody's signature for a wallet", w.at["OwnerWallet"], nothing, false},
		{"owner's signature with a byte more", w.at["OwnerWallet"], func(a common.Address, hash [32]byte) []byte { return append(owner(a, hash), 0) }, false},
		{"owner of another wallet", elsewhere, owner, false},
		{"signature bound to the wallet, of another key", w.at["BoundWallet"], bound(w.other), false},
		{"signature not bound to the wallet", w.at["BoundWallet"], owner, false},
		{"signature bound to another wallet", w.at["BoundWallet"], func(_ common.Address, hash [32]byte) []byte { return signBound(w.at["OwnerWallet"], hash, w.owner) }, false},
		{"one of three where two must sign", w.at["MultiWallet"], owner, false},
		{"one of three twice", w.at["MultiWallet"], several(w.owner, w.owner), false},
		{"two other ones of three", w.at["MultiWallet"], several(w.other, w.third), true},
		{"wallet that reverts", w.at["RevertWallet"], owner, false},
		{"wallet that refuses", w.at["RejectWallet"], owner, false},
		{"wallet that answers 0", w.at["ZeroWallet"], owner, false},
		{"wallet that answers true", w.at["BoolWallet"], owner, false},
		{"wallet of the first draft of ERC-1271", w.at["LegacyWallet"], owner, false},
		{"wallet that answers four bytes", w.at["ShortReturnWallet"], owner, false},
		{"wallet that answers the value and trash", w.at["DirtyReturnWallet"], owner, false},
		{"wallet that answers the value at the wrong end", w.at["RightAlignedWallet"], owner, false},
		{"contract that echoes its call, which begins with the value", w.at["EchoWallet"], owner, false},
		{"contract that echoes its call, with no signature", w.at["EchoWallet"], nothing, false},
		{"wallet that answers a megabyte", w.at["BombWallet"], owner, false},
		{"wallet that never ends", w.at["LoopWallet"], owner, false},
		{"wallet that says yes to no signature", w.at["YesWallet"], nothing, true},
		{"wallet within its time", w.at["TimedWallet"], owner, true},
		{"wallet after its time", ended, owner, false},
		{"wallet that writes when asked", w.at["WritingWallet"], owner, true},
		{"wallet that writes, another key", w.at["WritingWallet"], other, false},
		{"contract that is no wallet", w.at["WalletFactory"], owner, false},
		{"code of a wallet's delegate, not delegated to", w.at["DelegateWith1271"], owner, false},
		{"contract that asks to be asked elsewhere (ERC-3668)", deploy(offchainLookup()), owner, false},
		{"contract that breaks down", deploy(runs(0xfe)), owner, false},
		{"contract that returns nothing", deploy(runs(0x00)), owner, false},
		{"contract that reverts with the value", deploy(runs(append(storeMagic, 0x60, 0x20, 0x5f, 0xfd)...)), owner, false},
		{"contract that returns the value alone", deploy(runs(append(storeMagic, 0x60, 0x20, 0x5f, 0xf3)...)), nothing, true},
		{"contract that returns the value and one byte", deploy(runs(append(storeMagic, 0x60, 0x21, 0x5f, 0xf3)...)), nothing, false},
		{"address without code", common.HexToAddress("0x00000000000000000000000000000000DeaDBeef"), owner, false},
		{"address without code, and nothing signed", common.HexToAddress("0x00000000000000000000000000000000DeaDBeef"), nothing, false},
		{"wrapped signature of a deployed wallet, honest", w.at["OwnerWallet"], wrapped(w.creates(ownerWallet, address(w.owner), 2), w.at["WalletFactory"], owner), true},
		{"wrapped signature of a deployed wallet, another key", w.at["OwnerWallet"], wrapped(w.creates(ownerWallet, address(w.owner), 2), w.at["WalletFactory"], other), false},
		{"wallet on sale, bought within the check", w.at["ForSaleWallet"], wrapped(w.call("ForSaleWallet", "buy", address(w.other)), w.at["ForSaleWallet"], other), false},
		{"wallet on sale, nothing paid", w.at["ForSaleWallet"], other, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			message, hash := asks(t, tt.account, chainID)
			account, err := signIn(t.Context(), contracts, message, hex(tt.sign(tt.account, hash)))
			if !tt.want {
				refused(t, err)
				return
			}
			signedIn(t, account, err, tt.account, chainID)
		})
	}
}

// Precompiled contracts run without code being there; the one at 4 answers with what it is called with, and so with the
// value that means yes.
func TestPrecompiledContractsSignNothing(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	for _, n := range []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x0b, 0x11, 0x100} {
		account := common.BigToAddress(big.NewInt(n))
		t.Run(fmt.Sprintf("%#x", n), func(t *testing.T) {
			message, hash := asks(t, account, chainID)
			for _, sig := range [][]byte{nil, sign(hash, w.owner)} {
				_, err := signIn(t.Context(), contracts, message, hex(sig))
				refused(t, err)
			}
		})
	}
}

// The zero address is what a failed recovery answers, and nobody's wallet.
func TestZeroAddressSignsNothing(t *testing.T) {
	w := theWorld(t)
	contracts := w.contracts(t)
	hash := crypto.Keccak256Hash([]byte("message"))
	for _, sig := range [][]byte{nil, make([]byte, 65), bytes.Repeat([]byte{0xff}, 65), sign(hash, w.owner)} {
		refused(t, contracts.Verify(t.Context(), "client", chainID, [20]byte{}, hash, sig))
	}
}

// A wallet with the same address on a chain that is not asked may be anybody's.
func TestChainThatIsNotAsked(t *testing.T) {
	w := theWorld(t)
	message, hash := asks(t, w.at["OwnerWallet"], 1)
	_, err := signIn(t.Context(), w.contracts(t), message, hex(sign(hash, w.owner)))
	refused(t, err)
}

// storeMagic is code that puts the value that means yes at the start of memory.
var storeMagic = []byte{0x63, 0x16, 0x26, 0xba, 0x7e, 0x60, 0xe0, 0x1b, 0x5f, 0x52} // PUSH4, SHL 224, MSTORE 0

// runs is what deploys this code: it copies what stands behind itself.
func runs(code ...byte) []byte {
	n := byte(len(code))
	return append([]byte{0x60, n, 0x60, 0x0b, 0x5f, 0x39, 0x60, n, 0x5f, 0xf3, 0x00}, code...)
}

// offchainLookup is a contract that reverts with OffchainLookup(address,string[],bytes,bytes4,bytes): whoever follows it
// fetches what an attacker names.
func offchainLookup() []byte {
	selector := crypto.Keccak256([]byte("OffchainLookup(address,string[],bytes,bytes4,bytes)"))[:4]
	url := []byte("http://127.0.0.1:1/{data}")
	words := [][]byte{
		nil, {0xa0}, {0x01, 0x00}, nil, {0x01, 0x20}, // sender, offsets of urls and call data, callback, offset of extra
		{0x01}, {0x20}, {byte(len(url))}, common.RightPadBytes(url, 32), // one URL
		nil, nil,
	}
	data := selector
	for _, word := range words {
		if len(word) == 32 {
			data = append(data, word...)
			continue
		}
		data = append(data, common.LeftPadBytes(word, 32)...)
	}
	// PUSH2 length, PUSH1 from, PUSH0, CODECOPY, PUSH2 length, PUSH0, REVERT: data stands behind its 12 bytes.
	hi, lo := byte(len(data)>>8), byte(len(data))
	code := append([]byte{0x61, hi, lo, 0x60, 12, 0x5f, 0x39, 0x61, hi, lo, 0x5f, 0xfd}, data...)
	hi, lo = byte(len(code)>>8), byte(len(code))
	return append([]byte{0x61, hi, lo, 0x60, 12, 0x5f, 0x39, 0x61, hi, lo, 0x5f, 0xf3}, code...)
}
