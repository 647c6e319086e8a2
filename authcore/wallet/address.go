package wallet

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// Address is the address of an Ethereum account. Addresses are compared as these 20 bytes, never as text.
type Address [20]byte

// ParseAddress reads "0x" and 40 hex digits: all lower case, all upper case, or mixed exactly as the ERC-55 checksum
// demands. The zero address is nobody's and refused, as everything else is, with ErrInvalidAddress.
func ParseAddress(s string) (Address, error) {
	var a Address
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) != 2*len(a) {
		return Address{}, fmt.Errorf("wallet: parse address: not 0x and 40 digits: %w", ErrInvalidAddress)
	}
	if _, err := hex.Decode(a[:], []byte(digits)); err != nil {
		return Address{}, fmt.Errorf("wallet: parse address: not hexadecimal: %w", ErrInvalidAddress)
	}
	// ERC-55: a mixed-case address carries a checksum. Ignoring a wrong one would let a mistyped address pass.
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && s != a.String() {
		return Address{}, fmt.Errorf("wallet: parse address: wrong ERC-55 checksum: %w", ErrInvalidAddress)
	}
	if a == (Address{}) {
		// Failed recoveries yield the zero address in many a verifier; whoever claims it claims everybody's failures.
		return Address{}, fmt.Errorf("wallet: parse address: the zero address: %w", ErrInvalidAddress)
	}
	return a, nil
}

// String writes the address with its ERC-55 checksum.
func (a Address) String() string { return common.Address(a).Hex() }

// Account is who signed in.
type Account struct {
	Address Address
	// ChainID is 0 for a plain key, which is the same identity on every chain. A contract at the same address may belong to
	// somebody else on another chain, so a contract wallet is an identity on its chain only.
	ChainID uint64
	// Proof is what the contract said yes to, to be asked again (SignIn.Recheck); empty for a plain key.
	Proof string
}

// Key is the credential key of the account: the ERC-55 address of a plain key, "eip155:<chain>:<address>" (CAIP-10) of
// a contract wallet.
func (a Account) Key() string {
	if a.ChainID == 0 {
		return a.Address.String()
	}
	return "eip155:" + strconv.FormatUint(a.ChainID, 10) + ":" + a.Address.String()
}

// ParseAccount reads the address of a plain key, as ParseAddress does, or a contract wallet as Key writes it:
// "eip155:<chain>:<address>".
func ParseAccount(s string) (Account, error) {
	var account Account
	address := s
	if rest, ok := strings.CutPrefix(s, "eip155:"); ok {
		chain, rest, _ := strings.Cut(rest, ":")
		id, err := strconv.ParseUint(chain, 10, 64)
		if err != nil || strconv.FormatUint(id, 10) != chain || id == 0 {
			return Account{}, fmt.Errorf("wallet: parse account: not eip155:<chain id>:<address>: %w", ErrInvalidAddress)
		}
		account.ChainID, address = id, rest
	}
	var err error
	account.Address, err = ParseAddress(address)
	return account, err
}
