package wallet

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// word is the unit of the contract ABI, in bytes.
const word = 32

// isValidSignatureMagic is the selector of isValidSignature(bytes32,bytes), and also what it returns for a signature that
// is good (ERC-1271): a contract that echoes what it is called with begins its answer with it, too.
var isValidSignatureMagic = [4]byte{0x16, 0x26, 0xba, 0x7e}

// deployedSuffix marks a signature of a wallet that may not be deployed yet (ERC-6492).
var deployedSuffix = bytes.Repeat([]byte{0x64, 0x92}, word/2)

// isValidSignatureCall is the call isValidSignature(hash, signature).
func isValidSignatureCall(hash [32]byte, signature []byte) []byte {
	call := make([]byte, 0, len(isValidSignatureMagic)+3*word+padded(len(signature)))
	call = append(call, isValidSignatureMagic[:]...)
	call = append(call, hash[:]...)
	call = appendNumber(call, 2*word) // where the second argument begins
	call = appendNumber(call, uint64(len(signature)))
	call = append(call, signature...)
	return append(call, make([]byte, padded(len(signature))-len(signature))...)
}

// saysValid reports whether a contract's answer is that of ERC-1271: the magic value as one word, and nothing else. What
// echoes its call begins with the same bytes and is longer.
func saysValid(answer []byte) bool {
	var want [word]byte
	copy(want[:], isValidSignatureMagic[:])
	return bytes.Equal(answer, want[:])
}

// deployment is the content of an ERC-6492 signature: the call by which the factory deploys the wallet, and the signature
// for the wallet itself.
type deployment struct {
	factory   Address
	call      []byte
	signature []byte
}

var errMalformedWrapper = errors.New("malformed ERC-6492 signature")

// unwrap reads an ERC-6492 signature: abi.encode(address factory, bytes call, bytes signature) and the suffix. wrapped is
// false where the suffix is not there.
func unwrap(signature []byte) (d deployment, wrapped bool, err error) {
	body, wrapped := bytes.CutSuffix(signature, deployedSuffix)
	if !wrapped {
		return deployment{}, false, nil
	}
	if len(body) < 3*word || !isZero(body[:word-len(d.factory)]) {
		return deployment{}, true, errMalformedWrapper
	}
	copy(d.factory[:], body[word-len(d.factory):word])
	var ok, ok2 bool
	d.call, ok = dynamicBytes(body, body[word:2*word])
	d.signature, ok2 = dynamicBytes(body, body[2*word:3*word])
	if !ok || !ok2 {
		return deployment{}, true, errMalformedWrapper
	}
	return d, true, nil
}

// dynamicBytes answers the bytes that stand at an offset within body: their length, and then they.
func dynamicBytes(body, offset []byte) ([]byte, bool) {
	at, ok := smallNumber(offset)
	if !ok || at > len(body)-word {
		return nil, false
	}
	n, ok := smallNumber(body[at : at+word])
	if !ok || n > len(body)-word-at {
		return nil, false
	}
	return body[at+word : at+word+n], true
}

// smallNumber reads a word that is less than 2^31, which is more than anything here is long.
func smallNumber(w []byte) (int, bool) {
	n := binary.BigEndian.Uint32(w[word-4:])
	return int(n & (1<<31 - 1)), isZero(w[:word-4]) && n < 1<<31
}

func appendNumber(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, make([]byte, word-8)...), n)
}

func padded(n int) int { return (n + word - 1) / word * word }

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
