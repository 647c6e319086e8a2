package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
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

// r = s = 0 satisfied some verifiers for any message (CVE-2022-21449).
func TestSignatureOfZeros(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	n := elliptic.P256().Params().N
	for name, sig := range map[string][]byte{
		"zeros":   make([]byte, 64),
		"r = s=n": append(n.Bytes(), n.Bytes()...),
		"short":   make([]byte, 63),
		"long":    make([]byte, 65),
		"empty":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			refuse(t, i, encode(head)+"."+encode(payload)+"."+base64.RawURLEncoding.EncodeToString(sig), ErrInvalid)
		})
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

// Claims changed after they were signed.
func TestClaimsTamperedWith(t *testing.T) {
	i := newIssuer(newClock())
	p := strings.Split(access(t, i, alice()), ".")
	changed := strings.Replace(decode(t, p[1]), `"editor"`, `"owner"`, 1)
	refuse(t, i, p[0]+"."+encode(changed)+"."+p[2], ErrInvalid)
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

// A statement for the backend, which the backend, its logs and its operators see, used as an access token (RFC 8725
// section 2.8); and with its type changed to that of one.
func TestAssertionIsNoAccessToken(t *testing.T) {
	i := newIssuer(newClock())
	assertion, _, err := i.Assertion(t.Context(), origin, alice())
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, i, assertion, ErrInvalid)
	p := strings.Split(assertion, ".")
	head, _ := parts(t, i)
	refuse(t, i, encode(head)+"."+p[1]+"."+p[2], ErrInvalid)
	// and even re-signed it lacks what an access token says
	refuse(t, i, forge(t, i, head, decode(t, p[1])), ErrInvalid)
	if _, _, _, err := split(access(t, i, alice()), assertionType); !errors.Is(err, ErrInvalid) {
		t.Errorf("an access token is taken for an assertion: %v", err)
	}
}

// A refresh token is worth more than an access token and must not be one.
func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	i := newIssuer(newClock())
	refuse(t, i, "agr_"+strings.Repeat("A", 86), ErrInvalid)
	refuse(t, i, strings.Repeat("A", 64), ErrInvalid) // the secret of a cookie
}

// Different texts of one token would pass by everything that remembers tokens by their text. All of these are the same
// token for a tolerant decoder.
func TestTokenHasOneSpelling(t *testing.T) {
	i := newIssuer(newClock())
	good := access(t, i, alice())
	for !strings.Contains(good[strings.LastIndexByte(good, '.'):], "-") {
		good = access(t, i, alice())
	}
	p := strings.Split(good, ".")
	accept(t, i, good)
	sig := []byte(decode(t, p[2]))
	highS := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(sig[32:]))
	other := make([]byte, 64)
	copy(other, sig[:32])
	highS.FillBytes(other[32:])
	tests := map[string]string{
		"s of the other half":      p[0] + "." + p[1] + "." + encode(string(other)),
		"space before":             " " + good,
		"space after":              good + " ",
		"newline after":            good + "\n",
		"newline in the header":    good[:5] + "\n" + good[5:],
		"newline in the claims":    p[0] + "." + p[1][:9] + "\r\n" + p[1][9:] + "." + p[2],
		"newline in the signature": p[0] + "." + p[1] + "." + p[2][:9] + "\n" + p[2][9:],
		"padded signature":         good + "==",
		"standard alphabet":        p[0] + "." + p[1] + "." + strings.ReplaceAll(p[2], "-", "+"),
		"trailing bits":            good[:len(good)-1] + string(nextInAlphabet(good[len(good)-1])),
		"fourth segment":           good + ".",
		"segment in front":         "." + good,
		"Bearer in front":          "Bearer " + good,
		"twice":                    good + "," + good,
		"NUL after":                good + "\x00",
		"letter of another script": strings.Replace(good, "e", "е", 1),
	}
	for name, tok := range tests {
		t.Run(name, func(t *testing.T) { refuse(t, i, tok, ErrInvalid) })
	}
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Trailing bits in a segment that is signed: the signature is over the text, so it is signed anew to show the guard.
	t.Run("trailing bits in the claims", func(t *testing.T) {
		head, payload := parts(t, i)
		for len(payload)%3 == 0 {
			payload = strings.Replace(payload, `"alice"`, `"alicia"`, 1)
		}
		text := encode(head) + "." + encode(payload)
		text = text[:len(text)-1] + string(nextInAlphabet(text[len(text)-1]))
		refuse(t, i, signWith(t, k, text), ErrInvalid)
	})
	t.Run("trailing bits in the header", func(t *testing.T) {
		head, payload := parts(t, i)
		if len(head)%3 == 0 {
			t.Fatal("the header has no trailing bits")
		}
		h := encode(head)
		h = h[:len(h)-1] + string(nextInAlphabet(h[len(h)-1]))
		refuse(t, i, signWith(t, k, h+"."+encode(payload)), ErrInvalid)
	})
}

