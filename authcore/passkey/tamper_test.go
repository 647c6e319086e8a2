package passkey

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func flip(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
}

func flags(set, clear byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[32] = b[32]&^clear | set
		return b
	}
}

func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
}

func add(more string) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, more...) }
}

// clientTwists are wrong client data for either kind of ceremony. All are signed: only a phishing site, a compromised
// browser or a stolen key can bring them.
var clientTwists = []struct {
	name  string
	twist passkeytest.Twist
}{
	{"of another site", passkeytest.Twist{ClientData: set("origin", "https://evil.example")}},
	{"of a sibling", passkeytest.Twist{ClientData: set("origin", "https://b.example.com")}},
	{"of a subdomain", passkeytest.Twist{ClientData: set("origin", "https://x.app.example.com")}},
	{"of the domain above", passkeytest.Twist{ClientData: set("origin", "https://example.com")}},
	{"of another port", passkeytest.Twist{ClientData: set("origin", origin+":8443")}},
	{"default port", passkeytest.Twist{ClientData: set("origin", origin+":443")}},
	{"of plain http", passkeytest.Twist{ClientData: set("origin", "http://app.example.com")}},
	{"origin in upper case", passkeytest.Twist{ClientData: set("origin", "HTTPS://APP.EXAMPLE.COM")}},
	{"origin with a slash", passkeytest.Twist{ClientData: set("origin", origin+"/")}},
	{"origin with a path", passkeytest.Twist{ClientData: set("origin", origin+"/auth")}},
	{"origin with a user", passkeytest.Twist{ClientData: set("origin", "https://evil.example@app.example.com")}},
	{"origin null", passkeytest.Twist{ClientData: set("origin", "null")}},
	{"origin of another type", passkeytest.Twist{ClientData: set("origin", []string{origin})}},
	{"of an app", passkeytest.Twist{ClientData: set("origin", "android:apk-key-hash:AAAA")}},
	{"no origin", passkeytest.Twist{ClientData: func(m map[string]any) { delete(m, "origin") }}},
	{"in a foreign frame", passkeytest.Twist{ClientData: set("crossOrigin", true)}},
	{"below a foreign page", passkeytest.Twist{ClientData: func(m map[string]any) { m["crossOrigin"], m["topOrigin"] = true, "https://evil.example" }}},
	{"below a page, but not cross-origin", passkeytest.Twist{ClientData: set("topOrigin", origin)}},
	{"other challenge", passkeytest.Twist{ClientData: set("challenge", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")}},
	{"no challenge", passkeytest.Twist{ClientData: set("challenge", "")}},
	{"challenge padded", passkeytest.Twist{ClientData: func(m map[string]any) { m["challenge"] = m["challenge"].(string) + "=" }}},
	{"other type", passkeytest.Twist{ClientData: set("type", "payment.get")}},
	{"type in another case", passkeytest.Twist{ClientJSON: replace(`"type"`, `"Type"`)}},
	{"challenge in another case", passkeytest.Twist{ClientJSON: replace(`"challenge"`, `"Challenge"`)}},
	{"origin in another case", passkeytest.Twist{ClientJSON: replace(`"origin"`, `"ORIGIN"`)}},
	{"second origin in another case", passkeytest.Twist{ClientJSON: replace(`"origin":"`+origin+`"`, `"origin":"`+origin+`","Origin":"https://evil.example"`)}},
	{"second origin after the first", passkeytest.Twist{ClientJSON: replace(`"origin":"`+origin+`"`, `"origin":"`+origin+`","origin":"https://evil.example"`)}},
	{"byte order mark", passkeytest.Twist{ClientJSON: func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }}},
	{"no JSON", passkeytest.Twist{ClientJSON: func([]byte) []byte { return []byte("hello") }}},
	{"null", passkeytest.Twist{ClientJSON: func([]byte) []byte { return []byte("null") }}},
	{"more after it", passkeytest.Twist{ClientJSON: add("{}")}},
	{"bad token binding", passkeytest.Twist{ClientData: set("tokenBinding", map[string]any{"status": "x"})}},
	{"of another relying party", passkeytest.Twist{AuthData: flip(0)}},
	{"user absent", passkeytest.Twist{AuthData: flags(0, passkeytest.FlagUP)}},
	{"user not verified", passkeytest.Twist{AuthData: flags(0, passkeytest.FlagUV)}},
	{"backed up, but not eligible", passkeytest.Twist{AuthData: flags(passkeytest.FlagBS, passkeytest.FlagBE)}},
	{"extensions announced, none there", passkeytest.Twist{AuthData: flags(passkeytest.FlagED, 0)}},
	{"extensions that are no map", passkeytest.Twist{Extensions: []byte{0x01}}},
	{"authenticator data cut", passkeytest.Twist{AuthData: func(b []byte) []byte { return b[:36] }}},
	{"authenticator data with more", passkeytest.Twist{AuthData: add("x")}},
	{"other type of credential", passkeytest.Twist{Response: func(r, _ map[string]any) { r["type"] = "password" }}},
	{"no type", passkeytest.Twist{Response: func(r, _ map[string]any) { delete(r, "type") }}},
	{"id and rawId differ", passkeytest.Twist{Response: func(r, _ map[string]any) { r["id"] = strings.Repeat("A", 43) }}},
	{"no id", passkeytest.Twist{Response: func(r, _ map[string]any) { r["id"], r["rawId"] = "", "" }}},
	{"id of line ends", passkeytest.Twist{Response: func(r, _ map[string]any) { r["id"], r["rawId"] = "\n", "\n" }}},
	{"members of the JSON in another case", passkeytest.Twist{Response: func(r, _ map[string]any) { r["Response"] = r["response"]; delete(r, "response") }}},
	{"no client data", passkeytest.Twist{Response: func(_, in map[string]any) { delete(in, "clientDataJSON") }}},
	{"standard base64", passkeytest.Twist{Response: func(_, in map[string]any) { in["clientDataJSON"] = "+/+/" }}},
}

func TestTwistedAssertions(t *testing.T) {
	for _, c := range append(clientTwists[:len(clientTwists):len(clientTwists)], []struct {
		name  string
		twist passkeytest.Twist
	}{
		{"of a registration", passkeytest.Twist{ClientData: set("type", "webauthn.create")}},
		{"signature changed", passkeytest.Twist{Signature: flip(20)}},
		{"no signature", passkeytest.Twist{Signature: func([]byte) []byte { return nil }}},
		{"signature with more", passkeytest.Twist{Signature: add("x")}},
		{"signature as r and s", passkeytest.Twist{Signature: func([]byte) []byte { return make([]byte, 64) }}},
		{"user handle of another", passkeytest.Twist{Response: func(_, in map[string]any) {
			in["userHandle"] = base64.RawURLEncoding.EncodeToString(UserHandle("user-z"))
		}}},
		{"no user handle", passkeytest.Twist{Response: func(_, in map[string]any) { delete(in, "userHandle") }}},
		{"user handle null", passkeytest.Twist{Response: func(_, in map[string]any) { in["userHandle"] = nil }}},
		{"no authenticator data", passkeytest.Twist{Response: func(_, in map[string]any) { delete(in, "authenticatorData") }}},
		{"flags changed after signing", passkeytest.Twist{Response: func(_, in map[string]any) {
			b, _ := base64.RawURLEncoding.DecodeString(in["authenticatorData"].(string))
			in["authenticatorData"] = base64.RawURLEncoding.EncodeToString(flags(passkeytest.FlagBE, 0)(b))
		}}},
		{"client data changed after signing", passkeytest.Twist{Response: func(_, in map[string]any) {
			b, _ := base64.RawURLEncoding.DecodeString(in["clientDataJSON"].(string))
			in["clientDataJSON"] = base64.RawURLEncoding.EncodeToString(append([]byte(" "), b...))
		}}},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			stored := h.account(t, a)
			before := h.record(t, stored)
			a.Twist = c.twist
			if done, err := h.signIn(t, a); !errors.Is(err, ErrInvalidAssertion) {
				t.Errorf("%+v, %v", done, err)
			}
			// Of a refused assertion nothing is stored: an attacker could lock the owner out by flags and counts.
			after := h.record(t, stored)
			if after.Flags != before.Flags || after.SignCount != before.SignCount || !after.BackupChanged.IsZero() {
				t.Errorf("%+v became %+v", before, after)
			}
			a.Twist = passkeytest.Twist{}
			if _, err := h.signIn(t, a); err != nil {
				t.Errorf("the owner: %v", err)
			}
		})
	}
}

func statement(b []byte) func(*passkeytest.AttestationObject) {
	return func(o *passkeytest.AttestationObject) { o.Statement = b }
}

func TestTwistedAttestations(t *testing.T) {
	zeros, ones := make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)
	rsa := func(bytesOfN int, e ...byte) func([]byte) []byte {
		return func([]byte) []byte {
			return passkeytest.RSA(passkeytest.RS256, bytes.Repeat([]byte{0xff}, bytesOfN), e)
		}
	}
	for _, c := range append(clientTwists[:len(clientTwists):len(clientTwists)], []struct {
		name  string
		twist passkeytest.Twist
	}{
		{"of a sign-in", passkeytest.Twist{ClientData: set("type", "webauthn.get")}},
		{"no attested credential", passkeytest.Twist{AuthData: func(b []byte) []byte { return flags(0, passkeytest.FlagAT)(b[:37]) }}},
		{"id of another passkey", passkeytest.Twist{Response: func(r, _ map[string]any) {
			r["id"] = strings.Repeat("A", 43)
			r["rawId"] = r["id"]
		}}},
		{"short id", passkeytest.Twist{
			AuthData: func(b []byte) []byte { return append(append(b[:53:53], 0, 15), b[55+17:]...) },
			Response: func(r, _ map[string]any) {
				raw, _ := base64.RawURLEncoding.DecodeString(r["id"].(string))
				r["id"] = base64.RawURLEncoding.EncodeToString(raw[17:])
				r["rawId"] = r["id"]
			},
		}},
		{"id longer than there is data", passkeytest.Twist{AuthData: func(b []byte) []byte { b[53], b[54] = 3, 0xff; return b }}},
		{"point beside the curve", passkeytest.Twist{PublicKey: func([]byte) []byte { return passkeytest.EC2(passkeytest.ES256, 1, zeros, ones) }}},
		{"short coordinates", passkeytest.Twist{PublicKey: func([]byte) []byte { return passkeytest.EC2(passkeytest.ES256, 1, zeros[:31], ones) }}},
		{"ES256 on another curve", passkeytest.Twist{PublicKey: replace("\x20\x01", "\x20\x02")}},
		{"algorithm that was not asked for", passkeytest.Twist{PublicKey: replace("\x03\x26", "\x03\x38\x22")}}, // ES384
		{"algorithm of another kind of key", passkeytest.Twist{PublicKey: replace("\x03\x26", "\x03\x27")}},     // EdDSA
		{"Ed25519 beside the curve", passkeytest.Twist{PublicKey: func([]byte) []byte {
			return passkeytest.OKP(passkeytest.EdDSA, append([]byte{2}, zeros[1:]...))
		}}},
		{"Ed25519 of small order", passkeytest.Twist{PublicKey: func([]byte) []byte {
			return passkeytest.OKP(passkeytest.EdDSA, append([]byte{1}, zeros[1:]...))
		}}},
		{"Ed25519 cut", passkeytest.Twist{PublicKey: func([]byte) []byte { return passkeytest.OKP(passkeytest.EdDSA, zeros[1:]) }}},
		{"RSA of 1024 bits", passkeytest.Twist{PublicKey: rsa(128, 1, 0, 1)}},
		{"RSA of 6144 bits", passkeytest.Twist{PublicKey: rsa(768, 1, 0, 1)}},
		{"RSA of 8192 bits", passkeytest.Twist{PublicKey: rsa(1024, 1, 0, 1)}},
		{"RSA of 300000 bits", passkeytest.Twist{PublicKey: rsa(30000, 1, 0, 1)}},
		{"RSA with exponent 1", passkeytest.Twist{PublicKey: rsa(256, 1)}},
		{"RSA with an even exponent", passkeytest.Twist{PublicKey: rsa(256, 1, 0, 0)}},
		{"RSA with a huge exponent", passkeytest.Twist{PublicKey: rsa(256, 1, 0, 0, 0, 1)}},
		{"key that is too long", passkeytest.Twist{PublicKey: func([]byte) []byte {
			return passkeytest.RSA(passkeytest.RS256, append(make([]byte, 2000), bytes.Repeat([]byte{0xff}, 256)...), []byte{1, 0, 1})
		}}},
		{"no key", passkeytest.Twist{PublicKey: func([]byte) []byte { return nil }}},
		{"key that is no map", passkeytest.Twist{PublicKey: func([]byte) []byte { return []byte{0x01} }}},
		{"unknown format", passkeytest.Twist{Attestation: func(o *passkeytest.AttestationObject) { o.Format = "nope" }}},
		{"format none with a statement", passkeytest.Twist{Attestation: statement(passkeytest.Map("alg", passkeytest.Number(-7)))}},
		{"object that is no CBOR", passkeytest.Twist{Response: func(_, in map[string]any) { in["attestationObject"] = "____" }}},
		{"object with more after it", passkeytest.Twist{Response: func(_, in map[string]any) {
			b, _ := base64.RawURLEncoding.DecodeString(in["attestationObject"].(string))
			in["attestationObject"] = base64.RawURLEncoding.EncodeToString(append(b, 0))
		}}},
		{"no object", passkeytest.Twist{Response: func(_, in map[string]any) { delete(in, "attestationObject") }}},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			if done, err := h.register(t, &passkeytest.Authenticator{Twist: c.twist}); !errors.Is(err, ErrInvalidAttestation) || done.UserID != "" {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// A response that is good but for its length: parsing costs, and what it brings is stored.
func TestOversizedResponse(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	pad := func(n int) func(map[string]any, map[string]any) {
		return func(r, _ map[string]any) { r["padding"] = strings.Repeat("x", n) }
	}
	a.Twist.Response = pad(MaxResponse)
	if done, err := h.register(t, a); !errors.Is(err, ErrInvalidAttestation) {
		t.Errorf("%+v, %v", done, err)
	}
	a.Twist.Response = pad(MaxResponse - 2000)
	h.account(t, a)
	if _, err := h.signIn(t, a); err != nil {
		t.Error(err)
	}
	a.Twist.Response = pad(MaxResponse)
	if done, err := h.signIn(t, a); !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

// Outputs of extensions that nobody asked for, malformed ones among them: Safari sends appid, password managers
// credProps. A refusal would lock their users out.
func TestExtensionOutputsAreIgnored(t *testing.T) {
	for name, outputs := range map[string]any{
		"Safari":           map[string]any{"appid": false},
		"password manager": map[string]any{"credProps": map[string]any{"rk": true}},
		"PRF":              map[string]any{"prf": map[string]any{"enabled": true, "results": map[string]any{"first": "AAAA"}}},
		"unknown":          map[string]any{"somethingNew": []any{1, "x", nil}},
		"appid of U2F":     map[string]any{"appid": true},
		"wrong types":      map[string]any{"appid": "x", "credProps": 7, "prf": []any{}, "largeBlob": "x"},
		"rk of a type":     map[string]any{"credProps": map[string]any{"rk": "yes"}},
		"null":             nil,
		"not an object":    "x",
	} {
		t.Run(name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			// credProtect level 2 (section 10 of CTAP) and an output that is not registered.
			a.Twist.Extensions = passkeytest.Map("credProtect", passkeytest.Number(2), "x", passkeytest.Number(1))
			a.Twist.Response = func(r, _ map[string]any) { r["clientExtensionResults"] = outputs }
			h.account(t, a)
			if _, err := h.signIn(t, a); err != nil {
				t.Error(err)
			}
		})
	}
}

// Responses as older browsers and extensions write them, with what is optional left out.
func TestSparseResponses(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	a.Twist.Response = func(r, in map[string]any) {
		delete(r, "clientExtensionResults")
		delete(r, "authenticatorAttachment")
		delete(in, "transports")
		delete(in, "publicKeyAlgorithm")
		if _, registration := in["attestationObject"]; registration {
			delete(in, "authenticatorData")
		}
	}
	h.account(t, a)
	if _, err := h.signIn(t, a); err != nil {
		t.Error(err)
	}
	// The user is named, so authenticators may leave the handle out (section 7.2 step 6).
	begun := h.beginAuthentication(t, Authenticating{Username: "user-a", UserID: "user-a"})
	a.Twist.Response = func(_, in map[string]any) { in["userHandle"] = nil }
	if _, err := h.finish(t, begun, get(t, a, begun)); err != nil {
		t.Error(err)
	}
}
