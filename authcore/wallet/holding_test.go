package wallet

import (
	"encoding/hex"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
)

var (
	collection = Address{0: 0xcc, 19: 1}
	holderKey  = Address{0: 0xaa, 19: 9}
	resolver   = Address{0: 0xee, 19: 1}
)

func TestParseHolding(t *testing.T) {
	c := collection.String()
	for _, in := range []string{
		"nft 1 " + c, "nft 10 " + c + " min 3", "token 1 " + c, "token 8453 " + c + " min 0.5", "ens example.eth", "ens *.example.eth", "ens a-b.c_d.xyz",
	} {
		h, err := ParseHolding(strings.Fields(in))
		if err != nil || h.String() != in {
			t.Errorf("%q: %q, %v", in, h, err)
		}
	}
	for _, in := range []string{
		"", "coin 1 " + c, "nft", "nft 1", "nft 0 " + c, "nft -1 " + c, "nft one " + c, "nft 1 " + c[:41], "nft 1 " + strings.Replace(c, "cC", "Cc", 1),
		"nft 1 " + c + " min", "nft 1 " + c + " max 3", "nft 1 " + c + " min 0", "nft 1 " + c + " min 0.5", "nft 1 " + c + " min -1", "nft 1 " + c + " min 1 2",
		"token 1 " + c + " min 0.0", "token 1 " + c + " min 1e18", "token 1 " + c + " min .5", "token 1 " + c + " min 5.", "token 1 " + c + " min 1." + strings.Repeat("1", 78),
		"token 1 " + c + " min " + strings.Repeat("9", 80), "nft 1 " + Address{}.String(),
		"ens", "ens eth", "ens *.eth", "ens *", "ens *.*.example.eth", "ens exa*.eth", "ens .example.eth", "ens example..eth", "ens exämple.eth", "ens a.eth b.eth", "ens " + strings.Repeat("a.", 200) + "eth",
	} {
		if h, err := ParseHolding(strings.Fields(in)); err == nil {
			t.Errorf("%q was read as %q", in, h)
		}
	}
}

func TestNamesBelow(t *testing.T) {
	for _, c := range []struct {
		holding, name string
		want          bool
	}{
		{"*.example.eth", "alice.example.eth", true},
		{"*.example.eth", "a.b.example.eth", true},
		{"*.example.eth", "example.eth", false},
		{"*.example.eth", ".example.eth", false},
		{"*.example.eth", "evilexample.eth", false},
		{"*.example.eth", "alice.example.eth.evil.eth", false},
		{"example.eth", "example.eth", true},
		{"example.eth", "alice.example.eth", false},
		{"*.example.eth", "Alice.example.eth", false},
		{"*.example.eth", "аlice.example.eth", false}, // with a Cyrillic letter
	} {
		if got := (Holding{Kind: ENS, Name: c.holding}).names(c.name); got != c.want {
			t.Errorf("%s, %s: %v", c.holding, c.name, got)
		}
	}
}

// The constants are what the standards make of the texts.
func TestSelectors(t *testing.T) {
	for text, is := range map[string][4]byte{
		"balanceOf(address)": balanceOf, "decimals()": decimals, "resolver(bytes32)": ensResolver, "addr(bytes32)": ensAddr, "name(bytes32)": ensName,
	} {
		if got := crypto.Keccak256([]byte(text))[:4]; string(got) != string(is[:]) {
			t.Errorf("%s: %x, not %x", text, got, is)
		}
	}
	// The examples of ERC-137.
	for name, want := range map[string]string{
		"":        "0000000000000000000000000000000000000000000000000000000000000000",
		"eth":     "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae",
		"foo.eth": "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f",
	} {
		if got := namehash(name); hex.EncodeToString(got[:]) != want {
			t.Errorf("%q: %x", name, got)
		}
	}
	if s := ensRegistry.String(); s != "0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e" {
		t.Error(s)
	}
}

