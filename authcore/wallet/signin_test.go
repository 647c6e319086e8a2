package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const origin = "https://app.example.test"

// house is a SignIn with its store and a clock that stands still.
type house struct {
	SignIn
	store *challenges
	now   time.Time
}

func newHouse() *house {
	h := &house{store: &challenges{}, now: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)}
	h.SignIn = SignIn{Challenges: h.store, Statement: "Sign in.", Now: func() time.Time { return h.now }}
	return h
}

func (h *house) begin(tb testing.TB, ask Ask) Asked {
	tb.Helper()
	if ask.Origin == "" {
		ask.Origin = origin
	}
	asked, err := h.Begin(context.Background(), ask)
	if err != nil {
		tb.Fatal(err)
	}
	return asked
}

// finish answers on the origin of the tests, signed out.
func (h *house) finish(message, signature string) (Account, error) {
	return h.Finish(context.Background(), Answer{Origin: origin, Message: message, Signature: signature})
}

// written is a message as a client writes it around a nonce.
func (h *house) written(nonce string, w signer) Message {
	return Message{
		Domain: "app.example.test", Address: w.address, Statement: "Hello from the client.", URI: origin + "/login",
		Version: "1", ChainID: 10, Nonce: nonce, IssuedAt: NewTimestamp(h.now),
	}
}

func timestamp(tb testing.TB, text string) Timestamp {
	tb.Helper()
	ts, err := ParseTimestamp(text)
	if err != nil {
		tb.Fatal(err)
	}
	return ts
}

func TestSignInWithServerMessage(t *testing.T) {
	h, w := newHouse(), newSigner(t, 1)
	asked := h.begin(t, Ask{Address: w.address.String()})
	want := "app.example.test wants you to sign in with your Ethereum account:\n" +
		"0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n\nSign in.\n\n" +
		"URI: https://app.example.test\nVersion: 1\nChain ID: 1\nNonce: " + asked.Nonce + "\n" +
		"Issued At: 2026-01-02T03:04:05.678Z\nExpiration Time: 2026-01-02T03:05:05.678Z"
	if asked.Message != want {
		t.Errorf("message\n%s\nwant\n%s", asked.Message, want)
	}
	if !asked.Expires.Equal(timestamp(t, "2026-01-02T03:05:05.678Z").Time()) {
		t.Errorf("expires %s", asked.Expires)
	}
	account, err := h.finish(asked.Message, w.sign(t, asked.Message))
	if err != nil || account != (Account{Address: w.address}) || account.Key() != w.address.String() {
		t.Errorf("%+v, %v", account, err)
	}
}

func TestBeginWrites(t *testing.T) {
	w := newSigner(t, 1)
	for _, c := range []struct {
		name   string
		origin string
		chains []uint64
		ask    uint64
		head   string
		uri    string
		chain  string
	}{
		{"https", "https://a.example", nil, 0, "a.example", "https://a.example", "1"},
		{"port", "https://a.example:8443", nil, 0, "a.example:8443", "https://a.example:8443", "1"},
		{"plain http tells its scheme", "http://localhost:8080", nil, 0, "http://localhost:8080", "http://localhost:8080", "1"},
		{"IPv6", "http://[::1]:8080", nil, 0, "http://[::1]:8080", "http://[::1]:8080", "1"},
		{"chain of the wallet", origin, nil, 137, "app.example.test", origin, "137"},
		{"first allowed chain", origin, []uint64{10, 1}, 0, "app.example.test", origin, "10"},
		{"an allowed chain", origin, []uint64{10, 1}, 1, "app.example.test", origin, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse()
			h.Chains = c.chains
			asked := h.begin(t, Ask{Origin: c.origin, ChainID: c.ask, Address: w.address.String()})
			for _, part := range []string{c.head + " wants", "\nURI: " + c.uri + "\n", "\nChain ID: " + c.chain + "\n"} {
				if !strings.Contains("\n"+asked.Message, "\n"+strings.TrimPrefix(part, "\n")) {
					t.Errorf("no %q in\n%s", part, asked.Message)
				}
			}
			account, err := h.Finish(context.Background(), Answer{Origin: c.origin, Message: asked.Message, Signature: w.sign(t, asked.Message)})
			if err != nil || account.Address != w.address {
				t.Errorf("%+v, %v", account, err)
			}
		})
	}
}

