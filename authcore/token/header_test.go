package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// RFC 8725 section 2.1: a token that says it needs no signature, in any case of the letters, with or without one.
func TestAlgorithmNone(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		h := strings.Replace(head, "ES256", none, 1)
		refuse(t, i, encode(h)+"."+encode(payload)+".", ErrInvalid)
		refuse(t, i, forge(t, i, h, payload), ErrInvalid)
	}
	refuse(t, i, encode(head)+"."+encode(payload)+".", ErrInvalid)
	refuse(t, i, encode(head)+"."+encode(payload), ErrInvalid)
}

// The public key, which everybody has, used as the secret of an HMAC, in every form in which libraries hold it.
func TestAlgorithmConfusionWithPublicKey(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := i.Keys.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), point, jwks} {
		for _, h := range []string{head, strings.Replace(head, "ES256", "HS256", 1)} {
			text := encode(h) + "." + encode(payload)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(text))
			refuse(t, i, text+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), ErrInvalid)
			// the same at the length of an ES256 signature
			refuse(t, i, text+"."+base64.RawURLEncoding.EncodeToString(append(mac.Sum(nil), mac.Sum(nil)...)), ErrInvalid)
		}
	}
}

// Signed with a key of the attacker's own, under the id of ours.
func TestForeignKey(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := encode(head) + "." + encode(payload)
	sig, err := jwt.SigningMethodES256.Sign(text, own)
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, i, text+"."+encode(string(lowS(sig))), ErrInvalid)
}

// A header says with what a token is to be verified; whoever obeys it lets the attacker choose. All of these are signed
// with the right key, so only the header can be the reason to refuse them.
func TestForeignHeader(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	accept(t, i, forge(t, i, head, payload))
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	with := func(member string) string { return strings.Replace(head, "}", ","+member+"}", 1) }
	for _, tt := range []struct{ name, head string }{
		// RFC 7515 section 4.1.11: what is critical and not understood must be refused; golang-jwt does not look.
		{"crit", with(`"crit":["exp"],"exp":1`)},
		{"empty crit", with(`"crit":[]`)},
		{"b64 false", with(`"b64":false`)}, // RFC 7797: the payload would be read otherwise
		{"jwk", with(`"jwk":{"kty":"EC"}`)},
		{"jku", with(`"jku":"https://evil.example/jwks.json"`)},
		{"x5u", with(`"x5u":"https://evil.example/cert"`)},
		{"x5c", with(`"x5c":[]`)},
		{"zip", with(`"zip":"DEF"`)},
		{"unknown member", with(`"x":1`)},
		{"alg twice", with(`"alg":"none"`)},
		{"kid twice", with(`"kid":"` + k.id + `"`)},
		{"typ twice", with(`"typ":"at+jwt"`)},
		{"alg in another case", strings.Replace(head, `"alg"`, `"ALG"`, 1)},
		{"alg escaped", strings.Replace(head, `"alg"`, `"\u0061lg"`, 1)},
		{"alg ES384", strings.Replace(head, "ES256", "ES384", 1)},
		{"alg RS256", strings.Replace(head, "ES256", "RS256", 1)},
		{"alg PS256", strings.Replace(head, "ES256", "PS256", 1)},
		{"alg es256", strings.Replace(head, "ES256", "es256", 1)},
		{"alg null", strings.Replace(head, `"ES256"`, "null", 1)},
		{"alg missing", strings.Replace(head, `"alg":"ES256",`, "", 1)},
		{"kid missing", strings.Replace(head, `"kid":"`+k.id+`",`, "", 1)},
		{"kid empty", strings.Replace(head, k.id, "", 1)},
		{"kid null", strings.Replace(head, `"`+k.id+`"`, "null", 1)},
		{"kid array", strings.Replace(head, `"`+k.id+`"`, `["`+k.id+`"]`, 1)},
		{"kid of the shape of a path", strings.Replace(head, k.id, "../../../../../../../../../../../../dev/null...", 1)},
		{"kid with SQL", strings.Replace(head, k.id, "x' UNION SELECT 'key';--", 1)},
		{"kid with a NUL", strings.Replace(head, k.id, k.id+"\\u0000", 1)},
		{"kid closing the header early", strings.Replace(head, k.id, k.id+`","x":"`, 1)},
		{"kid unknown", strings.Replace(head, k.id, encode(strings.Repeat("k", 32)), 1)},
		{"kid not canonical", strings.Replace(head, k.id, k.id[:42]+string(k.id[42]+1), 1)},
		{"typ missing", strings.Replace(head, `,"typ":"at+jwt"`, "", 1)},
		{"typ JWT", strings.Replace(head, "at+jwt", "JWT", 1)},
		{"typ in another case", strings.Replace(head, "at+jwt", "AT+JWT", 1)},
		{"typ with the media type", strings.Replace(head, "at+jwt", "application/at+jwt", 1)},
		{"typ assertion", strings.Replace(head, "at+jwt", assertionType, 1)},
		{"whitespace", strings.Replace(head, ",", ", ", 1)},
		{"trailing data", head + "{}"},
		{"not an object", "[" + head + "]"},
		{"empty", ""},
		{"not JSON", "\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.head == head {
				t.Fatal("the header is the good one")
			}
			refuse(t, i, forge(t, i, tt.head, payload), ErrInvalid)
		})
	}
}
