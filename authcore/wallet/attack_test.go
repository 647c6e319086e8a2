package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

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
		{"begun to step up, finished as sign-in", Ask{Origin: origin, Subject: "alice", StepUp: true}, Answer{Origin: origin, Subject: "alice"}},
		{"begun as sign-in, finished as step-up", Ask{Origin: origin, Subject: "alice"}, Answer{Origin: origin, Subject: "alice", StepUp: true}},
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