func TestBeginStores(t *testing.T) {
	h, w := newHouse(), newSigner(t, 1)
	h.TTL = 90 * time.Second
	with := h.begin(t, Ask{Subject: "u1", Client: "192.0.2.1", Address: strings.ToLower(w.address.String())})
	without := h.begin(t, Ask{})
	if with.Nonce == without.Nonce || len(with.Nonce) != 32 || !isNonce(with.Nonce) {
		t.Errorf("nonces %q and %q", with.Nonce, without.Nonce)
	}
	if without.Message != "" || without.Domain != "app.example.test" || without.URI != origin || without.Version != "1" ||
		without.Statement != "Sign in." {
		t.Errorf("without an address: %+v", without)
	}
	c := h.store.created[0]
	want := authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: origin, Subject: "u1"}
	if c.ID != authcore.HashSecret(with.Nonce) || c.Binding != want || c.Client != "192.0.2.1" || len(c.Data) != 32 ||
		!c.Expires.Equal(h.now.Truncate(time.Millisecond).Add(90*time.Second)) {
		t.Errorf("stored %+v", c)
	}
	if len(h.store.created[1].Data) != 0 {
		t.Error("a challenge without a message has data")
	}
}

func TestBeginRefuses(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name  string
		ask   Ask
		store error
		want  error
	}{
		{"address", Ask{Origin: origin, Address: "0x123"}, nil, ErrInvalidAddress},
		{"zero address", Ask{Origin: origin, Address: "0x" + strings.Repeat("0", 40)}, nil, ErrInvalidAddress},
		{"chain", Ask{Origin: origin, ChainID: 5}, nil, ErrChainNotAllowed},
		{"full store", Ask{Origin: origin}, authcore.ErrChallengeLimit, authcore.ErrChallengeLimit},
		{"store that is down", Ask{Origin: origin}, down, authcore.ErrUnavailable},
		{"conflict", Ask{Origin: origin}, authcore.ErrConflict, authcore.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse()
			h.Chains = []uint64{1, 10}
			h.store.fail = c.store
			if _, err := h.Begin(context.Background(), c.ask); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	for _, bad := range []string{"", "app.example.test", "https://", "https://u@app.example.test", "https://a.example/path", "://a.example"} {
		h := newHouse()
		if _, err := h.Begin(context.Background(), Ask{Origin: bad}); err == nil || len(h.store.created) > 0 {
			t.Errorf("origin %q was taken", bad)
		}
	}
	h := newHouse()
	h.Rand = iotest.ErrReader(errors.New("no entropy"))
	if asked, err := h.Begin(context.Background(), Ask{Origin: origin}); err == nil {
		t.Errorf("nonce %q without entropy", asked.Nonce)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   SignIn
		ok   bool
	}{
		{"zero value", SignIn{}, true},
		{"all", SignIn{Statement: "I accept: https://a.example/tos?x=[1]#2", Chains: []uint64{1, 10}, TTL: time.Minute}, true},
		{"longest statement", SignIn{Statement: strings.Repeat("a", 1024)}, true},
		{"statement too long", SignIn{Statement: strings.Repeat("a", 1025)}, false},
		{"line feed in the statement", SignIn{Statement: "a\nb"}, false},
		{"umlaut in the statement", SignIn{Statement: "Anmeldung bestätigen"}, false},
		{"quote in the statement", SignIn{Statement: `say "hi"`}, false},
		{"percent in the statement", SignIn{Statement: "100 %"}, false},
		{"chain 0", SignIn{Chains: []uint64{0}}, false},
		{"chain twice", SignIn{Chains: []uint64{1, 10, 1}}, false},
		{"negative life", SignIn{TTL: -time.Second}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.in.Validate(); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// What a client writes around a nonce is judged field by field.
func TestClientWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*house, *Message)
		want   error
	}{
		{"as it should be", func(*house, *Message) {}, nil},
		{"no statement", func(_ *house, m *Message) { m.Statement = "" }, nil},
		{"scheme written", func(_ *house, m *Message) { m.Scheme = "https" }, nil},
		{"upper-case scheme and domain", func(_ *house, m *Message) { m.Scheme, m.Domain = "HTTPS", "APP.example.test" }, nil},
		{"URI is the origin", func(_ *house, m *Message) { m.URI = origin }, nil},
		{"URI with path and query", func(_ *house, m *Message) { m.URI = "HTTPS://App.Example.Test/a/../b?c#d" }, nil},
		{"request id", func(_ *house, m *Message) { m.RequestID = new(string) }, nil},
		{"expires in a moment", func(h *house, m *Message) { m.ExpirationTime = NewTimestamp(h.now.Add(time.Second)) }, nil},
		{"valid from now on", func(h *house, m *Message) { m.NotBefore = NewTimestamp(h.now) }, nil},
		{"clock of the client ahead", func(h *house, m *Message) { m.IssuedAt = NewTimestamp(h.now.Add(59 * time.Second)) }, nil},
		{"clock of the client behind", func(h *house, m *Message) { m.IssuedAt = NewTimestamp(h.now.Add(-119 * time.Second)) }, nil},
		{"time zone of the client", func(_ *house, m *Message) { m.IssuedAt = timestamp(t, "2026-01-02T08:34:05+05:30") }, nil},

		// The signature was given to another site, which passes it on here.
		{"domain of a phishing site", func(_ *house, m *Message) { m.Domain = "evil.example" }, ErrInvalidMessage},
		// Reads as ours at the first glance; the host is the other one.
		{"userinfo spoof of our domain", func(_ *house, m *Message) { m.Domain = "app.example.test@evil.example" }, ErrInvalidMessage},
		{"userinfo before our domain", func(_ *house, m *Message) { m.Domain = "user@app.example.test" }, ErrInvalidMessage},
		{"sibling", func(_ *house, m *Message) { m.Domain = "www.example.test" }, ErrInvalidMessage},
		{"subdomain", func(_ *house, m *Message) { m.Domain = "x.app.example.test" }, ErrInvalidMessage},
		{"other port", func(_ *house, m *Message) { m.Domain = "app.example.test:8443" }, ErrInvalidMessage},
		{"default port", func(_ *house, m *Message) { m.Domain = "app.example.test:443" }, ErrInvalidMessage},
		{"empty port", func(_ *house, m *Message) { m.Domain = "app.example.test:" }, ErrInvalidMessage},
		{"trailing dot", func(_ *house, m *Message) { m.Domain = "app.example.test." }, ErrInvalidMessage},
		{"encoded host", func(_ *house, m *Message) { m.Domain = "%61pp.example.test" }, ErrInvalidMessage},
		{"plain http", func(_ *house, m *Message) { m.Scheme = "http" }, ErrInvalidMessage},
		{"other scheme", func(_ *house, m *Message) { m.Scheme = "app" }, ErrInvalidMessage},
		{"URI of another site", func(_ *house, m *Message) { m.URI = "https://evil.example/" }, ErrInvalidMessage},
		{"URI that begins as the origin", func(_ *house, m *Message) { m.URI = origin + ".evil.example/" }, ErrInvalidMessage},
		{"URI with user information", func(_ *house, m *Message) { m.URI = origin + "@evil.example/" }, ErrInvalidMessage},
		{"URI of plain http", func(_ *house, m *Message) { m.URI = "http://app.example.test/" }, ErrInvalidMessage},
		{"URI with a port", func(_ *house, m *Message) { m.URI = origin + ":8443/" }, ErrInvalidMessage},
		{"URI without authority", func(_ *house, m *Message) { m.URI = "https:app.example.test" }, ErrInvalidMessage},
		{"chain", func(_ *house, m *Message) { m.ChainID = 5 }, ErrInvalidMessage},
		// ERC-5573: the last resource delegates rights in the name of the account.
		{"resources", func(_ *house, m *Message) { m.Resources = []string{"urn:recap:eyJhdHQiOnt9fQ"} }, ErrInvalidMessage},
		{"empty resources", func(_ *house, m *Message) { m.Resources = []string{} }, ErrInvalidMessage},
		{"issued in the future", func(h *house, m *Message) { m.IssuedAt = NewTimestamp(h.now.Add(61 * time.Second)) }, ErrInvalidMessage},
		{"issued long ago", func(h *house, m *Message) { m.IssuedAt = NewTimestamp(h.now.Add(-121 * time.Second)) }, ErrInvalidMessage},
		{"not valid yet", func(h *house, m *Message) { m.NotBefore = NewTimestamp(h.now.Add(time.Second)) }, ErrInvalidMessage},
		{"expired", func(h *house, m *Message) { m.ExpirationTime = NewTimestamp(h.now.Add(-time.Second)) }, authcore.ErrChallengeExpired},
		{"expires now", func(h *house, m *Message) { h.now = m.IssuedAt.Time(); m.ExpirationTime = m.IssuedAt }, authcore.ErrChallengeExpired},
		{"not before after expiration", func(h *house, m *Message) {
			m.ExpirationTime, m.NotBefore = NewTimestamp(h.now.Add(time.Second)), NewTimestamp(h.now.Add(2*time.Second))
		}, ErrInvalidMessage},
		{"not before after expiration, later", func(h *house, m *Message) {
			m.ExpirationTime, m.NotBefore = NewTimestamp(h.now.Add(-2*time.Second)), NewTimestamp(h.now.Add(-time.Second))
		}, authcore.ErrChallengeExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, w := newHouse(), newSigner(t, 2)
			h.Chains = []uint64{1, 10}
			asked := h.begin(t, Ask{})
			m := h.written(asked.Nonce, w)
			c.change(h, &m)
			text, err := m.Format()
			if err != nil {
				t.Fatal(err)
			}
			account, err := h.finish(text, w.sign(t, text))
			if !errors.Is(err, c.want) || err == nil && account.Address != w.address {
				t.Errorf("%+v, %v, want %v", account, err, c.want)
			}
			if len(h.store.open) != 0 {
				t.Error("the nonce was not spent")
			}
		})
	}
}

