package token

import (
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

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

// Claims changed after they were signed.
func TestClaimsTamperedWith(t *testing.T) {
	i := newIssuer(newClock())
	p := strings.Split(access(t, i, alice()), ".")
	changed := strings.Replace(decode(t, p[1]), `"editor"`, `"owner"`, 1)
	refuse(t, i, p[0]+"."+encode(changed)+"."+p[2], ErrInvalid)
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
		"claims twice":             p[0] + "." + p[1] + "." + p[1] + "." + p[2],
		"segment in front":         "." + good,
		"Bearer in front":          "Bearer " + good,
		"twice":                    good + "," + good,
		"NUL after":                good + "\x00",
		"letter of another script": strings.Replace(good, "e", "е", 1),
	}
	for name, tok := range tests {
		t.Run(name, func(t *testing.T) {
			refuse(t, i, tok, ErrInvalid)
			if _, _, _, err := split(tok, accessType); !errors.Is(err, ErrInvalid) {
				t.Errorf("split: %v", err)
			}
		})
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
	// So many that what the rest of the process allocates meanwhile is nothing on the average.
	if n := testing.AllocsPerRun(1000, func() { _, _, _, _ = split(tok, accessType) }); n > 3 {
		t.Errorf("%v allocations for a token that is too long", n)
	}
	deep := strings.Replace(payload, `"alice"`, strings.Repeat("[", 2500)+strings.Repeat("]", 2500), 1)
	refuse(t, i, forge(t, i, head, deep), ErrInvalid)
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
