package wallet

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// HoldingKind is what a wallet may have on a chain.
type HoldingKind string

const (
	NFT   HoldingKind = "nft"   // of a collection (ERC-721)
	Token HoldingKind = "token" // an amount of a token (ERC-20)
	ENS   HoldingKind = "ens"   // a name that resolves to the wallet, and to which the wallet resolves (ERC-137, ERC-181)
)

// ensChain is the chain on which names are registered.
const ensChain = 1

// Holding is something that a wallet has on a chain, or has not.
type Holding struct {
	Kind     HoldingKind
	Chain    uint64  // 1 for ENS
	Contract Address // zero for ENS
	// Min is how much: pieces of a collection, or an amount of a token as wallets show it, "0.5" say, which the token's
	// decimals turn into its smallest unit. Empty: anything.
	Min string
	// Name is that of the wallet, or "*." and the name that it is below.
	Name string
}

// ParseHolding reads a holding as operators write it: "nft <chain> <contract> [min <n>]", "token <chain> <contract> [min
// <n>]", "ens <name>" or "ens *.<name>". Its errors say what to write.
func ParseHolding(words []string) (Holding, error) {
	if len(words) == 0 {
		return Holding{}, errors.New("wallet: holding: write nft, token or ens")
	}
	h := Holding{Kind: HoldingKind(words[0])}
	switch words = words[1:]; h.Kind {
	case ENS:
		if len(words) != 1 {
			return Holding{}, errors.New("wallet: holding: write ens <name>, such as ens *.example.eth")
		}
		h.Chain, h.Name = ensChain, strings.ToLower(words[0])
		if !validName(strings.TrimPrefix(h.Name, "*.")) {
			return Holding{}, fmt.Errorf("wallet: holding: ens %q: write a name of letters, digits and '-', such as *.example.eth", words[0])
		}
		return h, nil
	case NFT, Token:
	default:
		return Holding{}, fmt.Errorf("wallet: holding: %q: write nft, token or ens", h.Kind)
	}
	if len(words) != 2 && (len(words) != 4 || words[2] != "min") {
		return Holding{}, fmt.Errorf("wallet: holding: write %s <chain-id> <contract> [min <n>]", h.Kind)
	}
	var err error
	if h.Chain, err = strconv.ParseUint(words[0], 10, 64); err != nil || h.Chain == 0 {
		return Holding{}, fmt.Errorf("wallet: holding: %q is not a chain id", words[0])
	}
	if h.Contract, err = ParseAddress(words[1]); err != nil {
		return Holding{}, fmt.Errorf("wallet: holding: %s %d: contract %q: %w", h.Kind, h.Chain, words[1], err)
	}
	if len(words) == 4 {
		h.Min = words[3]
		decimals := maxDecimals
		if h.Kind == NFT {
			decimals = 0
		}
		if n, ok := units(h.Min, decimals); !ok || n.Sign() == 0 {
			return Holding{}, fmt.Errorf("wallet: holding: min %q: write a number above zero", words[3])
		}
	}
	return h, nil
}

// String is how operators write h.
func (h Holding) String() string {
	if h.Kind == ENS {
		return "ens " + h.Name
	}
	s := fmt.Sprintf("%s %d %s", h.Kind, h.Chain, h.Contract)
	if h.Min != "" {
		s += " min " + h.Min
	}
	return s
}

// validName reports whether s is a name of two labels or more that cannot be taken for another one. ENSIP-15 allows many
// more characters, some of which look alike.
func validName(s string) bool {
	if len(s) > 255 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// names reports whether a holding of a name is that of this name.
func (h Holding) names(name string) bool {
	if parent, below := strings.CutPrefix(h.Name, "*"); below {
		return strings.HasSuffix(name, parent) && len(name) > len(parent) && validName(name)
	}
	return name == h.Name
}

// canHave reports whether a wallet can have anything on the chain of h. A key is the same on all chains; a contract is
// there on its own one only, and elsewhere its address may be somebody else's.
func (h Holding) canHave(a Account) bool { return a.ChainID == 0 || a.ChainID == h.Chain }

// has asks the chain whether the wallet at an address has h now.
func (h Holding) has(ctx context.Context, k *Contracts, a Address) (bool, error) {
	if h.Kind == ENS {
		name, err := k.nameOf(ctx, a)
		return err == nil && h.names(name), err
	}
	balance, err := k.number(ctx, h.Chain, h.Contract, append(append([]byte{}, balanceOf[:]...), addressWord(a)...))
	if err != nil || balance == nil {
		return false, err
	}
	least := big.NewInt(1)
	if h.Min != "" {
		decimals := 0
		if h.Kind == Token {
			if decimals, err = k.decimalsOf(ctx, h.Chain, h.Contract); err != nil || decimals < 0 {
				return false, err
			}
		}
		var ok bool
		if least, ok = units(h.Min, decimals); !ok {
			return false, nil // a fraction of the smallest unit
		}
	}
	return balance.Cmp(least) >= 0, nil
}

// maxDecimals is the most that a token can have: 10^77 is the greatest power of ten in 256 bits.
const maxDecimals = 77

// units answers a decimal number in units of 10^-decimals, where it is a whole number of them.
func units(s string, decimals int) (*big.Int, bool) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if whole == "" || dotted && fraction == "" || len(fraction) > decimals || len(whole) > maxDecimals+1 {
		return nil, false
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	if strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(digits, 10)
}

// The selectors of what is asked of contracts.
var (
	balanceOf = [4]byte{0x70, 0xa0, 0x82, 0x31} // balanceOf(address), of ERC-20 and ERC-721 alike
	decimals  = [4]byte{0x31, 0x3c, 0xe5, 0x67} // decimals(), of ERC-20
)

// number answers the number that a contract returns; nil where it returns none, or reverts.
func (k *Contracts) number(ctx context.Context, chain uint64, to Address, call []byte) (*big.Int, error) {
	said, err := k.Call(ctx, chain, to, call)
	switch {
	case errors.Is(err, ErrReverted):
		return nil, nil //nolint:nilnil // it has said that it has none
	case err != nil:
		return nil, err
	case len(said) != word:
		return nil, nil //nolint:nilnil // no number
	}
	return new(big.Int).SetBytes(said), nil
}

// decimalsOf answers how many decimals a token has: none where it does not say, and -1 where what it says cannot be.
func (k *Contracts) decimalsOf(ctx context.Context, chain uint64, token Address) (int, error) {
	n, err := k.number(ctx, chain, token, decimals[:])
	switch {
	case err != nil || n == nil:
		return 0, err
	case !n.IsInt64() || n.Int64() > maxDecimals:
		return -1, nil
	}
	return int(n.Int64()), nil
}

func addressWord(a Address) []byte { return append(make([]byte, word-len(a)), a[:]...) }
