package session

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// What a dump of the store shows is no secret: neither what the client sends nor any part of it that counts.
func TestStoreHoldsNoSecret(t *testing.T) {
	for _, cookie := range []bool{true, false} {
		s, store, c := setup(t)
		opened, secret := open(t, s, cookie)
		check := func(secret string) {
			stored, err := store.Session(t.Context(), opened.ID)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, "agr_"))
			if err != nil {
				t.Fatal(err)
			}
			held := string(stored.SecretHash[:]) + string(stored.Refresh.Current[:]) + string(stored.Refresh.Previous[:]) + string(stored.Refresh.Salt[:])
			for at := 16; at+16 <= len(raw); at++ {
				if strings.Contains(held, string(raw[at:at+16])) {
					t.Errorf("the store holds bytes %d.. of the secret", at)
				}
			}
		}
		check(secret)
		if !cookie {
			c.move(time.Minute)
			_, next, err := s.Refreshed(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			check(secret)
			check(next)
		}
	}
}

func TestSecretsDiffer(t *testing.T) {
	s, _, _ := setup(t)
	seen := map[string]bool{}
	for range 100 {
		for _, cookie := range []bool{true, false} {
			opened, secret := open(t, s, cookie)
			if seen[opened.ID] || seen[secret] {
				t.Fatal("twice the same")
			}
			seen[opened.ID], seen[secret] = true, true
		}
	}
}

