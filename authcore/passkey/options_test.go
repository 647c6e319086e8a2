package passkey

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func TestCreationOptions(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Transports: []string{"usb"}}
	h.Rand = strings.NewReader(strings.Repeat("r", 1000))
	h.RPID, h.RPName = "example.com", "Example"
	// A wallet of the same user is none of the passkeys to exclude.
	stored := h.account(t, a)
	wallet := authcore.Credential{ID: "w", UserID: "user-a", Kind: authcore.Wallet, Key: "0x52908400098527886E0F7030069857D2E4169EE7"}
	if err := h.store.AddCredential(t.Context(), wallet); err != nil {
		t.Fatal(err)
	}
	begun := h.beginRegistration(t, Registering{UserID: "user-a", Subject: "user-a", Username: "alice"})
	const want = `{"publicKey":{"rp":{"name":"Example","id":"example.com"},` +
		`"user":{"name":"alice","displayName":"alice","id":"s6BlIstfu4gvQhhwnaVuX48k5DexZ6-aI5YABLZd2IBx-M3ppEyooGfiypOQCQ_cMS0yOOt56bfZAnXQMDtwgg"},` +
		`"challenge":"cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI",` +
		`"pubKeyCredParams":[{"type":"public-key","alg":-8},{"type":"public-key","alg":-7},{"type":"public-key","alg":-257}],` +
		`"timeout":285000,"excludeCredentials":[{"type":"public-key","id":"KEY","transports":["usb"]}],` +
		`"authenticatorSelection":{"requireResidentKey":true,"residentKey":"required","userVerification":"required"},` +
		`"attestation":"none","extensions":{"credProps":true}}}`
	if got := strings.Replace(string(begun.Options), stored.Key, "KEY", 1); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	if _, err := a.Create(begun.Options, origin); err != passkeytest.ErrExcluded {
		t.Errorf("a second passkey on one authenticator: %v", err)
	}
	h.Attestation, h.UserVerification, h.TTL = AttestationDirect, VerificationPreferred, time.Minute
	begun = h.beginRegistration(t, Registering{UserID: "user-b", Username: "bob", DisplayName: "Bob", New: true})
	for _, part := range []string{`"attestation":"direct"`, `"userVerification":"preferred"`, `"timeout":57000`, `"displayName":"Bob"`} {
		if !bytes.Contains(begun.Options, []byte(part)) {
			t.Errorf("%s lacks %s", begun.Options, part)
		}
	}
}

func TestRequestOptions(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	for _, c := range []struct {
		name, want string
		who        Authenticating
	}{
		{"discoverable", `"userVerification":"preferred"`, Authenticating{}},
		{"named", `"allowCredentials":[{"type":"public-key","id":"KEY","transports":["internal"]}],"userVerification":"preferred"`, Authenticating{Username: "user-a", UserID: "user-a"}},
		{"step-up", `"allowCredentials":[{"type":"public-key","id":"KEY","transports":["internal"]}],"userVerification":"required"`, Authenticating{Subject: "user-a", StepUp: true}},
	} {
		h.UserVerification = VerificationPreferred
		// One read is the challenge, the next the id, of which no two may be the same.
		h.Rand = strings.NewReader(strings.Repeat("r", challenge) + c.name + strings.Repeat("r", idRandom))
		begun := h.beginAuthentication(t, c.who)
		want := `{"publicKey":{"challenge":"cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI","timeout":285000,"rpId":"app.example.com",` + c.want + `}}`
		if got := strings.Replace(string(begun.Options), Key(a.Credentials[0].ID), "KEY", 1); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// One account has one handle, on all instances, and nobody can tell whose it is.
func TestUserHandle(t *testing.T) {
	one := UserHandle("user-a")
	if len(one) != 64 || !bytes.Equal(one, UserHandle("user-a")) || bytes.Equal(one, UserHandle("user-b")) || bytes.Contains(one, []byte("user")) {
		t.Errorf("%x", one)
	}
}

// The id of a ceremony cannot be guessed, and is not stored.
func TestChallengeID(t *testing.T) {
	h := newHouse(t)
	seen := map[string]bool{}
	for range 100 {
		begun := h.beginAuthentication(t, Authenticating{})
		if len(begun.ChallengeID) != 40 || seen[begun.ChallengeID[:32]] || seen[challengeOf(t, begun)] {
			t.Errorf("%+v", begun)
		}
		seen[begun.ChallengeID[:32]], seen[challengeOf(t, begun)] = true, true
	}
	begun := h.beginAuthentication(t, Authenticating{})
	kept, err := h.Challenges.ConsumeChallenge(t.Context(), authcore.HashSecret(begun.ChallengeID), authcore.Binding{
		Purpose: authcore.PurposePasskeyAuthentication, Origin: origin,
	}, h.now)
	if err != nil || bytes.Contains(kept.Data, []byte(begun.ChallengeID)) || !json.Valid(kept.Data) {
		t.Errorf("%s, %v", kept.Data, err)
	}
}
