package token

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forge signs any header and any claims with the issuer's own key: what is refused then is refused for what it says.
func forge(t testing.TB, i *Issuer, head, payload string) string {
	t.Helper()
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signWith(t, k, encode(head)+"."+encode(payload))
}

func signWith(t testing.TB, k *signingKey, text string) string {
	t.Helper()
	sig, err := jwt.SigningMethodES256.Sign(text, k.private)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(string(lowS(sig)))
}

func timeText(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(t testing.TB, s string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// parts answers the header and the claims of a good token, in clear.
func parts(t testing.TB, i *Issuer) (head, payload string) {
	t.Helper()
	p := strings.Split(access(t, i, alice()), ".")
	return decode(t, p[0]), decode(t, p[1])
}

func refuse(t *testing.T, i *Issuer, tok string, want error) {
	t.Helper()
	got, err := i.VerifyAccess(t.Context(), tok, []string{origin})
	id, expires := got.Identity, got.Expires
	if !errors.Is(err, want) || id != nil || !expires.IsZero() {
		t.Errorf("VerifyAccess = %v, %v, %v; want %v", id, expires, err, want)
	}
	if want == ErrInvalid {
		if sid, err := i.SessionID(t.Context(), tok, []string{origin}); !errors.Is(err, want) || sid != "" {
			t.Errorf("SessionID = %q, %v; want %v", sid, err, want)
		}
	}
}

func accept(t *testing.T, i *Issuer, tok string) {
	t.Helper()
	if _, err := i.VerifyAccess(t.Context(), tok, []string{origin}); err != nil {
		t.Errorf("VerifyAccess = %v", err)
	}
}

// nextInAlphabet answers the letter after c in base64url: it differs in the last bit, which does not count at the end.
func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}