// The id of a session is public: it stands in tokens, lists and logs. With another secret it opens nothing and says no
// more than an id that never was.
func TestWrongSecret(t *testing.T) {
	s, _, _ := setup(t)
	a, secret := open(t, s, true)
	b, other := open(t, s, true)
	rawA, rawB := mustDecode(t, secret), mustDecode(t, other)
	for name, bad := range map[string]string{
		"secret of another session": encode(rawA[:16], rawB[16:]),
		"one bit":                   encode(rawA[:47], []byte{rawA[47] ^ 1}),
		"zeros":                     encode(rawA[:16], make([]byte, 32)),
		"its own hash":              encode(rawA[:16], a.SecretHash[:]),
		"unknown id":                encode(make([]byte, 16), rawA[16:]),
		"nothing":                   "",
		"id alone":                  b.ID,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Resume(t.Context(), bad)
			wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
			_, err = s.Verify(t.Context(), bad)
			wantErr(t, "Verify", err, authcore.ErrSessionNotFound)
		})
	}
	if _, err := s.Resume(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

// One secret has one spelling, so that nothing that counts or remembers secrets by their text is passed by.
func TestSecretHasOneSpelling(t *testing.T) {
	s, _, _ := setup(t)
	_, cookie := open(t, s, true)
	_, refresh := open(t, s, false)
	for name, bad := range map[string]string{
		"space":             cookie + " ",
		"newline":           cookie + "\n",
		"newline inside":    cookie[:9] + "\n" + cookie[9:],
		"newline in place":  cookie[:9] + "\n" + cookie[10:],
		"padding":           cookie + "=",
		"prefix of refresh": "agr_" + cookie,
		"longer":            cookie + "AAAA",
		"shorter":           cookie[:60],
		"standard alphabet": "+/" + cookie[2:],
	} {
		if _, ok := parseCookieSecret(bad); ok {
			t.Errorf("cookie, %s: accepted", name)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, refresh[len(refresh)-1])
	for name, bad := range map[string]string{
		"trailing bits":         refresh[:len(refresh)-1] + string(alphabet[last+1]),
		"newline":               refresh + "\n",
		"newline after prefix":  "agr_\n" + refresh[4:],
		"newline in place":      refresh[:9] + "\n" + refresh[10:],
		"padding":               refresh + "==",
		"no prefix":             refresh[4:],
		"prefix in upper case":  "AGR_" + refresh[4:],
		"prefix twice":          "agr_" + refresh,
		"personal access token": "agp_" + refresh[4:],
		"shorter":               refresh[:86],
		"huge":                  refresh + strings.Repeat("A", 1<<20),
	} {
		if _, ok := parseRefreshToken(bad); ok {
			t.Errorf("refresh token, %s: accepted", name)
		}
		_, _, err := s.Refreshed(t.Context(), bad)
		wantErr(t, name, err, ErrInvalidGrant)
	}
}

// Session fixation and confusion: the secret of one kind of session, in whatever form, is not good for the other.
func TestCookieAndRefreshDoNotMix(t *testing.T) {
	s, store, _ := setup(t)
	browser, cookie := open(t, s, true)
	program, refresh := open(t, s, false)
	rawCookie, rawRefresh := mustDecode(t, cookie), mustDecode(t, refresh)

	_, err := s.Resume(t.Context(), refresh)
	wantErr(t, "refresh token as cookie", err, authcore.ErrSessionNotFound)
	_, _, err = s.Refreshed(t.Context(), cookie)
	wantErr(t, "cookie as refresh token", err, ErrInvalidGrant)

	for name, secret := range map[string][]byte{
		"secret":            rawRefresh[32:],
		"family and half":   rawRefresh[16:48],
		"family padded out": append(rawRefresh[16:32:32], make([]byte, 16)...),
	} {
		_, err := s.Verify(t.Context(), encode(rawRefresh[:16], secret))
		wantErr(t, "program's session by cookie, "+name, err, authcore.ErrSessionNotFound)
	}
	_, _, err = s.Refreshed(t.Context(), "agr_"+encode(rawCookie[:32], rawCookie[16:]))
	wantErr(t, "browser's session by refresh token", err, ErrInvalidGrant)

	// Even where the hashes would fit, the kind of the session decides.
	forged := browser
	forged.SecretHash = authcore.HashSecret(string(rawRefresh[16:32]))
	forged.Refresh.Current = authcore.HashSecret(string(rawRefresh[32:]))
	if err := store.Sessions.UpdateSession(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Refreshed(t.Context(), "agr_"+encode(rawCookie[:16], rawRefresh[16:]))
	wantErr(t, "browser's session by a refresh token that fits", err, ErrInvalidGrant)
	forged = program
	forged.SecretHash = authcore.HashSecret(string(rawCookie[16:]))
	if err := store.Sessions.UpdateSession(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	_, err = s.Resume(t.Context(), encode(rawRefresh[:16], rawCookie[16:]))
	wantErr(t, "program's session by a cookie that fits", err, authcore.ErrSessionNotFound)
}

// Whatever is taken for a secret is the one spelling of it.
func FuzzParseSecret(f *testing.F) {
	f.Add(strings.Repeat("A", 64))
	f.Add("agr_" + strings.Repeat("A", 86))
	f.Add("agr_" + strings.Repeat("_", 86))
	f.Add(strings.Repeat("A", 62) + "\r\n")
	f.Add("agr_" + strings.Repeat("0", 60)) // by chance, an id begins like this: the length tells that it is a cookie's
	f.Fuzz(func(t *testing.T, in string) {
		c, isCookie := parseCookieSecret(in)
		r, isRefresh := parseRefreshToken(in)
		if isCookie && isRefresh {
			t.Fatalf("%q is both", in)
		}
		if isCookie {
			id, err := strict.DecodeString(c.id)
			if again := encode(id, c.secret[:]); err != nil || again != in {
				t.Fatalf("cookie %q is spelled %q, %v", in, again, err)
			}
		}
		if isRefresh && r.String() != in {
			t.Fatalf("refresh token %q is spelled %q", in, r.String())
		}
		id, ok := (&Sessions{}).SessionID(in)
		if ok != (isCookie || isRefresh) || ok && len(id) != 22 {
			t.Fatalf("SessionID(%q) = %q, %v", in, id, ok)
		}
	})
}
