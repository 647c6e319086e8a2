package wallet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
)

// The length is that of the bytes, not of the characters, and text that looks like hex is text.
func TestHash(t *testing.T) {
	for text, want := range map[string]string{
		"hello world": "d9eba16ed0ecae432b71fe008c98cc872bb4cc214d3220a36f365326cf807d68",
		"🤗":           "716ce69c5d2d629c168bc02e24a961456bdc5a362d366119305aea73978a0332",
		"0xdeadbeef":  "efedd0a9a0294228c3977d7fbb68c7d40279f8b408cf3e24ef1823b179709e58",
	} {
		if got := hex.EncodeToString(hashOf(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestRecover(t *testing.T) {
	w := newSigner(t, 5)
	sig, err := hex.DecodeString(w.sign(t, plain)[2:])
	if err != nil {
		t.Fatal(err)
	}
	n := crypto.S256().Params().N
	with := func(at int, value byte) []byte { s := bytes.Clone(sig); s[at] = value; return s }
	number := func(at int, x *big.Int) []byte { s := bytes.Clone(sig); x.FillBytes(s[at : at+32]); return s }
	high := number(32, new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:64])))
	high[64] = 27 + 28 - high[64]
	for _, c := range []struct {
		name string
		sig  []byte
		ok   bool
	}{
		{"v 27 or 28", sig, true},
		{"v 0 or 1", with(64, sig[64]-27), true},
		// The curve library without cgo takes 4 to 7 for 0 to 3.
		{"v + 4", with(64, sig[64]-27+4), false},
		{"v 2", with(64, 2), false},
		{"v 29", with(64, 29), false},
		// "v % 27" makes 0 and 1 of them.
		{"v + 27", with(64, sig[64]+27), false},
		{"v of EIP-155", with(64, sig[64]+8), false},
		{"v 255", with(64, 255), false},
		// Whoever has seen a signature can compute this one.
		{"high s", high, false},
		{"r 0", number(0, new(big.Int)), false},
		{"s 0", number(32, new(big.Int)), false},
		{"r n", number(0, n), false},
		{"s n", number(32, n), false},
		{"no point at r", number(0, big.NewInt(5)), false},
		{"empty", nil, false},
		{"64 bytes", sig[:64], false},
		{"66 bytes", append(bytes.Clone(sig), 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := bytes.Clone(c.sig)
			got, err := Recover(plain, c.sig)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalidSignature) {
				t.Fatalf("%s, %v", got, err)
			}
			if c.ok && got != w.address || !c.ok && got != (Address{}) {
				t.Errorf("recovered %s", got)
			}
			if !bytes.Equal(before, c.sig) {
				t.Error("the signature was changed")
			}
		})
	}
}

func TestDecodeSignature(t *testing.T) {
	good := "0x" + strings.Repeat("aB", 65)
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"both cases", good, true},
		{"0X", "0X" + good[2:], false},
		{"no 0x", good[2:], false},
		// Left at zero, a byte that cannot be read would be a good recovery id.
		{"last byte not hexadecimal", good[:130] + "zz", false},
		{"a contract's, shorter", good[:130], true},
		{"a contract's, empty", "0x", true},
		{"a contract's, longer", good + "00", true},
		{"a contract's, of the greatest size", "0x" + strings.Repeat("00", maxContractSignature), true},
		{"a contract's, too large", "0x" + strings.Repeat("00", maxContractSignature+1), false},
		{"last digit missing", good[:131], false},
		{"space before", " " + good, false},
		{"line feed after", good + "\n", false},
		{"empty", "", false},
		{"one megabyte", good + strings.Repeat("00", 1<<20), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := decodeSignature(c.in); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalidSignature) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Raw hashes (eth_sign) could be transactions; only what carries the ERC-191 prefix counts.
func TestRecoverNeedsPrefix(t *testing.T) {
	w := newSigner(t, 5)
	sig, err := crypto.Sign(crypto.Keccak256([]byte(plain)), w.key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Recover(plain, sig); err == nil && got == w.address {
		t.Error("a signature without prefix was taken")
	}
}
