package wallet

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var (
	contractWallet = Address{0: 0xc0, 19: 1}
	someFactory    = Address{0: 0xfa, 19: 2}
	otherFactory   = Address{0: 0xfa, 19: 3}
)

// wrapped is an ERC-6492 signature.
func wrapped(factory Address, call, signature []byte) []byte {
	b := append(make([]byte, 12), factory[:]...)
	b = appendNumber(b, 96)
	b = appendNumber(b, uint64(96+32+padded(len(call))))
	for _, p := range [][]byte{call, signature} {
		b = appendNumber(b, uint64(len(p)))
		b = append(b, p...)
		b = append(b, make([]byte, padded(len(p))-len(p))...)
	}
	return append(b, deployedSuffix...)
}

// What a contract answers, and what is made of it.
func TestVerifyContract(t *testing.T) {
	hash := [32]byte{1, 2, 3}
	good := []byte("two owners of three")
	echo := func(data []byte) ([]byte, string) { return data, "" }
	for _, c := range []struct {
		name string
		is   contract // nil: no code
		sig  []byte
		want error
	}{
		{"good", signedBy(hash, good), good, nil},
		{"good, empty", signedBy(hash, nil), nil, nil},
		{"good, one byte", signedBy(hash, []byte{7}), []byte{7}, nil},
		{"good, of the greatest size", signedBy(hash, make([]byte, maxContractSignature)), make([]byte, maxContractSignature), nil},
		{"too long", says(yes), make([]byte, maxContractSignature+1), ErrInvalidSignature},
		{"other signature", signedBy(hash, good), []byte("one owner of three"), ErrInvalidSignature},
		{"no code", nil, good, ErrInvalidSignature},
		{"reverts", fails(3, "execution reverted"), good, ErrInvalidSignature},
		{"reverts, in other words", fails(-32000, "VM Exception: revert"), good, ErrInvalidSignature},
		{"out of gas (geth)", fails(-32000, "out of gas"), good, ErrInvalidSignature},
		{"out of gas (anvil)", fails(-32603, "EVM error OutOfGas"), good, ErrInvalidSignature},
		{"invalid opcode", fails(-32000, "invalid opcode: INVALID"), good, ErrInvalidSignature},
		{"CCIP-read (ERC-3668)", fails(3, "execution reverted: OffchainLookup"), good, ErrInvalidSignature},
		{"returns nothing", says(nil), good, ErrInvalidSignature},
		{"returns true", says(append(make([]byte, 31), 1)), good, ErrInvalidSignature},
		{"returns zero", says(make([]byte, 32)), good, ErrInvalidSignature},
		{"returns the magic value only", says(yes[:4]), good, ErrInvalidSignature},
		{"returns one byte less", says(yes[:31]), good, ErrInvalidSignature},
		{"returns one byte more", says(append(bytes.Clone(yes), 0)), good, ErrInvalidSignature},
		{"returns it twice", says(append(bytes.Clone(yes), yes...)), good, ErrInvalidSignature},
		{"returns it at the right", says(append(make([]byte, 28), isValidSignatureMagic[:]...)), good, ErrInvalidSignature},
		{"returns it with something behind", says(append(bytes.Clone(yes[:31]), 1)), good, ErrInvalidSignature},
		{"echoes", echo, good, ErrInvalidSignature},
		{"echoes an empty signature", echo, nil, ErrInvalidSignature},
		{"returns a megabyte", says(make([]byte, 1<<20)), good, ErrInvalidSignature},
		{"node has no state", fails(-32000, "missing trie node"), good, ErrRPCUnavailable},
		{"node has a quota", fails(-32005, "limit exceeded"), good, ErrRPCUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeChain(t, 10)
			f.deploy(contractWallet, c.is)
			err := testContracts(t, nil, f).Verify(t.Context(), "client", 10, contractWallet, hash, c.sig)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if errors.Is(err, ErrInvalidSignature) && errors.Is(err, ErrRPCUnavailable) {
				t.Errorf("both a verdict and none: %v", err)
			}
		})
	}
}

// A contract of a chain is a contract of that chain only.
func TestVerifyContractOnAnotherChain(t *testing.T) {
	f := newFakeChain(t, 10)
	f.deploy(contractWallet, says(yes))
	err := testContracts(t, nil, f).Verify(t.Context(), "", 1, contractWallet, [32]byte{}, nil)
	if !errors.Is(err, ErrChainNotChecked) || !errors.Is(err, ErrInvalidSignature) || len(f.questions()) > 0 {
		t.Errorf("%v", err)
	}
}