// nextInAlphabet answers the letter after c in base64url: it differs in the last bit, which does not count at the end.
func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

// Whatever is signed here is the low one; half of all signatures are not by themselves.
func TestSignaturesAreLow(t *testing.T) {
	i := newIssuer(newClock())
	for range 16 {
		accept(t, i, access(t, i, alice()))
	}
	half := new(big.Int).Rsh(elliptic.P256().Params().N, 1)
	sig := make([]byte, 64)
	half.FillBytes(sig[32:])
	if !hasLowS(sig) {
		t.Error("n/2 is not low")
	}
	half.Add(half, big.NewInt(1)).FillBytes(sig[32:])
	if hasLowS(sig) {
		t.Error("n/2+1 is low")
	}
}

// Megabytes in a header cost nothing but a look at their length.
func TestHugeToken(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	huge := strings.Replace(payload, `"alice"`, `"`+strings.Repeat("a", maxSize)+`"`, 1)
	tok := forge(t, i, head, huge)
	refuse(t, i, tok, ErrInvalid)
	if n := testing.AllocsPerRun(10, func() { _, _, _, _ = split(tok, accessType) }); n > 3 {
		t.Errorf("%v allocations for a token that is too long", n)
	}
	deep := strings.Replace(payload, `"alice"`, strings.Repeat("[", 2500)+strings.Repeat("]", 2500), 1)
	refuse(t, i, forge(t, i, head, deep), ErrInvalid)
}

