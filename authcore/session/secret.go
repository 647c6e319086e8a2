package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	idSize     = 16 // random bytes of a session's public id
	familySize = 16 // random bytes that all refresh tokens of a session have in common
	secretSize = 32 // random bytes of a cookie's secret, and of a single refresh token

	// refreshPrefix tells a refresh token from everything else, for people and for scanners of leaked secrets.
	refreshPrefix = "agr_"
)

// strict refuses the non-canonical spellings in which unused trailing bits are set.
var strict = base64.RawURLEncoding.Strict()

// maxEncoded has room for the longest secret in base64.
const maxEncoded = (idSize+familySize+secretSize)*4/3 + 1

// cookieSecret is what the cookie of a browser carries: base64url(id | secret).
type cookieSecret struct {
	id     string
	secret [secretSize]byte
}

func parseCookieSecret(s string) (cookieSecret, bool) {
	var raw [idSize + secretSize]byte
	if !decodeExactly(raw[:], s) {
		return cookieSecret{}, false
	}
	return cookieSecret{id: strict.EncodeToString(raw[:idSize]), secret: [secretSize]byte(raw[idSize:])}, true
}

func formatCookieSecret(id [idSize]byte, secret [secretSize]byte) string {
	return strict.EncodeToString(append(id[:], secret[:]...))
}

func (c cookieSecret) hash() [32]byte { return authcore.HashSecret(string(c.secret[:])) }

// refreshToken is "agr_" base64url(id | family | secret). The family proves that the token was once given out for this
// session, so that reuse can be told from a guess; the secret says which token of the family it is.
type refreshToken struct {
	rawID  [idSize]byte
	family [familySize]byte
	secret [secretSize]byte
}

func parseRefreshToken(s string) (refreshToken, bool) {
	s, found := strings.CutPrefix(s, refreshPrefix)
	var raw [idSize + familySize + secretSize]byte
	if !found || !decodeExactly(raw[:], s) {
		return refreshToken{}, false
	}
	return refreshToken{
		rawID:  [idSize]byte(raw[:idSize]),
		family: [familySize]byte(raw[idSize:][:familySize]),
		secret: [secretSize]byte(raw[idSize+familySize:]),
	}, true
}

func (t refreshToken) String() string {
	raw := append(t.rawID[:], t.family[:]...)
	return refreshPrefix + strict.EncodeToString(append(raw, t.secret[:]...))
}

func (t refreshToken) id() string           { return strict.EncodeToString(t.rawID[:]) }
func (t refreshToken) familyHash() [32]byte { return authcore.HashSecret(string(t.family[:])) }
func (t refreshToken) hash() [32]byte       { return authcore.HashSecret(string(t.secret[:])) }

// successor is the token that follows t under this salt. The store knows the salt and not the token, the holder the
// token and not the salt: only both together can answer the successor again.
func (t refreshToken) successor(salt [32]byte) refreshToken {
	mac := hmac.New(sha256.New, salt[:])
	mac.Write(t.secret[:])
	t.secret = [secretSize]byte(mac.Sum(nil))
	return t
}

// decodeExactly fills dst with what s encodes, and reports whether s is the one canonical spelling of exactly that many
// bytes. The length of s is compared too because the decoder skips line breaks.
func decodeExactly(dst []byte, s string) bool {
	var text [maxEncoded]byte // spares the garbage collector a copy in every request
	if len(s) != strict.EncodedLen(len(dst)) || len(s) > len(text) {
		return false
	}
	n, err := strict.Decode(dst, text[:copy(text[:], s)])
	return err == nil && n == len(dst)
}

// equal compares two hashes in constant time.
func equal(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