func TestClientWrittenOnPlainHTTP(t *testing.T) {
	for scheme, want := range map[string]error{"": nil, "http": nil, "https": ErrInvalidMessage} {
		h, w := newHouse(), newSigner(t, 2)
		site := "http://localhost:8080"
		m := h.written(h.begin(t, Ask{Origin: site}).Nonce, w)
		m.Scheme, m.Domain, m.URI = scheme, "localhost:8080", site
		text, err := m.Format()
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Finish(context.Background(), Answer{Origin: site, Message: text, Signature: w.sign(t, text)})
		if !errors.Is(err, want) {
			t.Errorf("scheme %q: %v, want %v", scheme, err, want)
		}
	}
}

// An attacker has a nonce made for his own wallet, changes the message, and signs that: everything that the server
// fixed (address, chain, statement, times) would be his to choose.
func TestServerMessageChanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Message)
	}{
		{"address", func(m *Message) { m.Address[0]++ }},
		{"chain", func(m *Message) { m.ChainID = 10 }},
		{"statement", func(m *Message) { m.Statement = "Something else." }},
		{"URI", func(m *Message) { m.URI += "/login" }},
		{"domain case", func(m *Message) { m.Domain = "App.example.test" }},
		{"scheme added", func(m *Message) { m.Scheme = "https" }},
		{"expiration later", func(m *Message) { m.ExpirationTime = NewTimestamp(m.ExpirationTime.Time().Add(time.Hour)) }},
		{"expiration left out", func(m *Message) { m.ExpirationTime = Timestamp{} }},
		{"same time in another zone", func(m *Message) { m.IssuedAt = timestamp(t, "2026-01-02T04:04:05.678+01:00") }},
		{"request id", func(m *Message) { m.RequestID = new(string) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, w := newHouse(), newSigner(t, 3)
			asked := h.begin(t, Ask{Address: w.address.String()})
			m, err := ParseMessage(asked.Message)
			if err != nil {
				t.Fatal(err)
			}
			c.change(&m)
			text, err := m.Format()
			if err != nil {
				t.Fatal(err)
			}
			if account, err := h.finish(text, w.sign(t, text)); !errors.Is(err, ErrInvalidMessage) {
				t.Errorf("%+v, %v", account, err)
			}
			// Nor does the right answer help afterwards.
			if _, err := h.finish(asked.Message, w.sign(t, asked.Message)); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("the nonce was not spent: %v", err)
			}
		})
	}
}

