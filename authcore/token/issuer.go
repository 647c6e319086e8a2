package token

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/golang-jwt/jwt/v5"
)

const (
	algorithm     = "ES256"
	accessType    = "at+jwt"        // RFC 9068 section 2.1
	assertionType = "assertion+jwt" // explicit typing, RFC 8725 section 3.11

	defaultAccessTTL = 5 * time.Minute
	// maxAccessTTL keeps every access token shorter than the overlap of keys, with room for clocks that go wrong: no token
	// outlives the key that verifies it.
	maxAccessTTL = 12 * time.Hour
	assertionTTL = 120 * time.Second

	// maxSize bounds the tokens that are issued and those that are looked at.
	maxSize = 8 << 10
)

// Issuer signs access tokens and assertions, and verifies access tokens. The zero value of every field but Keys is its
// default. It may be used from many goroutines.
type Issuer struct {
	Keys      *KeyRing
	AccessTTL time.Duration // how long an access token is good; default 5 min, at most 12 h
	// Granted answers the roles that the configuration gives to whoever has these wallets and this e-mail address, in order;
	// default: none.
	Granted func(*authcore.Identity) []string
	Now     func() time.Time // default time.Now
	Rand    io.Reader        // of token ids; default crypto/rand.Reader
}

// Validate reports whether the configuration can be worked with.
func (i *Issuer) Validate() error {
	if i.accessTTL() > maxAccessTTL {
		return fmt.Errorf("token: access tokens may be good for %s at most, not %s", maxAccessTTL, i.AccessTTL)
	}
	return nil
}

// Access signs an access token for id, issued by origin, for these audiences (at least one). Times are cut to whole
// seconds. Its error is authcore.ErrUnavailable where there is no key to sign with; any other one is a mistake of the
// caller, an identity without subject, session or method say, or one too large for a token.
func (i *Issuer) Access(ctx context.Context, origin string, audience []string, id *authcore.Identity) (tok string, expires time.Time, err error) {
	if err := i.Validate(); err != nil {
		return "", time.Time{}, err
	}
	if len(audience) == 0 || slices.Contains(audience, "") {
		return "", time.Time{}, errors.New("token: access token needs an audience")
	}
	if id.Token {
		// It would outlive the personal access token, and be good where that is not.
		return "", time.Time{}, errors.New("token: no access token is made of a personal access token")
	}
	now := i.now()
	c, err := i.newClaims(origin, id, now, i.accessTTL())
	if err != nil {
		return "", time.Time{}, err
	}
	c.Audience = audience
	c.ClientID = origin
	c.Granted = i.granted(id)
	c.Username, c.Name, c.Email, c.Wallets, c.Keys = id.Username, id.Name, id.Email, id.Wallets, id.Keys
	c.MethodTimes = make(map[authcore.Method]int64, len(id.Methods))
	for _, use := range id.Methods {
		if _, twice := c.MethodTimes[use.Method]; twice || use.Method == "" || use.Time.Unix() < 0 {
			return "", time.Time{}, fmt.Errorf("token: identity has the method %q twice, or without name or time", use.Method)
		}
		c.Methods = append(c.Methods, use.Method)
		c.MethodTimes[use.Method] = methodTime(use.Time, now)
		if use.UserVerified {
			c.Verified = append(c.Verified, use.Method)
		}
		if use.DeviceBound {
			c.Bound = append(c.Bound, use.Method)
		}
	}
	return i.sign(ctx, accessType, c)
}

// Assertion signs a statement for the backend at origin about who a request is. It is good for 120 seconds and never
// accepted as an access token. Its errors are those of Access.
func (i *Issuer) Assertion(ctx context.Context, origin string, id *authcore.Identity) (tok string, expires time.Time, err error) {
	c, err := i.newClaims(origin, id, i.now(), assertionTTL)
	if err != nil {
		return "", time.Time{}, err
	}
	c.Audience = []string{origin}
	c.Username, c.Name, c.Email = id.Username, id.Name, id.Email
	return i.sign(ctx, assertionType, c)
}