// The claims are as strict as the header, for the day on which something else signs with these keys. golang-jwt reads
// most of these without complaint.
func TestForeignClaims(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	accept(t, i, forge(t, i, head, payload))
	exp := fmt.Sprintf(`"exp":%d`, start.Add(5*time.Minute).Unix())
	iat := fmt.Sprintf(`"iat":%d`, start.Unix())
	authTime := fmt.Sprintf(`"auth_time":%d`, start.Add(-time.Minute).Unix())
	aud := `"aud":"` + origin + `"`
	change := func(old, new string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("no %s in %s", old, payload)
		}
		return strings.Replace(payload, old, new, 1)
	}
	with := func(member string) string { return change(`"iss"`, member+`,"iss"`) }
	late := start.AddDate(10, 0, 0).Unix()
	tests := []struct{ name, payload string }{
		// the last one wins in encoding/json: two verifiers may read two tokens
		{"exp twice", with(exp)},
		{"sub twice", with(`"sub":"u-1"`)},
		{"sub twice, once escaped", with(`"\u0073ub":"u-2"`)},
		{"unknown claim twice", with(`"x":1,"x":2`)},
		{"method time twice", change(`"method_times":{`, fmt.Sprintf(`"method_times":{"wallet":%d,`, start.Unix()))},
		// encoding/json, and so golang-jwt, matches names without case
		{"EXP beside exp", with(fmt.Sprintf(`"EXP":%d`, late))},
		{"Exp instead of exp", change(`"exp"`, `"Exp"`)},
		{"Sub beside sub", with(`"Sub":"u-2"`)},
		{"ROLES beside roles", with(`"ROLES":["owner"]`)},
		{"long s in sub", with(`"ſub":"u-2"`)},
		{"Kelvin sign in wallets", change(`"wallets"`, `"WALLETS"`)},
		{"exp a string", change(exp, `"exp":"9999999999"`)},
		{"exp null", change(exp, `"exp":null`)},
		{"exp missing", change(exp+",", "")},
		{"exp a fraction", change(exp, exp+".5")},
		{"exp with an exponent", change(exp, `"exp":9e9`)},
		{"exp negative", change(exp, `"exp":-1`)},
		{"exp zero", change(exp, `"exp":0`)},
		{"exp true", change(exp, `"exp":true`)},
		{"exp beyond int64", change(exp, `"exp":99999999999999999999999`)},
		{"exp in milliseconds", change(exp, exp+"000")},
		{"exp an array", change(exp, `"exp":[9999999999]`)},
		{"eternal", change(exp, fmt.Sprintf(`"exp":%d`, late))},
		{"exp before iat", change(exp, fmt.Sprintf(`"exp":%d`, start.Unix()))},
		{"iat a string", change(iat, `"iat":"1"`)},
		{"iat null", change(iat, `"iat":null`)},
		{"iat missing", change(iat+",", "")},
		{"nbf in the future", with(fmt.Sprintf(`"nbf":%d`, start.Add(61*time.Second).Unix()))},
		{"nbf null", with(`"nbf":null`)},
		{"auth_time missing", change(authTime+",", "")},
		{"auth_time newer than any method", change(authTime, fmt.Sprintf(`"auth_time":%d`, start.Unix()))},
		{"aud missing", change(aud+",", "")},
		{"aud another", change(aud, `"aud":"https://evil.example"`)},
		{"aud a prefix", change(aud, `"aud":"https://app.example.co"`)},
		{"aud longer", change(aud, `"aud":"https://app.example.com.evil.example"`)},
		{"aud in another case", change(aud, `"aud":"https://APP.example.com"`)},
		{"aud others", change(aud, `"aud":["https://a.example","https://b.example"]`)},
		{"aud empty", change(aud, `"aud":""`)},
		{"aud empty array", change(aud, `"aud":[]`)},
		{"aud null", change(aud, `"aud":null`)},
		{"aud with null in it", change(aud, `"aud":["`+origin+`",null]`)},
		{"aud nested", change(aud, `"aud":[["`+origin+`"]]`)},
		{"aud an object", change(aud, `"aud":{"`+origin+`":1}`)},
		{"aud a number", change(aud, `"aud":1`)},
		{"iss missing", change(`"iss":"`+origin+`",`, "")},
		{"sub missing", change(`"sub":"u-1",`, "")},
		{"sub empty", change(`"sub":"u-1"`, `"sub":""`)},
		{"sub null", change(`"sub":"u-1"`, `"sub":null`)},
		{"sub a number", change(`"sub":"u-1"`, `"sub":1`)},
		{"sid missing", change(`"sid":"s-1",`, "")},
		{"client_id missing", change(`"client_id":"`+origin+`",`, "")},
		{"jti empty", strings.Replace(payload, `"jti":"`, `"jti":"","x":"`, 1)},
		{"roles a string", change(`["admin","editor"]`, `"admin"`)},
		{"roles null", change(`["admin","editor"]`, `null`)},
		{"roles with null in it", change(`"editor"`, `null`)},
		{"roles with a number", change(`"editor"`, `1`)},
		{"name empty", strings.Replace(payload, `"name":"`, `"name":"","x":"`, 1)},
		{"methods missing", change(`"methods":["wallet","password"],`, "")},
		{"method twice", change(`["wallet","password"]`, `["wallet","password","wallet"]`)},
		{"method without time", change(`["wallet","password"]`, `["wallet","password","passkey"]`)},
		{"time without method", change(`["wallet","password"]`, `["password"]`)},
		{"method time a string", change(fmt.Sprintf(`"wallet":%d`, start.Add(-time.Hour).Unix()), `"wallet":"1"`)},
		{"method_times an array", strings.Replace(payload, `"method_times":`, `"method_times":[],"x":`, 1)},
		{"trailing data", payload + `{"sub":"u-2"}`},
		{"trailing bracket", payload + "]"},
		{"not UTF-8", change("alice", "al\xffice")},
		{"an array", "[" + payload + "]"},
		{"null", "null"},
		{"empty", ""},
		{"comma at the end", payload[:len(payload)-1] + ",}"},
		{"not closed", payload[:len(payload)-1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.payload == payload {
				t.Fatal("the claims are the good ones")
			}
			refuse(t, i, forge(t, i, head, tt.payload), ErrInvalid)
		})
	}
	// Over-blocking is a defect too.
	for name, good := range map[string]string{
		"unknown claim":     with(`"x":{"y":[null]}`),
		"aud one of many":   change(aud, `"aud":["https://b.example","`+origin+`"]`),
		"nbf now":           with(fmt.Sprintf(`"nbf":%d`, start.Unix())),
		"whitespace inside": strings.ReplaceAll(payload, `,"`, ` , "`),
		"no roles":          change(`"roles":["admin","editor"],`, ""),
	} {
		t.Run(name, func(t *testing.T) { accept(t, i, forge(t, i, head, good)) })
	}
}

// auth_time and the times of methods are consistent with each other but lie after the token: "within 5m" would hold for
// hours.
func TestAuthTimeAfterIssue(t *testing.T) {
	i := newIssuer(newClock())
	head, payload := parts(t, i)
	was, lie := fmt.Sprint(start.Add(-time.Minute).Unix()), fmt.Sprint(start.Add(time.Hour).Unix())
	refuse(t, i, forge(t, i, head, strings.ReplaceAll(payload, was, lie)), ErrInvalid)
}

// For a caller that accepts no audience nothing is accepted.
func TestNoAudience(t *testing.T) {
	i := newIssuer(newClock())
	tok := access(t, i, alice())
	for _, audience := range [][]string{nil, {}, {""}} {
		if _, err := i.VerifyAccess(t.Context(), tok, audience); !errors.Is(err, ErrInvalid) {
			t.Errorf("audience %q: %v", audience, err)
		}
	}
}