// A nonce given to one address is answered by another, with a message of its own that is right in every other field.
func TestNonceGivenToAnotherAddress(t *testing.T) {
	h, w, other := newHouse(), newSigner(t, 3), newSigner(t, 4)
	asked := h.begin(t, Ask{Address: w.address.String()})
	text, err := h.written(asked.Nonce, other).Format()
	if err != nil {
		t.Fatal(err)
	}
	if account, err := h.finish(text, other.sign(t, text)); !errors.Is(err, ErrInvalidMessage) {
		t.Errorf("%+v, %v", account, err)
	}
}

// A signed message is overheard and sent again.
func TestReplay(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	asked := h.begin(t, Ask{Address: w.address.String()})
	sig := w.sign(t, asked.Message)
	if _, err := h.finish(asked.Message, sig); err != nil {
		t.Fatal(err)
	}
	if account, err := h.finish(asked.Message, sig); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("%+v, %v", account, err)
	}
}

// The same answer arrives many times at once: one gets in.
func TestReplayAtOnce(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	asked := h.begin(t, Ask{Address: w.address.String()})
	sig := w.sign(t, asked.Message)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := h.finish(asked.Message, sig); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got in", won.Load())
	}
}

// A nonce that the attacker made up, or that another installation issued.
func TestForeignNonce(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	text, err := h.written("Ab3dEf6hIj9kLm2n", w).Format()
	if err != nil {
		t.Fatal(err)
	}
	if account, err := h.finish(text, w.sign(t, text)); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("%+v, %v", account, err)
	}
}

