package passkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// A response is overheard and sent again: to the same ceremony, and to another.
func TestReplay(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Counterless: true}
	h.account(t, a)
	begun := h.beginAuthentication(t, Authenticating{})
	response := get(t, a, begun)
	if _, err := h.finish(t, begun, response); err != nil {
		t.Fatal(err)
	}
	if done, err := h.finish(t, begun, response); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := h.finish(t, h.beginAuthentication(t, Authenticating{}), response); !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

// The same answer arrives many times at once: one gets in. The passkey counts nothing, so the counter does not help.
func TestReplayAtOnce(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Counterless: true, Synced: true}
	h.account(t, a)
	begun := h.beginAuthentication(t, Authenticating{})
	response := get(t, a, begun)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := h.FinishAuthentication(context.Background(), Authentication{Origin: origin, ChallengeID: begun.ChallengeID, Response: response}); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got in", won.Load())
	}
}

// The same for a registration.
func TestRegistrationReplayAtOnce(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	begun := h.beginRegistration(t, Registering{UserID: "user-a", Username: "alice", New: true})
	response := create(t, a, begun)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := h.FinishRegistration(context.Background(), Registration{Origin: origin, ChallengeID: begun.ChallengeID, Response: response}); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got in", won.Load())
	}
}

// Whatever is wrong with an answer, its ceremony cannot be tried a second time.
func TestFailedTrySpends(t *testing.T) {
	for _, c := range []struct {
		name     string
		response []byte
	}{
		{"nothing", nil},
		{"no JSON", []byte("{")},
		{"null", []byte("null")},
		{"an array", []byte("[]")},
		{"oversized", append(bytes.Repeat([]byte(" "), MaxResponse), "{}"...)},
		{"empty", []byte("{}")},
		{"null members", []byte(`{"id":null,"rawId":null,"type":null,"response":null,"clientExtensionResults":null}`)},
		{"members of other types", []byte(`{"id":1,"rawId":{},"type":[],"response":"x"}`)},
		{"nothing in the response", []byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			begun := h.beginRegistration(t, Registering{UserID: "user-a", Username: "alice", New: true})
			good := create(t, a, begun)
			for _, try := range []struct {
				response []byte
				want     error
			}{{c.response, ErrInvalidAttestation}, {good, authcore.ErrChallengeNotFound}} {
				done, err := h.FinishRegistration(t.Context(), Registration{Origin: origin, ChallengeID: begun.ChallengeID, Response: try.response})
				if !errors.Is(err, try.want) {
					t.Errorf("%+v, %v, want %v", done, err, try.want)
				}
			}
			h.account(t, a)
			begun = h.beginAuthentication(t, Authenticating{})
			good = get(t, a, begun)
			if done, err := h.finish(t, begun, c.response); !errors.Is(err, ErrInvalidAssertion) {
				t.Errorf("%+v, %v", done, err)
			}
			if done, err := h.finish(t, begun, good); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// Ceremonies do not travel: not from one site to another, not from one user to another, not from one kind to another.
// The library accepts the response of one kind for the session of another.
func TestAuthenticationBinding(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  Authenticating
		finish Authentication
	}{
		{"other origin", Authenticating{Origin: "https://b.example.com"}, Authentication{Origin: origin}},
		{"other port", Authenticating{Origin: origin + ":8443"}, Authentication{Origin: origin}},
		{"other user", Authenticating{Origin: origin, Subject: "mallory"}, Authentication{Origin: origin, Subject: "user-a"}},
		{"begun signed in, finished signed out", Authenticating{Origin: origin, Subject: "user-a"}, Authentication{Origin: origin}},
		{"begun signed out, finished signed in", Authenticating{Origin: origin}, Authentication{Origin: origin, Subject: "user-a"}},
		{"sign-in as step-up", Authenticating{Origin: origin, Subject: "user-a"}, Authentication{Origin: origin, Subject: "user-a", StepUp: true}},
		{"step-up as sign-in", Authenticating{Origin: origin, Subject: "user-a", StepUp: true}, Authentication{Origin: origin, Subject: "user-a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			h.RPID = "example.com"
			h.account(t, a)
			begun := h.beginAuthentication(t, c.begin)
			c.finish.ChallengeID, c.finish.Response = begun.ChallengeID, get(t, a, begun)
			if done, err := h.FinishAuthentication(t.Context(), c.finish); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
	t.Run("registration as sign-in", func(t *testing.T) {
		h, a := newHouse(t), &passkeytest.Authenticator{}
		c := h.account(t, a)
		begun := h.beginRegistration(t, Registering{UserID: "user-b", New: true})
		var o struct{ PublicKey struct{ Challenge string } }
		if err := json.Unmarshal(begun.Options, &o); err != nil {
			t.Fatal(err)
		}
		response, err := a.Assert(a.Credentials[0], o.PublicKey.Challenge, origin)
		if err != nil {
			t.Fatal(err)
		}
		if done, err := h.finish(t, begun, response); !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%s: %+v, %v", c.UserID, done, err)
		}
	})
}

// The same for registrations: a passkey must not come to another account.
func TestRegistrationBinding(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  Registering
		finish Registration
	}{
		{"other origin", Registering{Origin: "https://b.example.com", New: true}, Registration{Origin: origin}},
		{"other user", Registering{Origin: origin, Subject: "user-a"}, Registration{Origin: origin, Subject: "user-b"}},
		{"begun signed in, finished signed out", Registering{Origin: origin, Subject: "user-a"}, Registration{Origin: origin}},
		{"begun signed out, finished signed in", Registering{Origin: origin, New: true}, Registration{Origin: origin, Subject: "user-a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			h.RPID = "example.com"
			c.begin.UserID = "user-a"
			begun := h.beginRegistration(t, c.begin)
			c.finish.ChallengeID, c.finish.Response = begun.ChallengeID, create(t, a, begun)
			if done, err := h.FinishRegistration(t.Context(), c.finish); !errors.Is(err, authcore.ErrChallengeNotFound) {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
	t.Run("sign-in as registration", func(t *testing.T) {
		h, a := newHouse(t), &passkeytest.Authenticator{}
		begun := h.beginAuthentication(t, Authenticating{})
		options := strings.Replace(string(begun.Options), `"rpId":"app.example.com"`, `"rp":{"id":"app.example.com"},"user":{"id":"AAAA"}`, 1)
		response, err := a.Create([]byte(options), origin)
		if err != nil {
			t.Fatal(err)
		}
		done, err := h.FinishRegistration(t.Context(), Registration{Origin: origin, ChallengeID: begun.ChallengeID, Response: response})
		if !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// Somebody who is signed in begins a registration for somebody else's account.
func TestRegistrationForAnotherAccount(t *testing.T) {
	h := newHouse(t)
	for _, r := range []Registering{
		{Origin: origin, Subject: "mallory", UserID: "alice"},
		{Origin: origin, Subject: "mallory", UserID: "mallory", New: true},
		{Origin: origin},
	} {
		if begun, err := h.BeginRegistration(t.Context(), r); err == nil {
			t.Errorf("%+v: %s", r, begun.Options)
		}
	}
}

// A reload changes the relying party between the two parts.
func TestRelyingPartyChanged(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	begun := h.beginAuthentication(t, Authenticating{})
	response := get(t, a, begun)
	h.RPID = "example.com"
	if done, err := h.finish(t, begun, response); !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Errorf("%+v, %v", done, err)
	}
}

// Two sites of one realm have a relying party each: a passkey of one is none of the other, not even by the key that was
// registered.
func TestPasskeyOfAnotherRelyingParty(t *testing.T) {
	const other = "https://b.example.net"
	h, a := newHouse(t), &passkeytest.Authenticator{}
	c := h.account(t, a)
	for _, try := range []Authenticating{{Origin: other}, {Origin: other, Username: "user-a", UserID: "user-a"}} {
		begun := h.beginAuthentication(t, try)
		if strings.Contains(string(begun.Options), c.Key) {
			t.Errorf("offered: %s", begun.Options)
		}
		a.Credentials[0].RPID = "b.example.net" // what an authenticator would never do
		response, err := a.Assert(a.Credentials[0], challengeOf(t, begun), other)
		if err != nil {
			t.Fatal(err)
		}
		done, err := h.FinishAuthentication(t.Context(), Authentication{Origin: other, ChallengeID: begun.ChallengeID, Response: response})
		if !errors.Is(err, ErrInvalidAssertion) {
			t.Errorf("%+v, %v", done, err)
		}
	}
}

func challengeOf(tb testing.TB, begun Begun) string {
	tb.Helper()
	var o struct{ PublicKey struct{ Challenge string } }
	if err := json.Unmarshal(begun.Options, &o); err != nil {
		tb.Fatal(err)
	}
	return o.PublicKey.Challenge
}

// An answer that comes too late says so, also after a store cleaned the ceremony up; one moment earlier it is good.
func TestExpired(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		cleaned bool
		want    error
	}{
		{"in time", 5*time.Minute - time.Millisecond, false, nil},
		{"too late", 5 * time.Minute, false, authcore.ErrChallengeExpired},
		{"cleaned up", 5 * time.Minute, true, authcore.ErrChallengeExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			h.account(t, a)
			begun, registration := h.beginAuthentication(t, Authenticating{}), h.beginRegistration(t, Registering{UserID: "user-b", New: true})
			if want := h.now.Add(5 * time.Minute); !begun.Expires.Equal(want) {
				t.Errorf("expires %s, want %s", begun.Expires, want)
			}
			response, made := get(t, a, begun), create(t, a, registration)
			h.now = h.now.Add(c.after)
			if c.cleaned {
				if n, err := h.Challenges.DeleteExpiredChallenges(t.Context(), h.now); n != 2 || err != nil {
					t.Fatal(n, err)
				}
			}
			if done, err := h.finish(t, begun, response); !errors.Is(err, c.want) {
				t.Errorf("%+v, %v", done, err)
			}
			done, err := h.FinishRegistration(t.Context(), Registration{Origin: origin, ChallengeID: registration.ChallengeID, Response: made})
			if !errors.Is(err, c.want) {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// The id of a ceremony carries its time in the clear. To change it is to name no ceremony at all.
func TestForgedTime(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	begun := h.beginAuthentication(t, Authenticating{})
	response := get(t, a, begun)
	h.now = h.now.Add(time.Hour)
	raw, err := base64.RawURLEncoding.DecodeString(begun.ChallengeID)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-6]++
	for _, id := range []string{base64.RawURLEncoding.EncodeToString(raw), "", "1", begun.ChallengeID[1:], begun.ChallengeID + "A", "!" + begun.ChallengeID[1:]} {
		done, err := h.FinishAuthentication(t.Context(), Authentication{Origin: origin, ChallengeID: id, Response: response})
		if !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%q: %+v, %v", id, done, err)
		}
	}
}

// A ceremony that another version of this program wrote is no server error: the user starts again.
func TestCeremonyOfAnotherVersion(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	for _, data := range []string{"", "{}", "null", `{"session":7}`} {
		begun := h.beginAuthentication(t, Authenticating{})
		id := authcore.HashSecret(begun.ChallengeID)
		binding := authcore.Binding{Purpose: authcore.PurposePasskeyAuthentication, Origin: origin}
		c, err := h.Challenges.ConsumeChallenge(t.Context(), id, binding, h.now)
		if err != nil {
			t.Fatal(err)
		}
		c.Data = []byte(data)
		if err := h.Challenges.CreateChallenge(t.Context(), c, h.now); err != nil {
			t.Fatal(err)
		}
		if done, err := h.finish(t, begun, get(t, a, begun)); !errors.Is(err, authcore.ErrChallengeExpired) {
			t.Errorf("%q: %+v, %v", data, done, err)
		}
	}
}

// Somebody else who sits at the device steps up with a passkey of their own.
func TestStepUpByAnotherUser(t *testing.T) {
	h := newHouse(t)
	alice, mallory := &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	h.account(t, alice)
	h.account(t, mallory)
	for _, a := range []*passkeytest.Authenticator{alice, mallory} {
		begun := h.beginAuthentication(t, Authenticating{Subject: "user-a", StepUp: true})
		response, err := a.Assert(a.Credentials[0], challengeOf(t, begun), origin)
		if err != nil {
			t.Fatal(err)
		}
		done, err := h.FinishAuthentication(t.Context(), Authentication{
			Origin: origin, Subject: "user-a", ChallengeID: begun.ChallengeID, Response: response, StepUp: true,
		})
		if a == alice {
			if err != nil || done.UserID != "user-a" {
				t.Errorf("%+v, %v", done, err)
			}
			continue
		}
		if !errors.Is(err, ErrInvalidAssertion) || errors.Is(err, ErrUnknownCredential) {
			t.Errorf("%+v, %v", done, err)
		}
	}
}

// A stolen security key without its PIN: enough for a sign-in where verification is preferred only, not to step up.
func TestStepUpWithoutVerification(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.UserVerification = VerificationPreferred
	h.account(t, a)
	a.Unverified = true
	if done, err := h.signIn(t, a); err != nil || done.Evidence.UserVerified {
		t.Errorf("%+v, %v", done, err)
	}
	begun := h.beginAuthentication(t, Authenticating{Subject: "user-a", StepUp: true})
	done, err := h.FinishAuthentication(t.Context(), Authentication{
		Origin: origin, Subject: "user-a", ChallengeID: begun.ChallengeID, Response: get(t, a, begun), StepUp: true,
	})
	if !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestStepUpWithoutPasskey(t *testing.T) {
	h := newHouse(t)
	if begun, err := h.BeginAuthentication(t.Context(), Authenticating{Origin: origin, Subject: "nobody", StepUp: true}); !errors.Is(err, ErrNoPasskey) {
		t.Errorf("%s, %v", begun.Options, err)
	}
	if begun, err := h.BeginAuthentication(t.Context(), Authenticating{Origin: origin, StepUp: true}); err == nil {
		t.Errorf("%s", begun.Options)
	}
}

// A passkey of the right user that was not asked for: made between the two parts, say.
func TestPasskeyThatWasNotListed(t *testing.T) {
	h, a, late := newHouse(t), &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	h.account(t, a)
	begun := h.beginAuthentication(t, Authenticating{Username: "user-a", UserID: "user-a"})
	h.addPasskey(t, late, "user-a")
	response, err := late.Assert(late.Credentials[0], challengeOf(t, begun), origin)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := h.finish(t, begun, response); !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

// addPasskey adds a passkey of a to an account.
func (h *house) addPasskey(tb testing.TB, a *passkeytest.Authenticator, userID string) authcore.Credential {
	tb.Helper()
	begun := h.beginRegistration(tb, Registering{UserID: userID, Subject: userID, Username: userID})
	done, err := h.FinishRegistration(tb.Context(), Registration{
		Origin: origin, Subject: userID, ChallengeID: begun.ChallengeID, Response: create(tb, a, begun),
	})
	if err != nil {
		tb.Fatal(err)
	}
	c := done.Credential
	c.ID = "credential-" + c.Key
	if err := h.store.AddCredential(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Another passkey of the list is deleted meanwhile; the library would refuse all of them for it.
func TestListedPasskeyDeletedMeanwhile(t *testing.T) {
	h, a, old := newHouse(t), &passkeytest.Authenticator{}, &passkeytest.Authenticator{}
	h.account(t, a)
	c := h.addPasskey(t, old, "user-a")
	begun := h.beginAuthentication(t, Authenticating{Username: "user-a", UserID: "user-a"})
	if err := h.store.DeleteCredential(t.Context(), "user-a", c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.finish(t, begun, get(t, a, begun)); err != nil {
		t.Error(err)
	}
}

// A passkey that was deleted signs nobody in, and only where none were named the page learns that it is unknown.
func TestDeletedPasskey(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	c := h.account(t, a)
	h.addPasskey(t, &passkeytest.Authenticator{}, "user-a")
	discoverable := h.beginAuthentication(t, Authenticating{})
	named := h.beginAuthentication(t, Authenticating{Username: "user-a", UserID: "user-a"})
	if err := h.store.DeleteCredential(t.Context(), "user-a", c.ID); err != nil {
		t.Fatal(err)
	}
	if done, err := h.finish(t, discoverable, get(t, a, discoverable)); !errors.Is(err, ErrUnknownCredential) || !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := h.finish(t, named, get(t, a, named)); errors.Is(err, ErrUnknownCredential) || !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

// No error repeats a challenge or the id of a ceremony: it would end up in logs, and what the library tells developers
// would end up in answers.
func TestErrorsTellNoSecrets(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	for name, twist := range map[string]passkeytest.Twist{
		"challenge": {ClientData: func(m map[string]any) { m["challenge"] = "AAAA" }},
		"type":      {ClientData: func(m map[string]any) { m["type"] = m["challenge"] }},
		"origin":    {ClientData: func(m map[string]any) { m["origin"] = "https://x\n" + strings.Repeat("y", 1000) }},
		"top":       {ClientData: func(m map[string]any) { m["topOrigin"] = m["challenge"] }},
		"lines":     {ClientData: set("tokenBinding", map[string]any{"status": "x\ny"})},
		"hash":      {AuthData: func(b []byte) []byte { b[0]++; return b }},
		"signature": {Signature: func(b []byte) []byte { b[9]++; return b }},
	} {
		a.Twist = twist
		begun := h.beginAuthentication(t, Authenticating{})
		_, err := h.finish(t, begun, get(t, a, begun))
		if !errors.Is(err, ErrInvalidAssertion) {
			t.Fatalf("%s: %v", name, err)
		}
		text := fmt.Sprintf("%v %+v", err, err)
		if strings.Contains(text, challengeOf(t, begun)) || strings.Contains(text, begun.ChallengeID) || strings.ContainsAny(text, "\n\r") || len(text) > 1000 {
			t.Errorf("%s: %s", name, text)
		}
	}
}
