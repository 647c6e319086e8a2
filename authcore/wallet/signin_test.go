package wallet

import (
	"context"
	"errors"
	"strings"
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
