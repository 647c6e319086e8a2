package wallet

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
)

// FuzzUnwrap: whatever a client sends as ERC-6492 signature is read within its bounds, or refused.
func FuzzUnwrap(f *testing.F) {
	good := wrapped(someFactory, []byte("create"), []byte("inner"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(deployedSuffix)
	f.Add(append(make([]byte, 96), deployedSuffix...))
	f.Add(append(bytes.Repeat([]byte{0xff}, 128), deployedSuffix...))
	far := bytes.Clone(good)
	far[63] = 0xc0 // the call begins where the body ends
	f.Add(far)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, is, err := unwrap(b)
		if is != bytes.HasSuffix(b, deployedSuffix) || !is && err != nil {
			t.Fatalf("wrapped %v, %v", is, err)
		}
		if err != nil || !is {
			if d.factory != (Address{}) || d.call != nil || d.signature != nil {
				t.Fatalf("something was read of nothing: %+v", d)
			}
			return
		}
		if !bytes.Contains(b, d.call) || !bytes.Contains(b, d.signature) {
			t.Fatalf("not from the input: %+v", d)
		}
		again, is, err := unwrap(wrapped(d.factory, d.call, d.signature))
		if !is || err != nil || again.factory != d.factory || !bytes.Equal(again.call, d.call) || !bytes.Equal(again.signature, d.signature) {
			t.Fatalf("%+v became %+v, %v", d, again, err)
		}
	})
}

// The call that asks a wallet, against one written out by hand.
func TestIsValidSignatureCall(t *testing.T) {
	got := isValidSignatureCall([32]byte{31: 9}, []byte{1, 2, 3})
	want := "1626ba7e" +
		"0000000000000000000000000000000000000000000000000000000000000009" +
		"0000000000000000000000000000000000000000000000000000000000000040" +
		"0000000000000000000000000000000000000000000000000000000000000003" +
		"0102030000000000000000000000000000000000000000000000000000000000"
	if text(got) != "0x"+want {
		t.Errorf("%x", got)
	}
	if empty := isValidSignatureCall([32]byte{}, nil); len(empty) != 4+96 {
		t.Errorf("%x", empty)
	}
}

func TestUnwrapRefuses(t *testing.T) {
	good := wrapped(someFactory, []byte("create"), []byte("inner"))
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
	}{
		{"too short", func(b []byte) []byte { return append(make([]byte, 95), deployedSuffix...) }},
		{"address with something before it", func(b []byte) []byte { b[11] = 1; return b }},
		{"call begins behind the end", func(b []byte) []byte { b[62] = 0xff; return b }},
		{"call begins far behind the end", func(b []byte) []byte { copy(b[56:64], bytes.Repeat([]byte{0xff}, 8)); return b }},
		{"call begins at 2^255", func(b []byte) []byte { b[32] = 0x80; return b }},
		{"call longer than what is there", func(b []byte) []byte { b[96+30] = 0xff; return b }},
		{"call of 2^63 bytes", func(b []byte) []byte { b[96+24] = 0x80; return b }},
		{"signature begins in the suffix", func(b []byte) []byte { b[95] = byte(len(b) - 32); return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, is, err := unwrap(c.change(bytes.Clone(good))); !is || err == nil {
				t.Errorf("taken: %v", err)
			}
		})
	}
	if d, is, err := unwrap(good); !is || err != nil || d.factory != someFactory || string(d.call) != "create" || string(d.signature) != "inner" {
		t.Errorf("%+v, %v", d, err)
	}
}

// FuzzDecodeProof: what is read from a store is what was written, or nothing.
func FuzzDecodeProof(f *testing.F) {
	f.Add(proof{10, contractWallet, [32]byte{1}, []byte("signature")}.encode())
	f.Add("")
	f.Add("\x01")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := decodeProof(s)
		if err == nil && p.encode() != s {
			t.Fatalf("%q became %q", s, p.encode())
		}
	})
}

// FuzzParseAccount: an account is written in one way.
func FuzzParseAccount(f *testing.F) {
	f.Add("eip155:10:0x52908400098527886E0F7030069857D2E4169EE7")
	f.Add("0x52908400098527886E0F7030069857D2E4169EE7")
	f.Add("eip155:018446744073709551616:")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAccount(s)
		if err != nil {
			if !errors.Is(err, ErrInvalidAddress) {
				t.Fatal(err)
			}
			return
		}
		if again, err := ParseAccount(a.Key()); err != nil || again != a {
			t.Fatalf("%q: %+v, %v", s, again, err)
		}
	})
}

// FuzzEndpointAnswer: whatever a server sends, there is no panic, and no yes but the one that ERC-1271 demands.
func FuzzEndpointAnswer(f *testing.F) {
	for _, s := range []string{
		`[{"jsonrpc":"2.0","id":1,"result":"0x6001"},{"jsonrpc":"2.0","id":2,"result":"0x01"},{"jsonrpc":"2.0","id":3,"result":"0xa"}]`,
		`[{"id":1,"result":"0x60"},{"id":2,"error":{"code":3,"message":"execution reverted","data":"0x"}},{"id":3,"result":"0xa"}]`,
		`[{"id":1,"result":"0x"},{"id":2,"result":"0x"},{"id":3,"result":"0xa"}]`,
		`[null]`, `{"error":{}}`, `[{"id":1,"error":null}]`, "[" + `{"id":[1]}` + "]",
	} {
		f.Add([]byte(s))
	}
	chain := newFakeChain(f, 10)
	f.Fuzz(func(t *testing.T, body []byte) {
		chain.hostile(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		k := testContracts(t, nil, chain)
		err := k.Verify(t.Context(), "", 10, contractWallet, [32]byte{1}, nil)
		if err == nil && !bytes.Contains(bytes.ToLower(body), []byte("1626ba7e")) {
			t.Fatalf("a yes out of %q", body)
		}
		if err != nil && errors.Is(err, ErrInvalidSignature) == errors.Is(err, ErrRPCUnavailable) {
			t.Fatalf("%v", err)
		}
	})
}
