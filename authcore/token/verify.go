package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrInvalid says that a token is not an access token of this issuer for this audience. What it lacks is for the log.
	ErrInvalid = errors.New("access token is not valid")
	// ErrExpired says that a token was valid, and is no longer: by its time, or because Issuer.Granted answers other roles now.
	ErrExpired = errors.New("access token has expired")
)

// leeway is how far in the future a token may have been issued, by an instance whose clock is ahead.
const leeway = 60 * time.Second

// segment refuses the non-canonical spellings in which unused trailing bits are set.
var segment = base64.RawURLEncoding.Strict()

// Access is what a valid access token says.
type Access struct {
	Identity        *authcore.Identity
	Issued, Expires time.Time // whole seconds
}

// VerifyAccess answers what an access token says, where it was issued for one of these audiences at least. Its error is
// ErrInvalid, ErrExpired, or authcore.ErrUnavailable where the key is not known and the store cannot tell.
func (i *Issuer) VerifyAccess(ctx context.Context, tok string, audience []string) (Access, error) {
	c, err := i.verify(ctx, tok, audience)
	if err != nil {
		return Access{}, err
	}
	// RFC 7519 section 4.1.4: "on or after" the time of exp it must not be accepted.
	if i.now().Unix() >= c.Expires {
		return Access{}, fmt.Errorf("token: %w", ErrExpired)
	}
	id := c.identity()
	// Roles that the configuration gave and gives no longer are void at once, and so are tokens without those that it gives
	// now. What the token says of itself is all that is asked, so this holds after a restart and on every instance.
	if !slices.Equal(c.Granted, i.granted(id)) {
		return Access{}, fmt.Errorf("token: other roles are granted now: %w", ErrExpired)
	}
	return Access{id, time.Unix(c.IssuedAt, 0).UTC(), time.Unix(c.Expires, 0).UTC()}, nil
}

// SessionID answers the session of an access token that is valid or was until it expired: for signing out, which must
// work late. Its error is ErrInvalid or authcore.ErrUnavailable.
func (i *Issuer) SessionID(ctx context.Context, tok string, audience []string) (string, error) {
	c, err := i.verify(ctx, tok, audience)
	if err != nil {
		return "", err
	}
	return c.SessionID, nil
}

// verify checks everything but that the token has not expired yet.
func (i *Issuer) verify(ctx context.Context, tok string, audience []string) (*claims, error) {
	text, keyID, sig, err := split(tok, accessType)
	if err != nil {
		return nil, err
	}
	key, err := i.Keys.verifier(ctx, keyID)
	if err != nil {
		return nil, err
	}
	if err := jwt.SigningMethodES256.Verify(text, sig, &key.private.PublicKey); err != nil {
		return nil, fmt.Errorf("token: signature: %w", ErrInvalid)
	}
	// Nothing of what the client wrote into the claims has been looked at before this line.
	payload, err := segment.DecodeString(text[strings.IndexByte(text, '.')+1:])
	if err != nil {
		return nil, fmt.Errorf("token: claims are not base64url: %w", ErrInvalid)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, fmt.Errorf("token: %w: %w", ErrInvalid, err)
	}
	latest := i.now().Add(leeway).Unix()
	switch {
	case c.IssuedAt > latest || c.NotBefore > latest:
		return nil, fmt.Errorf("token: issued in the future: %w", ErrInvalid)
	case !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(c.Audience, a) }):
		return nil, fmt.Errorf("token: issued for another audience: %w", ErrInvalid)
	}
	return c, nil
}

// split takes a token of this type apart: the text that was signed, the id of the key, the signature. The header is
// compared with the one that is ever written. So there is no algorithm to confuse (RFC 8725 section 3.1), no crit to
// overlook, no jwk, jku or x5u to follow, no member to write twice or in another case.
func split(tok, typ string) (text, keyID string, sig []byte, err error) {
	if len(tok) > maxSize {
		return "", "", nil, fmt.Errorf("token: too long: %w", ErrInvalid)
	}
	// The decoder of base64 skips line breaks, so what is no base64url is looked for here.
	if strings.ContainsFunc(tok, func(r rune) bool { return !isTokenRune(r) }) || strings.Count(tok, ".") != 2 {
		return "", "", nil, fmt.Errorf("token: not three segments of base64url: %w", ErrInvalid)
	}
	first, last := strings.IndexByte(tok, '.'), strings.LastIndexByte(tok, '.')
	head, err := segment.DecodeString(tok[:first])
	if err != nil {
		return "", "", nil, fmt.Errorf("token: header is not base64url: %w", ErrInvalid)
	}
	keyID, found := strings.CutPrefix(string(head), headerBegin)
	if !found {
		return "", "", nil, fmt.Errorf("token: foreign header: %w", ErrInvalid)
	}
	keyID, found = strings.CutSuffix(keyID, headerMiddle+typ+headerEnd)
	if !found || !isThumbprint(keyID) {
		return "", "", nil, fmt.Errorf("token: foreign header: %w", ErrInvalid)
	}
	sig, err = segment.DecodeString(tok[last+1:])
	// ECDSA accepts (r, n-s) for (r, s): without this anybody could write a token anew, to slip by whatever
	// remembers tokens by their text.
	if err != nil || len(sig) != 2*scalarSize || !hasLowS(sig) {
		return "", "", nil, fmt.Errorf("token: signature is not canonical: %w", ErrInvalid)
	}
	return tok[:last], keyID, sig, nil
}

func isTokenRune(r rune) bool {
	return r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// isThumbprint keeps everything from the keys but what could be the id of one: no path, no quote, no other member of the
// header.
func isThumbprint(s string) bool {
	raw, err := segment.DecodeString(s)
	return err == nil && len(raw) == 32 && len(s) == segment.EncodedLen(32)
}
