package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func TestPasskeyRegistersAndSignsIn(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	begun := h.begin("registration/request", `{"username":"Alice"}`)
	if !strings.Contains(string(begun.CreationOptions), `"publicKey":{`) || begun.RequestOptions != nil {
		t.Fatalf("begun: %+v", begun)
	}
	var v signedInView
	answer := h.do("POST", "registration/response", h.created(&a, begun, `,"session":"cookie","return_to":"/x","name":" My phone "`)).ok(&v)
	if v.User.Username != "alice" || v.ReturnTo != "/x" || !slices.Equal(v.User.Methods, []authcore.Method{authcore.Passkey}) {
		t.Errorf("answer: %s", answer.Body)
	}
	pair, _ := answer.cookie()
	if h.signedInAs([]string{"Cookie", pair}) != v.User.ID {
		t.Error("the cookie is not good")
	}
	for _, body := range []string{`{}`, `{"username":"ALICE"}`, `{"username":null}`} {
		var again signedInView
		h.touch(&a, body, "").ok(&again)
		if again.User.ID != v.User.ID || h.signedInAs(again.bearer()) != v.User.ID {
			t.Errorf("%s: %+v", body, again.User)
		}
	}
	if want := []string{"passkey ok", "passkey ok", "passkey ok", "passkey ok"}; !slices.Equal(h.seen.told, want) {
		t.Errorf("observer was told %q, want %q", h.seen.told, want)
	}
	c, err := h.store.CredentialsOf(t.Context(), v.User.ID)
	if err != nil || len(c) != 1 || c[0].Name != "My phone" || c[0].ID == "" || c[0].LastUsed.IsZero() {
		t.Errorf("stored: %+v, %v", c, err)
	}
}

// A username that nobody chose cannot be guessed, and is one that could have been chosen.
func TestUsernameThatIsMade(t *testing.T) {
	h := build(t, passkeysOn)
	seen := map[string]bool{}
	for range 20 {
		var v signedInView
		h.register(new(passkeytest.Authenticator), `{}`, "").ok(&v)
		name := v.User.Username
		if !strings.HasPrefix(name, "user-") || len(name) != 13 || !authcore.ValidUsername(name) || seen[name] {
			t.Errorf("username %q", name)
		}
		seen[name] = true
	}
}

func TestRegistrationRequestRefusals(t *testing.T) {
	h := build(t, passkeysOn)
	for _, c := range []struct{ name, body, code string }{
		{"space in the username", `{"username":"a b"}`, "invalid_username"},
		{"address for a username", `{"username":"0x52908400098527886E0F7030069857D2E4169EE7"}`, "invalid_username"},
		{"e-mail for a username", `{"username":"a@example.com"}`, "invalid_username"},
		{"username of 65 characters", `{"username":"` + strings.Repeat("a", 65) + `"}`, "invalid_username"},
		{"letter that looks like another", `{"username":"\u0430lice"}`, "invalid_username"},
		{"username of another type", `{"username":1}`, "invalid_request"},
		{"invite of another type", `{"invite":[]}`, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.do("POST", "registration/request", c.body)
			a.t = t
			a.refused(400, c.code)
		})
	}
}

func TestPasskeyRegistrationIsClosed(t *testing.T) {
	h := build(t, passkeysOn, invited)
	h.do("POST", "registration/request", `{"username":"alice"}`).refused(403, "registration_closed")
	h.do("POST", "registration/request", `{"invite":"agi_whatever"}`).refused(403, "registration_closed")
}

// Registration is closed by a reload while somebody has the options already.
func TestRegistrationClosesMeanwhile(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	body := h.created(&a, h.begin("registration/request", `{"username":"alice"}`), "")
	h.realm.OpenRegistration = false
	h.do("POST", "registration/response", body).refused(403, "registration_closed")
	if _, err := h.store.UserByUsername(t.Context(), "alice"); err == nil {
		t.Error("an account was opened")
	}
}

