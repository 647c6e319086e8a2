// Package token signs and verifies access tokens, signs assertions for backends, and keeps the keys of both.
//
// An access token is a JWT of type "at+jwt" (RFC 9068) and an assertion one of type "assertion+jwt"; neither is ever
// taken for the other (RFC 8725 section 3.11). The only algorithm is ES256.
//
// What is verified here was signed here, so there is one form of it and everything else is refused: the header is
// compared with the one header that is ever written, not interpreted; the claims are not read before the signature holds;
// their names are exact, none occurs twice, and numbers are whole ones. A token has one spelling: base64url is canonical,
// and of the two signatures (r, s) and (r, n-s) that ECDSA would accept, the one with the lower s. External verifiers
// need not be so strict; the tokens are ordinary ones.
//
// Times: a token is expired from the second of its exp on, without leeway. Its iat may lie 60 seconds in the future, for
// the clocks of other instances.
//
// Keys live in the store that all instances share and are cached in memory: signing and verifying touch no store but to
// read the keys anew once a minute, and go on with the cached keys while the store is down. A key is published for 24 hours
// before it signs, then signs for RotateEvery, and stays published for another 24 hours, which is longer than any token
// lives; then it is refused and deleted.
//
// The package does not know sessions, users or HTTP. That a session still lives, and who may do what, others decide.
package token