// Precompiled contracts answer calls: the one at 4 with the call itself. The zero address is what failed recoveries
// yield. Neither is anybody's wallet, whatever a chain says.
func TestVerifyContractAtPrecompile(t *testing.T) {
	f := newFakeChain(t, 10)
	k := testContracts(t, nil, f)
	for _, a := range []Address{{}, {19: 1}, {19: 4}, {18: 1}, {18: 0xff, 19: 0xff}} {
		f.deploy(a, says(yes))
		if err := k.Verify(t.Context(), "", 10, a, [32]byte{}, nil); !errors.Is(err, ErrInvalidSignature) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if asked := f.questions(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

// ERC-6492: who may deploy a wallet, and when.
func TestVerifyNotDeployed(t *testing.T) {
	hash, inner := [32]byte{9}, []byte("inner")
	good := wrapped(someFactory, []byte("create"), inner)
	failing, makes := fails(3, "execution reverted"), says(addressWord(contractWallet))
	for _, c := range []struct {
		name      string
		sig       []byte
		is        contract // the wallet as it stands
		factory   contract
		simulated contract // the wallet within the simulation
		want      error
		asked     string // the last question
	}{
		{"good", good, nil, makes, signedBy(hash, inner), nil, "eth_simulateV1"},
		{"wallet says no", good, nil, makes, says(make([]byte, 32)), ErrInvalidSignature, "eth_simulateV1"},
		{"wallet echoes", good, nil, makes, func(d []byte) ([]byte, string) { return d, "" }, ErrInvalidSignature, "eth_simulateV1"},
		{"nothing deployed", good, nil, makes, says(nil), ErrInvalidSignature, "eth_simulateV1"},
		{"factory names another wallet", good, nil, says(addressWord(otherFactory)), says(yes), ErrInvalidSignature, "eth_simulateV1"},
		{"factory names none", good, nil, says(nil), says(yes), ErrInvalidSignature, "eth_simulateV1"},
		{"factory names it and says more", good, nil, says(append(addressWord(contractWallet), make([]byte, 32)...)), says(yes), ErrInvalidSignature, "eth_simulateV1"},
		{"factory names it, not as a word", good, nil, says(contractWallet[:]), says(yes), ErrInvalidSignature, "eth_simulateV1"},
		{"factory fails", good, nil, failing, says(yes), ErrInvalidSignature, "eth_simulateV1"},
		{"another factory", wrapped(otherFactory, []byte("create"), inner), nil, makes, says(yes), ErrInvalidSignature, "eth_chainId"},
		{"not wrapped", inner, nil, makes, says(yes), ErrInvalidSignature, "eth_chainId"},
		{"endpoint cannot simulate", good, nil, makes, nil, ErrRPCUnavailable, "eth_simulateV1"},
		// The wallet is deployed: the factory's call is the attacker's choice, and could change who controls the wallet before
		// it is asked. viem's verifyMessage lets strangers in by it.
		{"deployed", good, signedBy(hash, inner), failing, says(nil), nil, "eth_chainId"},
		{"deployed, by another factory", wrapped(otherFactory, []byte("buy"), inner), signedBy(hash, inner), failing, says(nil), nil, "eth_chainId"},
		{"deployed, and says no", wrapped(someFactory, []byte("buy"), inner), says(make([]byte, 32)), says(nil), says(yes), ErrInvalidSignature, "eth_chainId"},
		{"wrapped twice", wrapped(someFactory, nil, good), nil, makes, signedBy(hash, inner), ErrInvalidSignature, "eth_simulateV1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeChain(t, 10)
			f.deploy(contractWallet, c.is)
			f.deploy(someFactory, c.factory)
			f.simulated = c.simulated
			k := testContracts(t, func(c *ContractsConfig) { c.Factories = []Address{someFactory} }, f)
			if err := k.Verify(t.Context(), "", 10, contractWallet, hash, c.sig); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if asked := f.questions(); asked[len(asked)-1] != c.asked {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

// Call and Code, for what else is asked of chains.
func TestCallAndCode(t *testing.T) {
	f := newFakeChain(t, 10)
	f.deploy(contractWallet, func(data []byte) ([]byte, string) { return append([]byte("you said "), data...), "" })
	f.deploy(someFactory, fails(3, "execution reverted"))
	f.deploy(otherFactory, fails(-32005, "quota"))
	k := testContracts(t, nil, f)
	for _, c := range []struct {
		name  string
		chain uint64
		to    Address
		want  string
		err   error
	}{
		{"answers", 10, contractWallet, "you said this", nil},
		{"reverts", 10, someFactory, "", ErrReverted},
		{"cannot be told", 10, otherFactory, "", ErrRPCUnavailable},
		{"no code", 10, Address{1}, "", nil},
		{"chain not asked", 1, contractWallet, "", ErrChainNotChecked},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := k.Call(t.Context(), c.chain, c.to, []byte("this")); string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if code, err := k.Code(t.Context(), 10, contractWallet); err != nil || len(code) != 4 {
		t.Errorf("code %x, %v", code, err)
	}
	if code, err := k.Code(t.Context(), 10, Address{1}); err != nil || len(code) != 0 {
		t.Errorf("code %x, %v", code, err)
	}
	if _, err := k.Code(t.Context(), 1, contractWallet); !errors.Is(err, ErrChainNotChecked) {
		t.Error(err)
	}
	if !k.Checks(10) || k.Checks(1) {
		t.Error("Checks answers something else")
	}
}

func TestNewContractsRefuses(t *testing.T) {
	const secret = "s3cret"
	for _, c := range []struct {
		name string
		is   ContractsConfig
		want string // in the error
	}{
		{"chain 0", ContractsConfig{Chains: map[uint64][]string{0: {"https://a.test"}}}, "0 is not a chain id"},
		{"no URL", ContractsConfig{Chains: map[uint64][]string{1: nil}}, "chain 1 has no URL"},
		{"http", ContractsConfig{Chains: map[uint64][]string{1: {"http://a.test/" + secret}}}, "write https"},
		{"http to a name like localhost", ContractsConfig{Chains: map[uint64][]string{1: {"http://localhost.a.test/"}}}, "write https"},
		{"a path", ContractsConfig{Chains: map[uint64][]string{1: {"/run/" + secret}}}, "not a URL"},
		{"a socket", ContractsConfig{Chains: map[uint64][]string{1: {"wss://a.test/" + secret}}}, "not an https URL"},
		{"a file", ContractsConfig{Chains: map[uint64][]string{1: {"file:///" + secret}}}, "not a URL"},
		{"no host", ContractsConfig{Chains: map[uint64][]string{1: {"https:///" + secret}}}, "not a URL"},
		{"no host but a port", ContractsConfig{Chains: map[uint64][]string{1: {"https://:8545/" + secret}}}, "not a URL"},
		{"opaque", ContractsConfig{Chains: map[uint64][]string{1: {"https:" + secret}}}, "not a URL"},
		{"not readable", ContractsConfig{Chains: map[uint64][]string{1: {"https://a.test/%zz" + secret}}}, "not a URL"},
		{"a fragment", ContractsConfig{Chains: map[uint64][]string{1: {"https://a.test/#" + secret}}}, "not a URL"},
		{"empty", ContractsConfig{Chains: map[uint64][]string{1: {""}}}, "not a URL"},
		{"twice", ContractsConfig{Chains: map[uint64][]string{1: {"https://a.test/" + secret, "https://a.test/" + secret}}}, "twice"},
		{"factory: zero", ContractsConfig{Factories: []Address{{}}}, "zero address"},
		{"factory: Multicall3", ContractsConfig{Factories: []Address{mustAddress("0xcA11bde05977b3631167028862bE2a173976CA11")}}, "let strangers in"},
		{"factory: twice", ContractsConfig{Factories: []Address{someFactory, someFactory}}, "twice"},
		{"timeout", ContractsConfig{Timeout: -1}, "negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewContracts(c.is)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("tells the secret: %v", err)
			}
		})
	}
	for _, url := range []string{"https://a.test", "https://u:p@a.test/v3/key?k=v", "http://localhost:8545", "http://127.0.0.1", "http://[::1]:8545/", "HTTPS://a.test"} {
		if _, err := NewContracts(ContractsConfig{Chains: map[uint64][]string{1: {url}}}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Where there is no code nobody answers, whatever a chain says that a call returns: precompiled contracts have none.
func TestVerifyNeedsCode(t *testing.T) {
	f := newFakeChain(t, 10)
	f.hostile(answering(`[{"id":$1,"result":"0x"},{"id":$2,"result":"` + text(yes) + `"},{"id":$3,"result":"0xa"}]`))
	if err := testContracts(t, nil, f).Verify(t.Context(), "", 10, contractWallet, [32]byte{}, nil); !errors.Is(err, ErrInvalidSignature) {
		t.Error(err)
	}
}
