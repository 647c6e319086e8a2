package passkey

import (
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func BenchmarkBeginRegistration(b *testing.B) {
	h := newHouse(b)
	b.ReportAllocs()
	for b.Loop() {
		h.beginRegistration(b, Registering{UserID: "u", Username: "alice", New: true})
	}
}

func BenchmarkFinishRegistration(b *testing.B) {
	h, a := newHouse(b), &passkeytest.Authenticator{}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		begun := h.beginRegistration(b, Registering{UserID: "u", Username: "alice", New: true})
		response := create(b, a, begun)
		a.Credentials = nil
		b.StartTimer()
		if _, err := h.FinishRegistration(b.Context(), Registration{Origin: origin, ChallengeID: begun.ChallengeID, Response: response}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBeginAuthentication(b *testing.B) {
	h := newHouse(b)
	h.account(b, &passkeytest.Authenticator{})
	for name, who := range map[string]Authenticating{
		"discoverable": {}, "named": {Username: "user-a", UserID: "user-a"}, "unknown": {Username: "nobody"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.beginAuthentication(b, who)
			}
		})
	}
}

func BenchmarkFinishAuthentication(b *testing.B) {
	for name, algorithm := range map[string]passkeytest.Algorithm{
		"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256,
	} {
		b.Run(name, func(b *testing.B) {
			h, a := newHouse(b), &passkeytest.Authenticator{Algorithm: algorithm}
			h.account(b, a)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				begun := h.beginAuthentication(b, Authenticating{})
				response := get(b, a, begun)
				b.StartTimer()
				if _, err := h.finish(b, begun, response); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSignature is the part of the above that is the signature check.
func BenchmarkSignature(b *testing.B) {
	for name, algorithm := range map[string]passkeytest.Algorithm{
		"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256,
	} {
		b.Run(name, func(b *testing.B) {
			key, err := passkeytest.NewKey(algorithm)
			if err != nil {
				b.Fatal(err)
			}
			message := make([]byte, 69)
			sig, err := key.Sign(message)
			if err != nil {
				b.Fatal(err)
			}
			public, err := webauthncose.ParsePublicKey(key.COSE())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := webauthncose.VerifySignature(public, message, sig); !ok || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