// newClaims answers the claims that both kinds of token have.
func (i *Issuer) newClaims(origin string, id *authcore.Identity, now time.Time, ttl time.Duration) (*claims, error) {
	if origin == "" || id.Subject == "" || id.SessionID == "" || len(id.Methods) == 0 && !id.Token {
		return nil, errors.New("token: identity needs an origin, a subject, a session and a method")
	}
	// json.Marshal would replace what is not UTF-8, and so make two roles that differ the same.
	for _, s := range slices.Concat([]string{origin, id.Subject, id.SessionID, id.Username, id.Name, id.Email}, id.Roles, id.Wallets, id.Keys) {
		if !utf8.ValidString(s) {
			return nil, errors.New("token: identity is not UTF-8")
		}
	}
	var tokenID [16]byte
	random := i.Rand
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, tokenID[:]); err != nil {
		return nil, fmt.Errorf("token: read random bytes: %w", err)
	}
	return &claims{
		Issuer:    origin,
		Subject:   id.Subject,
		SessionID: id.SessionID,
		TokenID:   base64.RawURLEncoding.EncodeToString(tokenID[:]),
		IssuedAt:  now.Unix(),
		Expires:   now.Add(ttl).Unix(),
		AuthTime:  max(0, methodTime(id.AuthTime(), now)),
		Roles:     id.Roles,
		AMR:       AMR(id.Methods),
	}, nil
}

// methodTime is when a method was used, as a token says it: never later than the token itself, which an instance whose
// clock is behind would otherwise claim.
func methodTime(used, issued time.Time) int64 { return min(used.Unix(), issued.Unix()) }

func (i *Issuer) sign(ctx context.Context, typ string, c *claims) (string, time.Time, error) {
	key, err := i.Keys.signer(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("token: write claims: %w", err)
	}
	tok, err := signPayload(key, typ, payload)
	if err != nil {
		return "", time.Time{}, err
	}
	if len(tok) > maxSize {
		return "", time.Time{}, fmt.Errorf("token: identity needs a token of %d bytes, more than %d", len(tok), maxSize)
	}
	return tok, time.Unix(c.Expires, 0).UTC(), nil
}

func signPayload(key *signingKey, typ string, payload []byte) (string, error) {
	text := segment.EncodeToString([]byte(header(typ, key.id))) + "." + segment.EncodeToString(payload)
	sig, err := jwt.SigningMethodES256.Sign(text, key.private)
	if err != nil {
		return "", fmt.Errorf("token: sign: %w", err)
	}
	return text + "." + segment.EncodeToString(lowS(sig)), nil
}

// header is the only header that is written, and accepted.
func header(typ, keyID string) string {
	var b strings.Builder
	b.WriteString(headerBegin)
	b.WriteString(keyID)
	b.WriteString(headerMiddle)
	b.WriteString(typ)
	b.WriteString(headerEnd)
	return b.String()
}

const (
	headerBegin  = `{"alg":"` + algorithm + `","kid":"`
	headerMiddle = `","typ":"`
	headerEnd    = `"}`
)

// lowS answers the one of the two signatures (r, s) and (r, n-s), both valid, that has the lower s.
func lowS(sig []byte) []byte {
	if hasLowS(sig) {
		return sig
	}
	s := new(big.Int).SetBytes(sig[scalarSize:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[scalarSize:])
	return sig
}

func hasLowS(sig []byte) bool {
	s := new(big.Int).SetBytes(sig[scalarSize:])
	return s.Lsh(s, 1).Cmp(elliptic.P256().Params().N) < 0
}

func (i *Issuer) accessTTL() time.Duration {
	if i.AccessTTL > 0 {
		return i.AccessTTL
	}
	return defaultAccessTTL
}

func (i *Issuer) granted(id *authcore.Identity) []string {
	if i.Granted == nil {
		return nil
	}
	return i.Granted(id)
}

func (i *Issuer) now() time.Time {
	if i.Now != nil {
		return i.Now()
	}
	return time.Now()
}
