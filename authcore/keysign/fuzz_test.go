package keysign

import (
	"math/big"
	"strings"
	"testing"
)

// Whatever is read as 32 bytes is their one spelling.
func FuzzDecode58(f *testing.F) {
	f.Add(newSigner(1).account(Solana).Name)
	f.Add(strings.Repeat("1", 32))
	f.Add("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG")
	f.Fuzz(func(t *testing.T, s string) {
		b, ok := decode58(s)
		if !ok {
			return
		}
		if encode58(b) != s {
			t.Errorf("%q is %x, and that %q", s, b, encode58(b))
		}
		n := new(big.Int)
		for _, c := range []byte(s) {
			n.Add(n.Mul(n, big.NewInt(58)), big.NewInt(int64(strings.IndexByte(alphabet, c))))
		}
		if n.Cmp(new(big.Int).SetBytes(b[:])) != 0 {
			t.Errorf("%q is %x, not %x", s, n, b)
		}
	})
}

func FuzzEncode58(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Add([]byte(strings.Repeat("\xff", 32)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var b [32]byte
		copy(b[:], in)
		if got, ok := decode58(encode58(b)); !ok || got != b {
			t.Errorf("%x became %x", b, got)
		}
	})
}

// Whatever is read as an account is the one spelling of it, but for whole ML-DSA-65 keys.
func FuzzParseAccount(f *testing.F) {
	s := newSigner(1)
	for _, kind := range kinds {
		f.Add(s.account(kind).Key())
	}
	f.Add(s.whole())
	for _, text := range smallOrder {
		f.Add("ed25519:" + text)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAccount(in)
		if err != nil {
			if a != (Account{}) {
				t.Errorf("refused, but %v", a)
			}
			return
		}
		if again, err := ParseAccount(a.Key()); err != nil || again != a {
			t.Errorf("%q: %v, %v", in, again, err)
		}
		if a.Key() != in && len(in) < 3904 {
			t.Errorf("%q is a second spelling of %q", in, a.Key())
		}
	})
}

// What is read of a message is what the message says, and its open form leaves out the account alone.
func FuzzRead(f *testing.F) {
	s, h := newSigner(1), build(f)
	for _, kind := range kinds {
		f.Add(h.begin(f, kind, s.account(kind).Key()).Message)
	}
	f.Add("a wants you to sign in with your Solana account:\n\n\nNonce: 1")
	f.Fuzz(func(t *testing.T, message string) {
		m, err := read(message)
		if err != nil {
			return
		}
		first, rest, _ := strings.Cut(m.open, "\n")
		if message != first+"\n"+m.account.written()+rest {
			t.Errorf("%q is not %q with %q", message, m.open, m.account.written())
		}
		if strings.Contains(m.nonce, "\n") || !strings.Contains(message, labelNonce+m.nonce) {
			t.Errorf("nonce %q", m.nonce)
		}
	})
}