// Challenges do not travel: not from one site to another, not from one user to another, not between signing in and
// adding a wallet.
func TestChallengeBinding(t *testing.T) {
	for _, c := range []struct {
		name   string
		ask    Ask
		answer Answer
	}{
		{"other origin", Ask{Origin: "https://b.example"}, Answer{Origin: origin}},
		{"other user", Ask{Origin: origin, Subject: "mallory"}, Answer{Origin: origin, Subject: "alice"}},
		{"begun signed in, finished signed out", Ask{Origin: origin, Subject: "mallory"}, Answer{Origin: origin}},
		{"begun signed out, finished signed in", Ask{Origin: origin}, Answer{Origin: origin, Subject: "alice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, w := newHouse(), newSigner(t, 3)
			c.ask.Address = w.address.String()
			asked := h.begin(t, c.ask)
			c.answer.Message, c.answer.Signature = asked.Message, w.sign(t, asked.Message)
			if account, err := h.Finish(context.Background(), c.answer); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("%+v, %v", account, err)
			}
		})
	}
	t.Run("other purpose", func(t *testing.T) {
		h, w := newHouse(), newSigner(t, 3)
		asked := h.begin(t, Ask{Address: w.address.String()})
		c := h.store.created[0]
		c.Purpose = "something-else"
		h.store.open[c.ID] = c
		if account, err := h.finish(asked.Message, w.sign(t, asked.Message)); !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%+v, %v", account, err)
		}
	})
}

// Whatever is wrong with an answer, its nonce cannot be tried a second time.
func TestFailedTrySpends(t *testing.T) {
	w, other := newSigner(t, 3), newSigner(t, 4)
	for _, c := range []struct {
		name string
		sig  func(t *testing.T, text string) string
	}{
		{"no signature", func(*testing.T, string) string { return "" }},
		{"not hexadecimal", func(*testing.T, string) string { return "0x" + strings.Repeat("zz", 65) }},
		{"compact", func(t *testing.T, text string) string { return w.sign(t, text)[:130] }},
		{"other key", func(t *testing.T, text string) string { return other.sign(t, text) }},
		{"other text", func(t *testing.T, text string) string { return w.sign(t, text+"\n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse()
			asked := h.begin(t, Ask{Address: w.address.String()})
			if account, err := h.finish(asked.Message, c.sig(t, asked.Message)); !errors.Is(err, ErrInvalidSignature) {
				t.Errorf("%+v, %v", account, err)
			}
			if account, err := h.finish(asked.Message, w.sign(t, asked.Message)); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("the nonce was not spent: %+v, %v", account, err)
			}
		})
	}
}

