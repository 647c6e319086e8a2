package wallet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// Whatever can be read is written back byte for byte: no two texts mean the same message.
func FuzzParseMessage(f *testing.F) {
	f.Add(plain)
	f.Add("http://[::1]:80" + strings.TrimPrefix(plain, "app.example.test") + "\nExpiration Time: 2026-01-02T03:09:05+01:00\nNot Before: 2026-01-02T03:04:05Z\nRequest ID: %20\nResources:\n- urn:x:y\n- a://u:p@[v1.a]:/?#")
	f.Add(strings.Replace(plain, "Sign in.\n", "", 1))
	f.Add(plain + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMessage(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidMessage) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := m.Format()
		if err != nil || again != text {
			t.Fatalf("%v\n%q\n%q", err, again, text)
		}
		if m.Address == (Address{}) || m.ChainID == 0 || m.Version != "1" || m.IssuedAt.IsZero() || len(text) > maxMessage {
			t.Fatalf("%+v", m)
		}
		for _, c := range []byte(text) {
			if c != '\n' && (c < ' ' || c > '~') {
				t.Fatalf("byte %#x", c)
			}
		}
	})
}

func FuzzParseTimestamp(f *testing.F) {
	f.Add("2026-01-02T03:04:05.678Z")
	f.Add("2026-01-02T03:04:05-23:59")
	f.Fuzz(func(t *testing.T, text string) {
		ts, err := ParseTimestamp(text)
		if err == nil && (ts.String() != text || ts.IsZero()) {
			t.Fatalf("%q became %+v", text, ts)
		}
	})
}

// No two signatures recover to the same key for one message but those that differ in the spelling of v.
func FuzzRecover(f *testing.F) {
	good, err := hex.DecodeString(newSigner(f, 5).sign(f, plain)[2:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:64])
	f.Add(make([]byte, 65))
	f.Fuzz(func(t *testing.T, sig []byte) {
		a, err := Recover(plain, sig)
		if err != nil {
			if !errors.Is(err, ErrInvalidSignature) || a != (Address{}) {
				t.Fatalf("%s, %v", a, err)
			}
			return
		}
		if a == newSigner(t, 5).address && !bytes.Equal(sig[:64], good[:64]) {
			t.Fatalf("another signature of the same key: %x", sig)
		}
	})
}

// Nobody signs in without the signature of the key over exactly the message that was issued.
func FuzzFinish(f *testing.F) {
	h, w := newHouse(), newSigner(f, 6)
	h.Rand = strings.NewReader(strings.Repeat("the same nonce each time", 1000))
	asked := h.begin(f, Ask{Address: w.address.String()})
	challenge := h.store.created[0]
	good := w.sign(f, asked.Message)
	free, err := h.written(asked.Nonce, w).Format()
	if err != nil {
		f.Fatal(err)
	}
	for _, bound := range []bool{true, false} {
		f.Add(asked.Message, good, bound)
		f.Add(asked.Message, good[:130], bound)
		f.Add(free, w.sign(f, free), bound)
		f.Add(free, "0x"+strings.Repeat("00", 65), bound)
		f.Add(asked.Message+"\n", "", bound)
	}
	f.Fuzz(func(t *testing.T, message, signature string, bound bool) {
		h := newHouse()
		c := challenge
		if !bound {
			c.Data = nil
		}
		h.store.open = map[[32]byte]authcore.Challenge{c.ID: c}
		account, err := h.finish(message, signature)
		if err != nil {
			if account != (Account{}) {
				t.Fatalf("%+v with %v", account, err)
			}
			return
		}
		sig, err := hex.DecodeString(strings.TrimPrefix(signature, "0x"))
		if err != nil {
			t.Fatalf("signed in by %q", signature)
		}
		signer, err := Recover(message, sig)
		m, perr := ParseMessage(message)
		if err != nil || perr != nil || signer != account.Address || m.Address != signer || m.Nonce != asked.Nonce {
			t.Fatalf("%+v signed in by %q\n%s", account, signature, message)
		}
		if bound && message != asked.Message {
			t.Fatalf("signed in by another message\n%s", message)
		}
		if len(h.store.open) != 0 {
			t.Fatal("the nonce was not spent")
		}
	})
}
