package passkey

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// seeds are well made and twisted responses, and the shared ones where they are.
func seeds(f *testing.F, h *house, kind string) {
	f.Helper()
	for _, algorithm := range []passkeytest.Algorithm{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
		for i := range len(clientTwists) + 1 {
			a := &passkeytest.Authenticator{Algorithm: algorithm}
			var twist passkeytest.Twist // the first is a good one
			if i > 0 {
				twist = clientTwists[i-1].twist
			}
			if kind == "registration" {
				a.Twist = twist
				a.Twist.Attestation = func(o *passkeytest.AttestationObject) { o.Packed(nil) }
				f.Add(create(f, a, h.beginRegistration(f, Registering{UserID: "u", New: true})))
			} else {
				create(f, a, h.beginRegistration(f, Registering{UserID: "u", New: true}))
				a.Twist = twist
				f.Add(get(f, a, h.beginAuthentication(f, Authenticating{})))
			}
			if algorithm == passkeytest.RS256 {
				break // its keys are slow to make
			}
		}
	}
	for _, v := range readVectors(f) {
		if v.Kind == kind {
			f.Add([]byte(v.Response))
		}
	}
}

// Whatever a client sends as a registration is refused as what it is, without a panic, under either policy of
// attestation; and what is accepted can be stored and read.
func FuzzFinishRegistration(f *testing.F) {
	h := newHouse(f)
	h.Rand = zeros{}
	seeds(f, h, "registration")
	f.Fuzz(func(t *testing.T, response []byte) {
		for _, attestation := range []Attestation{AttestationNone, AttestationDirect} {
			h := &house{Ceremonies: h.Ceremonies}
			h.Attestation = attestation
			done, err := fuzzRegistration(h, response)
			if err != nil {
				if !errors.Is(err, ErrInvalidAttestation) || done.UserID != "" || strings.ContainsAny(err.Error(), "\n\x00") {
					t.Fatalf("%+v, %q", done, err)
				}
				continue
			}
			record, err := ReadRecord(done.Credential)
			if err != nil || checkKey(record.PublicKey) != nil || record.RPID != "app.example.com" || !json.Valid(done.Credential.Data) {
				t.Fatalf("%+v, %v", done, err)
			}
		}
	})
}

// zeros make every challenge the same, so that responses stay good from one run to the next; ids stay random.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	if len(b) != challenge {
		return rand.Read(b)
	}
	clear(b)
	return len(b), nil
}

func fuzzRegistration(h *house, response []byte) (Registered, error) {
	begun, err := h.BeginRegistration(context.Background(), Registering{Origin: origin, UserID: "u", New: true})
	if err != nil {
		return Registered{}, err
	}
	return h.FinishRegistration(context.Background(), Registration{Origin: origin, ChallengeID: begun.ChallengeID, Response: response})
}

// Nobody signs in but with the passkey that is stored, over the challenge that was asked; and nothing panics.
func FuzzFinishAuthentication(f *testing.F) {
	h, a := newHouse(f), &passkeytest.Authenticator{Counterless: true}
	stored := h.account(f, a)
	h.Rand = zeros{}
	f.Add(get(f, a, h.beginAuthentication(f, Authenticating{})))
	seeds(f, h, "authentication")
	f.Fuzz(func(t *testing.T, response []byte) {
		begun, err := h.BeginAuthentication(context.Background(), Authenticating{Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		done, err := h.FinishAuthentication(context.Background(), Authentication{Origin: origin, ChallengeID: begun.ChallengeID, Response: response})
		if err != nil {
			if !errors.Is(err, ErrInvalidAssertion) || done.UserID != "" || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("%+v, %q", done, err)
			}
			return
		}
		parsed, err := parseAssertion(response)
		if err != nil || done.UserID != stored.UserID || Key(parsed.RawID) != stored.Key || !done.Evidence.UserVerified ||
			checkClientData(parsed.Raw.AssertionResponse.ClientDataJSON, "webauthn.get", challengeOf(t, begun), origin) != nil {
			t.Fatalf("%+v by %s", done, response)
		}
	})
}

// What passes has each member once, in its one spelling, with the value that was wanted.
func FuzzClientData(f *testing.F) {
	f.Add([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"https://app.example.com","crossOrigin":false}`))
	f.Add([]byte(`{"type":"webauthn.get","TYPE":"webauthn.create","challenge":"AAAA","origin":"https://app.example.com"}`))
	f.Add([]byte(`{"type":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkClientData(data, "webauthn.get", "AAAA", origin) != nil {
			return
		}
		var exact map[string]any
		if json.Unmarshal(data, &exact) != nil || exact["type"] != "webauthn.get" || exact["challenge"] != "AAAA" || exact["origin"] != origin {
			t.Fatalf("%q", data)
		}
	})
}
