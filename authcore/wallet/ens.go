package wallet

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
)

// ensRegistry tells who resolves a name (ERC-137); it is at this address on the chain of names.
var ensRegistry = Address{0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x2e, 0x07, 0x4e, 0xc6, 0x9a, 0x0d, 0xfb, 0x29, 0x97, 0xba, 0x6c, 0x7d, 0x2e, 0x1e}

// The selectors of the registry and of resolvers (ERC-137, ERC-181).
var (
	ensResolver = [4]byte{0x01, 0x78, 0xb8, 0xbf} // resolver(bytes32)
	ensAddr     = [4]byte{0x3b, 0x3b, 0x57, 0xde} // addr(bytes32)
	ensName     = [4]byte{0x69, 0x1f, 0x34, 0x31} // name(bytes32)
)

// nameOf answers the name of a wallet: the one that the wallet claims, where that name says the same of the wallet; else
// none. The claim alone is anybody's. Names that are resolved outside of the chain (ERC-3668) are none.
func (k *Contracts) nameOf(ctx context.Context, a Address) (string, error) {
	said, err := k.resolve(ctx, hex.EncodeToString(a[:])+".addr.reverse", ensName)
	if err != nil {
		return "", err
	}
	if len(said) < 2*word {
		return "", nil
	}
	text, ok := dynamicBytes(said, said[:word])
	if name := string(text); ok && validName(name) {
		said, err := k.resolve(ctx, name, ensAddr)
		if err == nil && string(said) == string(addressWord(a)) {
			return name, nil
		}
		return "", err
	}
	return "", nil
}

// resolve asks the resolver of a name about it; nothing where there is none, or where it refuses.
func (k *Contracts) resolve(ctx context.Context, name string, ask [4]byte) ([]byte, error) {
	node := namehash(name)
	said, err := k.unlessReverted(ctx, ensRegistry, append(ensResolver[:len(ensResolver):len(ensResolver)], node[:]...))
	if err != nil || len(said) != word || isZero(said) || !isZero(said[:word-len(Address{})]) {
		return nil, err
	}
	return k.unlessReverted(ctx, Address(said[word-len(Address{}):]), append(ask[:len(ask):len(ask)], node[:]...))
}

func (k *Contracts) unlessReverted(ctx context.Context, to Address, call []byte) ([]byte, error) {
	said, err := k.Call(ctx, ensChain, to, call)
	if errors.Is(err, ErrReverted) {
		return nil, nil
	}
	return said, err
}

// namehash is the node of a name (ERC-137).
func namehash(name string) (node [32]byte) {
	for name != "" {
		i := strings.LastIndexByte(name, '.')
		node = crypto.Keccak256Hash(node[:], crypto.Keccak256([]byte(name[i+1:])))
		name = name[:max(i, 0)]
	}
	return node
}