// An answer that comes too late says so, also after a store cleaned the challenge up; one moment earlier it is good.
func TestExpired(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		cleaned bool
		want    error
	}{
		{"in time", time.Minute - time.Millisecond, false, nil},
		{"too late", time.Minute, false, authcore.ErrChallengeExpired},
		{"cleaned up", time.Minute, true, authcore.ErrChallengeExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, w := newHouse(), newSigner(t, 3)
			h.now = h.now.Truncate(time.Millisecond)
			asked := h.begin(t, Ask{Address: w.address.String()})
			h.now = h.now.Add(c.after)
			if c.cleaned {
				if n, err := h.store.DeleteExpiredChallenges(context.Background(), h.now); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if account, err := h.finish(asked.Message, w.sign(t, asked.Message)); !errors.Is(err, c.want) {
				t.Errorf("%+v, %v, want %v", account, err, c.want)
			}
		})
	}
	t.Run("nonce too late", func(t *testing.T) {
		h, w := newHouse(), newSigner(t, 3)
		asked := h.begin(t, Ask{})
		h.now = h.now.Add(time.Minute)
		text, err := h.written(asked.Nonce, w).Format()
		if err != nil {
			t.Fatal(err)
		}
		if account, err := h.finish(text, w.sign(t, text)); !errors.Is(err, authcore.ErrChallengeExpired) {
			t.Errorf("%+v, %v", account, err)
		}
	})
}

// A reload that shortens the life of challenges or changes the chains leaves the messages good that were issued before.
func TestReloadKeepsIssuedMessages(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	h.TTL = time.Hour
	asked := h.begin(t, Ask{Address: w.address.String()})
	h.TTL, h.Chains, h.Statement = time.Minute, []uint64{10}, "Another."
	h.now = h.now.Add(30 * time.Minute)
	if _, err := h.finish(asked.Message, w.sign(t, asked.Message)); err != nil {
		t.Error(err)
	}
}

// A store that is down is no verdict: neither a sign-in nor "not found".
func TestFinishWithoutStore(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	asked := h.begin(t, Ask{Address: w.address.String()})
	for _, down := range []error{
		errors.New("connection refused"), context.DeadlineExceeded, authcore.ErrConflict, fmt.Errorf("redis: %w", authcore.ErrUnavailable),
	} {
		h.store.fail = down
		h.now = h.now.Add(time.Minute) // from the second round on the message says itself that it is late
		if account, err := h.finish(asked.Message, w.sign(t, asked.Message)); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%+v, %v", account, err)
		}
	}
}

// Garbage does not reach the store.
func TestUnreadableMessageReachesNoStore(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	h.store.fail = errors.New("asked")
	for _, text := range []string{"", "hello", strings.Repeat("a", 1<<20)} {
		if account, err := h.finish(text, w.sign(t, text)); !errors.Is(err, ErrInvalidMessage) {
			t.Errorf("%+v, %v", account, err)
		}
	}
}

// No error repeats what a client wrote: it would end up in logs.
func TestErrorsTellNoSecrets(t *testing.T) {
	h, w := newHouse(), newSigner(t, 3)
	asked := h.begin(t, Ask{Address: w.address.String()})
	for _, text := range []string{asked.Message + "\n" + asked.Nonce, strings.Replace(asked.Message, "Nonce: ", "Nonce:  ", 1), asked.Message} {
		_, err := h.finish(text, "0x")
		if err == nil || strings.Contains(err.Error(), asked.Nonce) {
			t.Errorf("%v", err)
		}
	}
}