// owned is a collection or token of which holderKey has so many, with so many decimals; a negative number: it does not say.
func owned(n string, tokenDecimals int64) contract {
	return func(data []byte) ([]byte, string) {
		switch {
		case string(data) == string(append(balanceOf[:], addressWord(holderKey)...)):
			have, _ := new(big.Int).SetString(n, 10)
			return have.FillBytes(make([]byte, word)), ""
		case string(data) == string(decimals[:]) && tokenDecimals >= 0:
			return big.NewInt(tokenDecimals).FillBytes(make([]byte, word)), ""
		case len(data) == 4+word && string(data[:4]) == string(balanceOf[:]):
			return make([]byte, word), ""
		}
		_, failed := fails(3, "execution reverted")(nil)
		return nil, failed
	}
}

// testHoldings asks the chain, as a chain of its id.
func testHoldings(t *testing.T, f *fakeChain, c HoldingsConfig, asked ...Holding) *Holdings {
	t.Helper()
	now := c.Now
	c.Contracts = testContracts(t, func(c *ContractsConfig) { c.Chains, c.Now = map[uint64][]string{f.id: {f.URL}}, now })
	h, err := NewHoldings(c, asked)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHasBalance(t *testing.T) {
	for _, c := range []struct {
		name    string
		is      contract
		holding string
		wallet  Account
		want    bool
		failed  bool
	}{
		{"one piece", owned("1", -1), "nft 10 %", Account{Address: holderKey}, true, false},
		{"no piece", owned("0", -1), "nft 10 %", Account{Address: holderKey}, false, false},
		{"somebody else", owned("5", -1), "nft 10 %", Account{Address: someFactory}, false, false},
		{"enough pieces", owned("3", -1), "nft 10 % min 3", Account{Address: holderKey}, true, false},
		{"too few pieces", owned("2", -1), "nft 10 % min 3", Account{Address: holderKey}, false, false},
		{"a contract wallet of this chain", owned("1", -1), "nft 10 %", Account{Address: holderKey, ChainID: 10}, true, false},
		// At its address on this chain is somebody else's contract, or can be.
		{"a contract wallet of another chain", owned("1", -1), "nft 10 %", Account{Address: holderKey, ChainID: 1}, false, false},
		{"any amount", owned("1", 18), "token 10 %", Account{Address: holderKey}, true, false},
		{"amount with decimals", owned("500000000000000000", 18), "token 10 % min 0.5", Account{Address: holderKey}, true, false},
		{"amount just too small", owned("499999999999999999", 18), "token 10 % min 0.5", Account{Address: holderKey}, false, false},
		{"the greatest number", owned(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)).String(), 18), "token 10 % min 1", Account{Address: holderKey}, true, false},
		{"decimals are not told", owned("3", -1), "token 10 % min 3", Account{Address: holderKey}, true, false},
		{"a fraction of what cannot be parted", owned("3", 0), "token 10 % min 0.5", Account{Address: holderKey}, false, false},
		{"decimals that cannot be", owned("3", 255), "token 10 % min 1", Account{Address: holderKey}, false, false},
		{"no contract there", nil, "nft 10 %", Account{Address: holderKey}, false, false},
		{"reverts", fails(3, "execution reverted"), "nft 10 %", Account{Address: holderKey}, false, false},
		{"echoes", func(d []byte) ([]byte, string) { return d, "" }, "nft 10 %", Account{Address: holderKey}, false, false},
		{"more than a number", says(append(make([]byte, 63), 1)), "nft 10 %", Account{Address: holderKey}, false, false},
		{"cannot be told", fails(-32005, "quota"), "nft 10 %", Account{Address: holderKey}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeChain(t, 10)
			f.deploy(collection, c.is)
			holding, err := ParseHolding(strings.Fields(strings.ReplaceAll(c.holding, "%", collection.String())))
			if err != nil {
				t.Fatal(err)
			}
			has, err := testHoldings(t, f, HoldingsConfig{}).Of(t.Context(), []Account{c.wallet}, []Holding{holding})
			if has[0] != c.want || (err != nil) != c.failed {
				t.Errorf("%v, %v", has, err)
			}
		})
	}
}

