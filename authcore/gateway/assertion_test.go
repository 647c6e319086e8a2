package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
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

// One site stands before several hosts, each with a backend of its own. What the backend of one was told is nothing to that of
// another, however the request came; and what was made for one host is not handed to another.
func TestAssertionIsForTheHostThatIsAsked(t *testing.T) {
	h := siblings(t)
	cookie := h.signInCookie(newSigner(2))
	h.now = h.now.Add(10 * time.Second)
	for round := range 2 {
		for name, tell := range map[string]askedBy{"forwarded": byForwarded, "original": byOriginal, "path": byPath, "itself": byItself} {
			for host, want := range map[string]string{
				"app.example.com": home, "APP.example.com:443": home, "wiki.example.com": "https://wiki.example.com", "Wiki.Example.com:443": "https://wiki.example.com",
				"wiki.example.com:8443": "https://wiki.example.com:8443", "app.example.com:8443": home + ":8443", "example.com": "https://example.com",
			} {
				r := tell("GET", "https://"+host+"/x", cookie...)
				said := ""
				w := httptest.NewRecorder()
				h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { said = r.Header.Get(assertionHeader) })).ServeHTTP(w, r)
				if name != "itself" {
					said = w.Header().Get(assertionHeader)
				}
				if said == "" {
					t.Fatalf("%s at %s: answered %d", name, host, w.Code)
				}
				if _, c := claimsOf(t, said); c.Audience != want || c.Issuer != want {
					t.Errorf("round %d, %s at %s: %+v", round, name, host, c)
				}
			}
		}
	}
}

// A client names another site in Host, so that the backend of this one is told what that of the other would believe: rules keep
// the client from there. Where no cookie domain covers it, a backend is told what is for its own site alone.
func TestAssertionIsForNoHostOfAClientsChoice(t *testing.T) {
	for name, h := range map[string]*house{"with a cookie domain": siblings(t), "without": build(t)} {
		who := h.signInTokens(newSigner(2)).bearer()
		for _, host := range []string{
			"wiki.example.org", "bank.example", "example.org:443", "app.example.com.bank.example", "notexample.com", "app.example.com:x", "app.example.com@bank.example", "",
		} {
			r := byItself("GET", home+"/x", who...)
			r.Host = host
			said := ""
			h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { said = r.Header.Get(assertionHeader) })).ServeHTTP(httptest.NewRecorder(), r)
			if _, c := claimsOf(t, said); c.Audience != home || c.Issuer != home {
				t.Errorf("%s, Host %q: %+v", name, host, c)
			}
		}
	}
}

// An assertion is signed once for each host, and found again without an allocation. A client that names ever more hosts has no
// more of them kept.
func TestAssertionsOfHostsAreKept(t *testing.T) {
	random := &counted{Reader: rand.Reader}
	h := asker(t, func(c *RealmConfig, s *Site) { c.Rand, s.CookieDomain = random, "example.com" })
	v := h.gateway.identify(byItself("GET", home+"/x", h.signInTokens(newSigner(2)).bearer()...), h.now, "")
	at := func(host string) *http.Request { return &http.Request{Host: host} }
	for _, host := range []string{"app.example.com", "wiki.example.com:443"} {
		r, before := at(host), random.reads.Load()
		first, err := h.gateway.assert(r, v.ticket, h.now)
		if err != nil || random.reads.Load() == before {
			t.Fatalf("%s: %v", host, err)
		}
		before = random.reads.Load()
		allocations := testing.AllocsPerRun(100, func() {
			if again, _ := h.gateway.assert(r, v.ticket, h.now.Add(59*time.Second)); again != first {
				t.Errorf("%s: another one within half its life", host)
			}
		})
		if allocations > 0 || random.reads.Load() != before {
			t.Errorf("%s: %v allocations, %d signatures", host, allocations, random.reads.Load()-before)
		}
		if again, _ := h.gateway.assert(r, v.ticket, h.now.Add(61*time.Second)); again == first {
			t.Errorf("%s: the same one after half its life", host)
		}
	}
	if _, kept := v.ticket.others.of["app.example.com"]; kept {
		t.Error("the assertion for the origin is among those that others displace")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { // requests come at once
			for i := range 5 * maxOthers {
				if _, err := h.gateway.assert(at(strconv.Itoa(i)+".example.com"), v.ticket, h.now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(v.ticket.others.of); n > maxOthers {
		t.Errorf("%d are kept", n)
	}
	// Those that are over make room first.
	later := h.now.Add(2 * time.Minute)
	if _, err := h.gateway.assert(at("late.example.com"), v.ticket, later); err != nil || len(v.ticket.others.of) != 1 {
		t.Errorf("%d are kept, %v", len(v.ticket.others.of), err)
	}
	if _, err := h.gateway.assert(at(strings.Repeat("x", maxHost)+".example.com"), v.ticket, later); err != nil || len(v.ticket.others.of) != 1 {
		t.Errorf("%d are kept, %v", len(v.ticket.others.of), err)
	}
}
