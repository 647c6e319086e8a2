package keysign

import "testing"

func BenchmarkSignIn(b *testing.B) {
	for _, kind := range kinds {
		b.Run(string(kind), func(b *testing.B) {
			s := newSigner(1)
			h := build(b)
			key := s.account(kind).Key()
			for b.Loop() {
				b.StopTimer()
				answer := s.answer(b, h.begin(b, kind, key).Message)
				b.StartTimer()
				if _, err := h.Finish(ctx, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