// names deploys a registry in which each name has the resolver, and a resolver that says these names of wallets, and these
// addresses of names.
func names(f *fakeChain, nameOf map[Address]string, addressOf map[string]Address) {
	known := map[string][]byte{}
	for a, name := range nameOf {
		node := namehash(hex.EncodeToString(a[:]) + ".addr.reverse")
		text := appendNumber(appendNumber(nil, word), uint64(len(name)))
		known[string(ensName[:])+string(node[:])] = append(append(text, name...), make([]byte, padded(len(name))-len(name))...)
	}
	for name, a := range addressOf {
		node := namehash(name)
		known[string(ensAddr[:])+string(node[:])] = addressWord(a)
	}
	f.deploy(ensRegistry, says(addressWord(resolver)))
	f.deploy(resolver, func(data []byte) ([]byte, string) {
		if ret, ok := known[string(data)]; ok {
			return ret, ""
		}
		_, failed := fails(3, "execution reverted")(nil)
		return nil, failed
	})
}

func TestHasName(t *testing.T) {
	for _, c := range []struct {
		name      string
		claims    string
		addressOf map[string]Address
		want      bool
	}{
		{"both ways", "alice.example.eth", map[string]Address{"alice.example.eth": holderKey}, true},
		// A reverse record says whatever its owner likes.
		{"only claimed", "admin.example.eth", nil, false},
		{"claimed, of somebody else", "admin.example.eth", map[string]Address{"admin.example.eth": someFactory}, false},
		{"not claimed", "", map[string]Address{"alice.example.eth": holderKey}, false},
		{"another name", "alice.example.org.eth", map[string]Address{"alice.example.org.eth": holderKey}, false},
		{"upper case, which is another node", "Alice.example.eth", map[string]Address{"Alice.example.eth": holderKey}, false},
		{"a character that looks alike", "аlice.example.eth", map[string]Address{"аlice.example.eth": holderKey}, false},
		{"a NUL", "alice\x00.example.eth", map[string]Address{"alice\x00.example.eth": holderKey}, false},
		{"very long", strings.Repeat("a", 300) + ".example.eth", map[string]Address{strings.Repeat("a", 300) + ".example.eth": holderKey}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeChain(t, ensChain)
			claims := map[Address]string{}
			if c.claims != "" {
				claims[holderKey] = c.claims
			}
			names(f, claims, c.addressOf)
			below := Holding{Kind: ENS, Chain: ensChain, Name: "*.example.eth"}
			has, err := testHoldings(t, f, HoldingsConfig{}, below).Of(t.Context(), []Account{{Address: holderKey}}, []Holding{below})
			if has[0] != c.want || err != nil {
				t.Errorf("%v, %v", has, err)
			}
		})
	}
}

// A registry and a resolver may answer anything.
func TestHostileResolver(t *testing.T) {
	below := Holding{Kind: ENS, Chain: ensChain, Name: "*.example.eth"}
	for name, is := range map[string]contract{
		"nothing":       says(nil),
		"ones":          says([]byte(strings.Repeat("\xff", 4*word))),
		"one word":      says(addressWord(holderKey)),
		"echo":          func(d []byte) ([]byte, string) { return d, "" },
		"endless":       says(appendNumber(appendNumber(nil, word), 1<<30)),
		"far":           says(appendNumber(appendNumber(nil, 1<<30), 5)),
		"outside":       fails(3, "execution reverted: OffchainLookup"),
		"no registry":   nil,
		"a precompile":  says(addressWord(Address{19: 4})),
		"itself, again": says(addressWord(ensRegistry)),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeChain(t, ensChain)
			f.deploy(ensRegistry, is)
			f.deploy(resolver, is)
			has, err := testHoldings(t, f, HoldingsConfig{}).Of(t.Context(), []Account{{Address: holderKey}}, []Holding{below})
			if has[0] || err != nil {
				t.Errorf("%v, %v", has, err)
			}
		})
	}
}

