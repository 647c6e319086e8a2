// Package keysign signs users in with keys that have no account on Ethereum: the Ed25519 keys of Solana wallets, by Sign In
// With Solana messages (CAIP-122), and plain Ed25519 (RFC 8032) and ML-DSA-65 (FIPS 204) keys of programs, by messages of the
// same form.
//
// What it promises:
//
//   - Only the bytes that were issued count. SignIn writes every message; a wallet may fill in its own address where the
//     question left it open, and nothing else. No field that comes back is ever interpreted.
//   - A nonce counts once. Every answer whose message can be read spends the nonce in it, whatever is wrong with the rest.
//   - A signature counts for one kind of key only: the first line of the message names it, so the same Ed25519 key as a
//     wallet and as a key of a program is two identities, and a signature for the one is none for the other.
//   - One key is one identity. Keys of small order, with which anybody's signature would be good, keys outside of the
//     prime-order group and second spellings of a key are refused; so are signatures with an s that is not reduced.
//
// What it will not do: let wallets write the message, look at the signatures of Ledger devices over "off-chain messages", or
// know anything of programs on Solana, whose accounts have no key. It makes no network request.
package keysign

import "errors"

// The errors by which callers tell the refusals apart (errors.Is), beside those of authcore for challenges.
var (
	ErrInvalidKey       = errors.New("key is not valid")
	ErrKindOff          = errors.New("keys of this kind are off")
	ErrInvalidMessage   = errors.New("message is not valid")
	ErrInvalidSignature = errors.New("signature is not valid")
)