func TestPasskeyResponseRefusals(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	h.newcomer(&a, "alice")
	bad := &passkeytest.Authenticator{Twist: passkeytest.Twist{Signature: func(sig []byte) []byte { sig[len(sig)-1] ^= 1; return sig }}}
	for _, c := range []struct {
		name, route string
		body        func() string
		status      int
		code        string
	}{
		{"registration nobody began", "registration/response", func() string { return `{"challengeID":"x","credential":{}}` }, 400, "challenge_not_found"},
		{"registration without credential", "registration/response", func() string { return `{"challengeID":"x"}` }, 400, "invalid_request"},
		{"registration with text for a credential", "registration/response", func() string { return `{"challengeID":"x","credential":"{}"}` }, 400, "invalid_request"},
		{"registration with null for a credential", "registration/response", func() string { return `{"challengeID":"x","credential":null}` }, 400, "invalid_request"},
		{"registration with a long name", "registration/response", func() string {
			return `{"challengeID":"x","credential":{},"name":"` + strings.Repeat("n", 65) + `"}`
		}, 400, "invalid_request"},
		{"registration with a name that turns text around", "registration/response", func() string {
			return `{"challengeID":"x","credential":{},"name":"a\u202eb"}`
		}, 400, "invalid_request"},
		{"registration with an empty credential", "registration/response", func() string {
			return `{"challengeID":"` + h.begin("registration/request", `{}`).ChallengeID + `","credential":{}}`
		}, 400, "invalid_attestation"},
		{"assertion sent to registration", "registration/response", func() string {
			b, begun := h.begin("authentication/request", `{}`), h.begin("registration/request", `{}`)
			b.ChallengeID = begun.ChallengeID
			return h.asserted(&a, b, "")
		}, 400, "invalid_attestation"},
		{"authentication nobody began", "authentication/response", func() string { return `{"challengeID":"x","credential":{}}` }, 400, "challenge_not_found"},
		{"authentication without id", "authentication/response", func() string { return `{"credential":{}}` }, 400, "invalid_request"},
		{"authentication with an empty credential", "authentication/response", func() string {
			return `{"challengeID":"` + h.begin("authentication/request", `{}`).ChallengeID + `","credential":{}}`
		}, 401, "invalid_assertion"},
		{"attestation sent to authentication", "authentication/response", func() string {
			b, begun := h.begin("registration/request", `{}`), h.begin("authentication/request", `{}`)
			b.ChallengeID = begun.ChallengeID
			return h.created(new(passkeytest.Authenticator), b, "")
		}, 401, "invalid_assertion"},
		{"bad signature", "authentication/response", func() string {
			bad.Credentials = a.Credentials
			return h.asserted(bad, h.begin("authentication/request", `{}`), "")
		}, 401, "invalid_assertion"},
		{"a session of another kind", "authentication/response", func() string {
			return h.asserted(&a, h.begin("authentication/request", `{}`), `,"session":"forever"`)
		}, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.body()
			h.seen.told = nil
			answer := h.do("POST", c.route, body)
			answer.t = t
			answer.refused(c.status, c.code)
			if _, set := answer.cookie(); set {
				t.Error("a cookie was set")
			}
			if want := []string{"passkey " + c.code}; !slices.Equal(h.seen.told, want) {
				t.Errorf("observer was told %q, want %q", h.seen.told, want)
			}
		})
	}
}

func TestPasskeyCeremonyExpires(t *testing.T) {
	for _, cleaned := range []bool{false, true} {
		h := build(t, passkeysOn)
		var a passkeytest.Authenticator
		h.newcomer(&a, "alice")
		register := h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{}`), "")
		authenticate := h.asserted(&a, h.begin("authentication/request", `{}`), "")
		h.now = h.now.Add(5 * time.Minute)
		if cleaned {
			h.now = h.now.Add(time.Hour)
			if err := h.realm.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		h.do("POST", "registration/response", register).refused(408, "challenge_expired")
		h.do("POST", "authentication/response", authenticate).refused(408, "challenge_expired")
	}
}

func TestUsernameThatSomebodyHas(t *testing.T) {
	h := build(t, passkeysOn)
	alice := h.newcomer(new(passkeytest.Authenticator), "alice")
	// Nobody learns by asking who has an account; who went through the ceremony is told.
	body := h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{"username":"aLICE"}`), "")
	h.do("POST", "registration/response", body).refused(409, "username_taken")
	if u, err := h.store.UserByUsername(t.Context(), "alice"); err != nil || u.ID != alice.User.ID {
		t.Errorf("alice is %+v, %v", u, err)
	}
}
