// Package passkey registers passkeys and signs users in with them: the relying party's side of Web Authentication
// (WebAuthn Level 3, https://www.w3.org/TR/webauthn-3/).
//
// The cryptography and most comparisons are those of github.com/go-webauthn/webauthn. This package adds what that
// library leaves to its caller, and closes what it leaves open.
//
// What it promises:
//
//   - A ceremony counts once. It is taken out of the store before anything of the answer is judged, so that a failed try
//     spends it too, and it is bound to its purpose, its origin, its relying party ID and the user who was signed in.
//   - The origin in the client data equals the site's, byte for byte.
//   - What is registered can sign in: the public key is a sound one of an algorithm that was asked for.
//   - A sign count that went back is refused where the passkey is bound to one device, and reported where it is synced.
//     Of several sign-ins at once each is judged against what the others stored.
//   - A changed backup eligibility locks nobody out, unless synced passkeys are forbidden.
//   - Whether the user was verified is said of this very ceremony, never of an earlier one.
//   - Who asks for the passkeys of a username gets the same kind of answer, whether there are any or not.
//   - Outputs of extensions that nobody asked for are not looked at.
//
// What it will not do: fetch or judge metadata of authenticators (FIDO MDS), so an attestation says little more than an
// AAGUID does, namely what the authenticator says of itself; U2F's appid; PRF and large blobs. It stores no new
// credential: its caller does, together with the account.
package passkey

import (
	"errors"
	"fmt"
)

// The errors by which callers tell the refusals apart (errors.Is), beside those of authcore for challenges and stores.
// Their texts, and those wrapped around them, are for logs. Each has one meaning for the public.
var (
	ErrInvalidAttestation = errors.New("attestation is not valid")
	ErrInvalidAssertion   = errors.New("assertion is not valid")
	// ErrUnknownCredential is an ErrInvalidAssertion by a passkey that is not stored (any more), in a ceremony that named
	// no passkeys: the page may tell the browser to forget it (signalUnknownCredential).
	ErrUnknownCredential = fmt.Errorf("passkey is unknown: %w", ErrInvalidAssertion)
	// ErrNotAllowed comes with ErrInvalidAttestation or ErrInvalidAssertion: all was well, but for a policy.
	ErrNotAllowed = errors.New("authenticator is not allowed")
	// ErrNoPasskey says that a user who shall step up has no passkey here.
	ErrNoPasskey = errors.New("user has no passkey")
)

// SignCountError is the ErrInvalidAssertion of a passkey that is bound to one device and whose sign count did not grow:
// somebody may have a copy of its key (WebAuthn section 6.1.1).
type SignCountError struct {
	UserID, CredentialID string
	Stored, Received     uint32
}

func (e *SignCountError) Error() string {
	return fmt.Sprintf("passkey: sign count is %d and was %d", e.Received, e.Stored)
}

func (e *SignCountError) Unwrap() error { return ErrInvalidAssertion }
