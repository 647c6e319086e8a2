// Package wallet signs users in with an Ethereum wallet: Sign-In with Ethereum (ERC-4361) messages, written by this
// package or by the client, signed with personal_sign (ERC-191).
//
// What it promises:
//
//   - A message is read by its grammar, byte for byte, or refused: whatever ParseMessage accepts, Format writes back
//     unchanged. The signature is checked over the bytes that were received, never over a text written anew.
//   - A message that SignIn wrote is accepted only as it was written. One that a client wrote is accepted only for the
//     origin, the chains and the times that SignIn would have written itself.
//   - A nonce counts once. Every answer whose message can be read spends the nonce in it, whatever is wrong with the rest.
//   - A key has one signature per message: only 65 bytes with the low s and a known recovery id are taken.
//   - Who signs with the key of the address is signed in without any network. Only where no key signed, and only with
//     Contracts, the code at the address in the message is asked, on the chain in the message, after the nonce is spent.
//
// What it will not do: look at compact (ERC-2098) signatures of keys, at resources and the capabilities that hide in them
// (ERC-5573), at names (ENS), or at delegations that come with a signature (ERC-8010).
package wallet

import "errors"

// The errors by which callers tell the refusals apart (errors.Is), beside those of authcore for challenges.
var (
	ErrInvalidAddress   = errors.New("address is not valid")
	ErrChainNotAllowed  = errors.New("chain is not allowed")
	ErrInvalidMessage   = errors.New("message is not valid")
	ErrInvalidSignature = errors.New("signature is not valid")
)
