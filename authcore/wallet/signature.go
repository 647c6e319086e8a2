package wallet

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
)

// signatureLength is r, s and the recovery id v. The compact form (ERC-2098, 64 bytes) is not taken: wallets do not send
// it, and it would be a second signature for the same message.
const signatureLength = 65

// Hash is what a wallet signs for a text: the ERC-191 version 0x45 hash ("personal_sign"), whose length is counted in
// bytes.
func Hash(message string) [32]byte {
	return crypto.Keccak256Hash([]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(message))), []byte(message))
}

// Recover answers the address of the key that signed the message. sig is r, s, v with v 0, 1, 27 or 28 and s in the
// lower half; everything else is ErrInvalidSignature. For most random signatures there is some address: the caller
// compares it with the one that was claimed.
func Recover(message string, sig []byte) (Address, error) {
	return recoverHash(Hash(message), sig)
}

func recoverHash(hash [32]byte, sig []byte) (Address, error) {
	if len(sig) != signatureLength {
		return Address{}, fmt.Errorf("wallet: recover: %d bytes instead of %d: %w", len(sig), signatureLength, ErrInvalidSignature)
	}
	v := sig[64]
	if v == 27 || v == 28 {
		v -= 27
	}
	// v is 0 or 1 now, or refused: "v % 27" and the curve library both let further values pass, each of them one more
	// signature for the same message. So is, of s and n-s, the upper one (EIP-2).
	if !crypto.ValidateSignatureValues(v, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:64]), true) {
		return Address{}, fmt.Errorf("wallet: recover: r, s or v out of range: %w", ErrInvalidSignature)
	}
	key, err := crypto.Ecrecover(hash[:], append(append(make([]byte, 0, signatureLength), sig[:64]...), v))
	if err != nil {
		return Address{}, fmt.Errorf("wallet: recover: no key: %w", ErrInvalidSignature)
	}
	// The address is the last 20 bytes of the hash of the uncompressed point without its 0x04.
	return Address(crypto.Keccak256(key[1:])[12:]), nil
}

// decodeSignature reads a signature as clients send it: "0x" and hex digits of either case. That of a contract may have
// any length, and none where its owners agreed on the chain.
func decodeSignature(s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) > 2*maxContractSignature {
		return nil, fmt.Errorf("wallet: signature: not 0x and at most %d digits: %w", 2*maxContractSignature, ErrInvalidSignature)
	}
	sig, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("wallet: signature: not hexadecimal: %w", ErrInvalidSignature)
	}
	return sig, nil
}

// verify answers the account that signed the text of an answer, the very bytes m was read from.
//
// The key of the address is tried first, and counts only where it yields that very address: a key keeps authority over
// its account where code was delegated to it (EIP-7702, code 0xef0100…), and asking the code alone would lock its owner
// out. No chain is asked then. Whether an account's code takes that authority away (drafts would mark it by another
// prefix) is for this function to decide, before Recover.
//
// Where the key does not fit, the code at that address on that chain is asked, and what it says yes to is an account of
// that chain only: whoever controls the code need not be the holder of the key.
func (s *SignIn) verify(ctx context.Context, m Message, answer Answer) (Account, error) {
	sig, err := decodeSignature(answer.Signature)
	if err != nil {
		return Account{}, err
	}
	hash := Hash(answer.Message)
	if len(sig) == signatureLength {
		if signer, err := recoverHash(hash, sig); err == nil && signer == m.Address {
			return Account{Address: signer}, nil
		}
	}
	if s.Contracts == nil {
		return Account{}, fmt.Errorf("wallet: not signed by the key of the address: %w", ErrChainNotChecked)
	}
	if err := s.Contracts.Verify(ctx, answer.Client, m.ChainID, m.Address, hash, sig); err != nil {
		return Account{}, err
	}
	return Account{Address: m.Address, ChainID: m.ChainID, Proof: proof{m.ChainID, m.Address, hash, sig}.encode()}, nil
}
