package wallet

import "testing"

func BenchmarkParseMessage(b *testing.B) {
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecover(b *testing.B) {
	sig, err := decodeSignature(newSigner(b, 1).sign(b, plain))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Recover(plain, sig[:]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignIn is Begin, the signing of the wallet (not timed), and Finish.
func BenchmarkSignIn(b *testing.B) {
	h, w := newHouse(), newSigner(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		asked := h.begin(b, Ask{Address: w.address.String()})
		b.StopTimer()
		sig := w.sign(b, asked.Message)
		h.store.created = nil
		b.StartTimer()
		if _, err := h.finish(asked.Message, sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFinishJunk is what an answer costs that nobody asked for.
func BenchmarkFinishJunk(b *testing.B) {
	h := newHouse()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.finish(plain, "0x"); err == nil {
			b.Fatal("signed in")
		}
	}
}
