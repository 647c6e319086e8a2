package wallet

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

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