// Answers are kept, for many who ask at once and for as long as they may, and failures are not.
func TestHoldingsAreKeptAWhile(t *testing.T) {
	f := newFakeChain(t, 10)
	f.deploy(collection, owned("1", -1))
	now := time.Now()
	nft, token := Holding{Kind: NFT, Chain: 10, Contract: collection}, Holding{Kind: Token, Chain: 10, Contract: otherFactory}
	h := testHoldings(t, f, HoldingsConfig{TTL: time.Minute, Now: func() time.Time { return now }})
	of := func(want bool) {
		t.Helper()
		if has, _ := h.Of(t.Context(), []Account{{Address: someFactory}, {Address: holderKey}}, []Holding{nft, token}); has[0] != want || has[1] {
			t.Errorf("%v, want %v", has, want)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { of(true) })
	}
	all.Wait()
	if asked := f.questions(); len(asked) > 12 {
		t.Errorf("asked %d times", len(asked))
	}
	f.deploy(collection, owned("0", -1)) // sold
	of(true)
	if asked := f.questions(); len(asked) != 0 {
		t.Errorf("asked %v", asked)
	}
	now = now.Add(time.Minute)
	of(false)

	// A chain that cannot be asked leaves nothing behind but what was known, while that is fresh.
	f.deploy(collection, owned("1", -1))
	now = now.Add(time.Minute)
	of(true)
	f.hostile(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	of(true)
	now = now.Add(time.Minute)
	of(false)
	f.hostile(nil)
	now = now.Add(time.Hour) // so that the endpoint is asked again: first by one, to find out
	_, _ = h.Of(t.Context(), []Account{{Address: holderKey}}, []Holding{token})
	of(true)
}

// A chain that hangs costs a sign-in its time limit, once for all questions, and the role.
func TestHoldingsWaitNoLonger(t *testing.T) {
	f := newFakeChain(t, 10)
	release := make(chan struct{})
	var asked atomic.Int32
	f.hostile(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	h := testHoldings(t, f, HoldingsConfig{Timeout: 50 * time.Millisecond})
	var wallets []Account
	for i := range byte(20) {
		wallets = append(wallets, Account{Address: Address{0: i, 19: 7}})
	}
	has, err := h.Of(t.Context(), wallets, []Holding{{Kind: NFT, Chain: 10, Contract: collection}, {Kind: Token, Chain: 10, Contract: collection}})
	if !errors.Is(err, ErrRPCUnavailable) || has[0] || has[1] {
		t.Errorf("%v, %v", has, err)
	}
	if n := asked.Load(); n > 2*perAccount { // those that were cut off, and others in their places
		t.Errorf("%d of 40 questions were asked at once for one account", n)
	}
}

// What can never be answered is an error of the configuration.
func TestHoldingsWantAnEndpoint(t *testing.T) {
	f := newFakeChain(t, 10)
	c := HoldingsConfig{Contracts: testContracts(t, nil, f)}
	for _, h := range []Holding{{Kind: ENS, Chain: ensChain, Name: "a.eth"}, {Kind: NFT, Chain: 11, Contract: collection}} {
		if _, err := NewHoldings(c, []Holding{h}); err == nil || !strings.Contains(err.Error(), "rpc") {
			t.Error(h, err)
		}
	}
	if _, err := NewHoldings(HoldingsConfig{}, []Holding{{Kind: NFT, Chain: 10, Contract: collection}}); err == nil {
		t.Error("no chains at all")
	}
}

func FuzzParseHolding(f *testing.F) {
	f.Add("nft 1 " + collection.String() + " min 3")
	f.Add("token 1 " + collection.String() + " min 0.5")
	f.Add("ens *.example.eth")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHolding(strings.Fields(text))
		if err != nil {
			return
		}
		again, err := ParseHolding(strings.Fields(h.String()))
		if err != nil || again != h {
			t.Errorf("%q: %q: %v", text, h, err)
		}
	})
}
