package wallet

import (
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

// decodeSignature reads a signature as clients send it: "0x" and hex digits of either case.
func decodeSignature(s string) (sig [signatureLength]byte, err error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) != 2*signatureLength {
		return sig, fmt.Errorf("wallet: signature: not 0x and %d digits: %w", 2*signatureLength, ErrInvalidSignature)
	}
	if _, err := hex.Decode(sig[:], []byte(digits)); err != nil {
		return sig, fmt.Errorf("wallet: signature: not hexadecimal: %w", ErrInvalidSignature)
	}
	return sig, nil
}

// verify answers the account that signed text, the very bytes m was read from.
//
// The key of the address is tried first, and counts only where it yields that very address: a key keeps authority over
// its account where code was delegated to it (EIP-7702, code 0xef0100…), and asking the code alone would lock its owner
// out. Whether an account's code takes that authority away (drafts would mark it by another prefix) is for this function
// to decide, before Recover; so is asking the code itself (ERC-1271), where the key does not fit.
func verify(m Message, text, signature string) (Account, error) {
	sig, err := decodeSignature(signature)
	if err != nil {
		return Account{}, err
	}
	signer, err := Recover(text, sig[:])
	if err != nil {
		return Account{}, err
	}
	if signer != m.Address {
		return Account{}, fmt.Errorf("wallet: signed by another key than that of the message: %w", ErrInvalidSignature)
	}
	return Account{Address: signer}, nil
}