// RFC 7519 section 4.1.4: not on the second of exp and not after it.
func TestExpiredAtTheEdge(t *testing.T) {
	c := newClock()
	i := newIssuer(c)
	tok := access(t, i, alice())
	c.move(5*time.Minute - time.Nanosecond)
	accept(t, i, tok)
	c.move(time.Nanosecond)
	refuse(t, i, tok, ErrExpired)
	c.move(time.Hour)
	refuse(t, i, tok, ErrExpired)
	// Signing out works late.
	if sid, err := i.SessionID(t.Context(), tok, []string{origin}); err != nil || sid != "s-1" {
		t.Errorf("SessionID = %q, %v", sid, err)
	}
	// What is wrong with a token is not hidden by its age: expired means it was good.
	if _, err := i.VerifyAccess(t.Context(), tok, []string{"https://evil.example"}); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) {
		t.Errorf("expired token for another audience: %v", err)
	}
}

// A clock that is ahead by up to a minute is another instance's; beyond that the token is not for now.
func TestIssuedInTheFuture(t *testing.T) {
	c := newClock()
	i := newIssuer(c)
	c.move(60 * time.Second)
	tok := access(t, i, alice())
	c.move(-60 * time.Second)
	accept(t, i, tok)
	c.move(-time.Second)
	refuse(t, i, tok, ErrInvalid)
}

// Errors go to the log, and a token that was refused may still be good elsewhere.
func TestErrorsTellNoSecret(t *testing.T) {
	i := newIssuer(newClock())
	tok := access(t, i, alice())
	for _, bad := range []string{tok + "=", tok + "A", "x" + tok, tok[:len(tok)-2]} {
		_, err := i.VerifyAccess(t.Context(), bad, []string{origin})
		if err == nil || strings.Contains(err.Error(), tok[len(tok)-20:]) || strings.Contains(err.Error(), tok[120:140]) {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzVerifyAccess(f *testing.F) {
	c := newClock()
	i := newIssuer(c)
	good := access(f, i, alice())
	p := strings.Split(good, ".")
	f.Add(good)
	f.Add(good + "\n")
	f.Add(p[0] + "..")
	f.Add("..")
	f.Add(encode(`{"alg":"none","typ":"at+jwt"}`) + "." + p[1] + ".")
	f.Fuzz(func(t *testing.T, tok string) {
		got, err := i.VerifyAccess(t.Context(), tok, []string{origin})
		id := got.Identity
		if tok == good {
			return
		}
		// Nothing but the one spelling of the one token that was signed is ever accepted.
		if err == nil || id != nil {
			t.Fatalf("accepted %q", tok)
		}
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("%q: %v", tok, err)
		}
	})
}

// Whatever claims are accepted, they are written again as they were read.
func FuzzParseClaims(f *testing.F) {
	i := newIssuer(newClock())
	_, payload := parts(f, i)
	f.Add([]byte(payload))
	f.Add([]byte(`{"iss":"i","aud":["a","b"],"sub":"u","client_id":"c","sid":"s","jti":"j","iat":2,"exp":3,"auth_time":1,"methods":["wallet"],"method_times":{"wallet":1}}`))
	f.Add([]byte(`{"exp":1,"EXP":2}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := parseClaims(payload)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseClaims(again)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", payload, again, err)
		}
		if got, want := fmt.Sprintf("%#v", d), fmt.Sprintf("%#v", c); got != want {
			t.Fatalf("%s comes back as %s", want, got)
		}
		// And who compares names without case, as encoding/json does, reads no other identity.
		var lax struct {
			Subject string   `json:"sub"`
			Roles   []string `json:"roles"`
			Expires int64    `json:"exp"`
		}
		err = json.Unmarshal(payload, &lax)
		if err != nil || lax.Subject != c.Subject || !slices.Equal(lax.Roles, c.Roles) || lax.Expires != c.Expires {
			t.Fatalf("%s is read as %+v elsewhere, %v", payload, lax, err)
		}
	})
}

func BenchmarkAccess(b *testing.B) {
	i := newIssuer(newClock())
	id := alice()
	for b.Loop() {
		access(b, i, id)
	}
}

func BenchmarkVerifyAccess(b *testing.B) {
	i := newIssuer(newClock())
	tok := access(b, i, alice())
	for b.Loop() {
		if _, err := i.VerifyAccess(b.Context(), tok, []string{origin}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyJunk(b *testing.B) {
	i := newIssuer(newClock())
	head, payload := parts(b, i)
	k, err := i.Keys.signer(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	tok := forge(b, i, strings.Replace(head, k.id, encode(strings.Repeat("k", 32)), 1), payload)
	for b.Loop() {
		if _, err := i.VerifyAccess(b.Context(), tok, []string{origin}); !errors.Is(err, ErrInvalid) {
			b.Fatal(err)
		}
	}
}
