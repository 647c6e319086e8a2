package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// counted counts the reads of randomness: there is one for each token that is signed.
type counted struct {
	io.Reader
	reads atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	c.reads.Add(1)
	return c.Reader.Read(b)
}

// handedOn answers what a request told the backend under a name.
func (h *house) handedOn(name string, headers ...string) string {
	h.t.Helper()
	r := h.request("GET", "", "", headers...)
	r.URL.Path = "/reports"
	said := ""
	h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { said = r.Header.Get(name) })).ServeHTTP(httptest.NewRecorder(), r)
	return said
}

type assertionClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

func claimsOf(t testing.TB, token string) (head map[string]string, c assertionClaims) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, into := range []any{&head, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return head, c
}

// A thousand requests carry one signature. The next one is made when half the life of the first is over, so that what a
// backend is told is good for a minute still.
func TestAssertionIsSignedOnce(t *testing.T) {
	random := &counted{Reader: rand.Reader}
	h := build(t, func(c *RealmConfig, _ *Site) { c.Rand = random })
	who := h.signInTokens(newSigner(1)).bearer()
	first := h.handedOn(assertionHeader, who...)
	head, claims := claimsOf(t, first)
	if head["alg"] != "ES256" || head["typ"] != "assertion+jwt" || head["kid"] == "" {
		t.Errorf("header %v", head)
	}
	if claims.Expires-claims.Issued > 120 || claims.Issued != h.now.Unix() {
		t.Errorf("claims %+v at %d", claims, h.now.Unix())
	}
	before := random.reads.Load()
	for range 1000 {
		h.now = h.now.Add(59 * time.Second / 1000)
		if h.handedOn(assertionHeader, who...) != first {
			t.Fatal("another assertion within half its life")
		}
	}
	if n := random.reads.Load() - before; n > 0 {
		t.Errorf("%d tokens were signed for requests that needed none", n)
	}
	h.now = h.now.Add(2 * time.Second)
	second := h.handedOn(assertionHeader, who...)
	if _, c := claimsOf(t, second); second == first || c.Expires < h.now.Unix()+60 || c.Expires > h.now.Unix()+120 {
		t.Errorf("after half the life of the first: %+v", c)
	}
}

// Two sites that share a sign-in tell their backends by assertions of their own: what one backend got is nothing to the other.
func TestAssertionIsForItsOrigin(t *testing.T) {
	site := func(origin string) Site { return Site{Origin: origin, CookieDomain: "example.com"} }
	h := build(t, func(_ *RealmConfig, s *Site) { *s = site("https://app.example.com") })
	other := h.neighbour(site("https://wiki.example.com"))
	who := h.signInCookie(newSigner(1))
	for _, at := range []*house{h, other} {
		_, c := claimsOf(t, at.handedOn(assertionHeader, who...))
		if want := at.gateway.origin.text; c.Issuer != want || c.Audience != want {
			t.Errorf("at %s: %+v", want, c)
		}
	}
}

// After the signing keys were replaced, since somebody else may have them, no request carries what they signed.
func TestAssertionOfReplacedKeys(t *testing.T) {
	h := build(t)
	who := h.signInCookie(newSigner(1))
	before, _ := claimsOf(t, h.handedOn(assertionHeader, who...))
	if _, err := h.realm.RotateKeys(t.Context(), authcore.Trace{Actor: authcore.Operator}, true); err != nil {
		t.Fatal(err)
	}
	after, _ := claimsOf(t, h.handedOn(assertionHeader, who...))
	if before["kid"] == after["kid"] {
		t.Error("the assertion of a key that counts no more is sent on")
	}
}

// Where no header carries an assertion, none is signed; a preset carries it under its own name, to who is signed in alone.
func TestAssertionOfPresets(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Preset, s.Rules = "pomerium", []policy.Rule{{Anyone: true}}
	})
	const name = "X-Pomerium-Jwt-Assertion"
	who := h.signInTokens(newSigner(1)).bearer()
	if _, c := claimsOf(t, h.handedOn(name, append(who, name, "forged")...)); c.Audience != h.gateway.origin.text {
		t.Errorf("claims %+v", c)
	}
	if said := h.handedOn(name, name, "forged", "x_pomerium_jwt_assertion", "forged"); said != "" {
		t.Errorf("who is signed out was told as %q", said)
	}
	if said := h.handedOn(assertionHeader, who...); said != "" {
		t.Errorf("the default header is sent beside the preset: %q", said)
	}
}
