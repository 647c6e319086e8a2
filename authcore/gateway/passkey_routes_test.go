package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	"github.com/caddy-authgate/authgate/authcore/token"
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
	h.do("POST", "registration/request", `{"invite":"agi_whatever"}`).refused(404, "invite_not_found")
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

// Two people want one name at the same moment, and one person presses a button twice: of many answers to one ceremony,
// or for one name, one opens an account.
func TestRegistrationsAtOnce(t *testing.T) {
	h := build(t, passkeysOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	bodies := make([]string, 20)
	for i := range bodies {
		bodies[i] = h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{"username":"alice"}`), "")
		if i%2 == 1 {
			bodies[i] = bodies[i-1]
		}
	}
	answers := make([]answer, len(bodies))
	var wg sync.WaitGroup
	for i, body := range bodies {
		wg.Go(func() { answers[i] = h.do("POST", "registration/response", body) })
	}
	wg.Wait()
	count := map[int]int{}
	for _, a := range answers {
		count[a.Code]++
	}
	if count[200] != 1 || count[409] != 9 || count[400] != 10 {
		t.Errorf("answers: %v", count)
	}
}

// A passkey that one account has is presented for others, by a client that makes up credential ids: section 7.1 step 26
// of WebAuthn wants them unique over all accounts. In a race one gets it.
func TestCredentialIDIsRegisteredOnce(t *testing.T) {
	h := build(t, passkeysOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	id := bytes.Repeat([]byte{7}, 32)
	bodies := make([]string, 12)
	for i := range bodies {
		a := &passkeytest.Authenticator{Rand: bytes.NewReader(id)}
		bodies[i] = h.created(a, h.begin("registration/request", `{}`), "")
	}
	codes := make([]int, len(bodies))
	var wg sync.WaitGroup
	for i, body := range bodies {
		wg.Go(func() { codes[i] = h.do("POST", "registration/response", body).Code })
	}
	wg.Wait()
	slices.Sort(codes)
	if codes[0] != 200 || codes[1] != 409 {
		t.Errorf("answers: %v", codes)
	}
	h.register(&passkeytest.Authenticator{Rand: bytes.NewReader(id)}, `{}`, "").refused(409, "credential_in_use")
}

func TestSignedInUserAddsAPasskey(t *testing.T) {
	h := build(t, passkeysOn, invited, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{newSigner(1).address()}}}
	})
	cookie := h.signInCookie(newSigner(1))
	h.seen.told = nil
	var a passkeytest.Authenticator
	var made struct {
		Credential struct {
			ID, Name, Kind string
			LastUsed       string `json:"last_used"`
		}
	}
	answer := h.register(&a, `{"username":"ignored"}`, `,"name":"Key","session":"cookie"`, cookie...).ok(&made)
	if made.Credential.ID == "" || made.Credential.Name != "Key" || made.Credential.Kind != "passkey" || made.Credential.LastUsed != "" {
		t.Errorf("answer: %s", answer.Body)
	}
	if _, set := answer.cookie(); set {
		t.Error("the session was replaced")
	}
	if len(h.seen.told) > 0 {
		t.Errorf("observer was told %q, though nobody signed in", h.seen.told)
	}
	var v signedInView
	h.touch(&a, `{}`, "").ok(&v)
	if v.User.ID != h.signedInAs(cookie) || v.User.Username != newSigner(1).address() {
		t.Errorf("user: %+v", v.User)
	}
	// The browser finds the passkey in the list of those to exclude.
	if _, err := a.Create(h.begin("registration/request", `{}`, cookie...).CreationOptions, home); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("a second passkey on the same authenticator: %v", err)
	}
}

// Somebody finds a browser that was left signed in and would like to come back any time.
func TestAddingAPasskeyNeedsAFreshSignIn(t *testing.T) {
	h := build(t, passkeysOn)
	cookie := h.signInCookie(newSigner(1))
	h.now = h.now.Add(5 * time.Minute)
	h.do("POST", "registration/request", `{}`, cookie...).refused(401, "step_up_required")
}

// An access token was stolen; its session ended on another instance, of which this one does not know.
func TestEndedSessionAddsNoPasskey(t *testing.T) {
	h := build(t, passkeysOn)
	tokens := h.signInTokens(newSigner(1))
	var session struct{ Session sessionView }
	h.do("GET", "session", "", tokens.bearer()...).ok(&session)
	body := h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{}`, tokens.bearer()...), "")
	if err := h.store.EndSession(t.Context(), session.Session.ID); err != nil {
		t.Fatal(err)
	}
	h.do("POST", "registration/request", `{}`, tokens.bearer()...).refused(401, "unauthenticated")
	h.do("POST", "registration/response", body, tokens.bearer()...).refused(401, "unauthenticated")
	if c, _ := h.store.CredentialsOf(t.Context(), tokens.User.ID); len(c) != 1 {
		t.Errorf("%d credentials", len(c))
	}
}

// Mallory begins a ceremony for her own account, or for nobody's, and has it finished for somebody else's; or on another
// site; or as one of another kind. Each is good for what it was begun for.
func TestPasskeyCeremonyIsBound(t *testing.T) {
	h := build(t, passkeysOn)
	next := h.neighbour(Site{Origin: "https://b.example.com"})
	var a, b passkeytest.Authenticator
	alice, bob := h.newcomer(&a, "alice"), h.newcomer(&b, "bob")
	registered := func(by *house, headers ...string) func() string {
		return func() string {
			return by.created(new(passkeytest.Authenticator), by.begin("registration/request", `{}`, headers...), "")
		}
	}
	authenticated := func(route string, headers ...string) func() string {
		return func() string { return h.asserted(&a, h.begin(route, `{}`, headers...), "") }
	}
	for _, c := range []struct {
		name    string
		body    func() string
		by      *house
		route   string
		headers []string
	}{
		{"registration begun by one user, finished by another", registered(h, alice.bearer()...), h, "registration/response", bob.bearer()},
		{"registration begun signed in, finished signed out", registered(h, alice.bearer()...), h, "registration/response", nil},
		{"registration begun signed out, finished signed in", registered(h), h, "registration/response", alice.bearer()},
		{"registration begun on another site", registered(next), h, "registration/response", nil},
		{"registration finished as authentication", registered(h), h, "authentication/response", nil},
		{"registration finished as step-up", registered(h, alice.bearer()...), h, "step-up/authentication/response", alice.bearer()},
		{"authentication begun signed out, finished signed in", authenticated("authentication/request"), h, "authentication/response", alice.bearer()},
		{"authentication begun by another user", authenticated("authentication/request", bob.bearer()...), h, "authentication/response", alice.bearer()},
		{"authentication finished on another site", authenticated("authentication/request"), next, "authentication/response", nil},
		{"authentication finished as registration", authenticated("authentication/request"), h, "registration/response", nil},
		{"authentication finished as step-up", authenticated("authentication/request", alice.bearer()...), h, "step-up/authentication/response", alice.bearer()},
		{"step-up finished as authentication", authenticated("step-up/authentication/request", alice.bearer()...), h, "authentication/response", alice.bearer()},
		{"step-up finished by another user", authenticated("step-up/authentication/request", alice.bearer()...), h, "step-up/authentication/response", bob.bearer()},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.body()
			answer := c.by.do("POST", c.route, body, c.headers...)
			answer.t = t
			answer.refused(400, "challenge_not_found")
		})
	}
}

// Whoever saw an answer on its way sends it again; also one that failed.
func TestPasskeyAnswerIsGoodOnce(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	h.newcomer(&a, "alice")
	body := h.asserted(&a, h.begin("authentication/request", `{}`), "")
	h.do("POST", "authentication/response", body).ok(new(signedInView))
	h.do("POST", "authentication/response", body).refused(400, "challenge_not_found")

	b := h.begin("authentication/request", `{}`)
	h.do("POST", "authentication/response", fmt.Sprintf(`{"challengeID":%q,"credential":{}}`, b.ChallengeID)).refused(401, "invalid_assertion")
	h.do("POST", "authentication/response", h.asserted(&a, b, "")).refused(400, "challenge_not_found")
}

// A page at a sibling's origin obtains an assertion, since both are below the relying party.
func TestAssertionOfASibling(t *testing.T) {
	h := build(t, passkeysOn, func(c *RealmConfig, _ *Site) { c.Passkey.RPID = "example.com" })
	var a passkeytest.Authenticator
	h.newcomer(&a, "alice")
	b := h.begin("authentication/request", `{}`)
	response, err := a.Get(b.RequestOptions, "https://evil.example.com")
	if err != nil {
		t.Fatal(err)
	}
	h.do("POST", "authentication/response", fmt.Sprintf(`{"challengeID":%q,"credential":%s}`, b.ChallengeID, response)).refused(401, "invalid_assertion")
	// With one relying party for both sites, the passkey of one is good on the other.
	next := h.neighbour(Site{Origin: "https://b.example.com"})
	next.touch(&a, `{}`, "").ok(new(signedInView))
}

// Names are tried to learn who has an account, or a passkey. Those who have one get the same kind of answer as those who do
// not, at every step and at every try.
func TestWhoHasAPasskeyIsNotTold(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	alice := h.newcomer(&a, "alice")
	wallet := h.signInTokens(newSigner(1)).User
	h.disable(h.newcomer(new(passkeytest.Authenticator), "mallory").User.ID)
	names := []string{"alice", "nobody", wallet.Username, "mallory", strings.Repeat("x", 5000), "a\x00b", "\u0130"}
	for _, name := range names {
		body, _ := json.Marshal(map[string]string{"username": name})
		first, second := h.begin("authentication/request", string(body)), h.begin("authentication/request", string(body))
		if first.ChallengeID == second.ChallengeID || len(first.ChallengeID) != len(second.ChallengeID) {
			t.Errorf("%.20q: challenge ids %q, %q", name, first.ChallengeID, second.ChallengeID)
		}
		ids := allowed(t, first)
		if len(ids) == 0 || !slices.Equal(ids, allowed(t, second)) {
			t.Errorf("%.20q: allowed %q, then %q", name, ids, allowed(t, second))
		}
		if got, want := members(t, first.RequestOptions), members(t, h.begin("authentication/request", `{"username":"alice"}`).RequestOptions); !slices.Equal(got, want) {
			t.Errorf("%.20q: members %q, want %q", name, got, want)
		}
		// An answer with a passkey that was not asked for gets no signal, which would tell that the others are made up.
		stranger := &passkeytest.Authenticator{Credentials: []*passkeytest.Credential{{ID: make([]byte, 32), RPID: "app.example.com", Key: a.Credentials[0].Key}}}
		var o struct{ PublicKey struct{ Challenge string } }
		if err := json.Unmarshal(first.RequestOptions, &o); err != nil {
			t.Fatal(err)
		}
		response, err := stranger.Assert(stranger.Credentials[0], o.PublicKey.Challenge, home)
		if err != nil {
			t.Fatal(err)
		}
		refusal := h.do("POST", "authentication/response", fmt.Sprintf(`{"challengeID":%q,"credential":%s}`, first.ChallengeID, response)).refused(401, "invalid_assertion")
		if strings.Contains(refusal.Body.String(), "signal") {
			t.Errorf("%.20q: %s", name, refusal.Body)
		}
	}
	if ids := allowed(t, h.begin("authentication/request", `{"username":"alice"}`)); !slices.Equal(ids, []string{base64.RawURLEncoding.EncodeToString(a.Credentials[0].ID)}) {
		t.Errorf("alice's: %q of %s", ids, alice.User.ID)
	}
	// Without a name nobody's are listed.
	if ids := allowed(t, h.begin("authentication/request", `{"username":""}`)); len(ids) > 0 {
		t.Errorf("without a name: %q", ids)
	}
}

func allowed(t *testing.T, b begunView) (ids []string) {
	t.Helper()
	var o struct {
		PublicKey struct{ AllowCredentials []struct{ ID string } }
	}
	if err := json.Unmarshal(b.RequestOptions, &o); err != nil {
		t.Fatal(err)
	}
	for _, c := range o.PublicKey.AllowCredentials {
		ids = append(ids, c.ID)
	}
	return ids
}

func members(t *testing.T, options json.RawMessage) []string {
	t.Helper()
	var o struct{ PublicKey json.RawMessage }
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return jsonNames(t, o.PublicKey)
}

// A passkey was deleted here and is still on the device: the page is told, so that it can have it forgotten.
func TestUnknownPasskeyIsSignalled(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	if err := h.store.DeleteUser(t.Context(), v.User.ID); err != nil {
		t.Fatal(err)
	}
	refusal := h.touch(&a, `{}`, "").refused(401, "invalid_assertion")
	var p struct{ Signal string }
	if err := json.Unmarshal(refusal.Body.Bytes(), &p); err != nil || p.Signal != "unknownCredential" {
		t.Errorf("body: %s", refusal.Body)
	}
}

func TestDisabledUserWithAPasskey(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	body := h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{}`, v.bearer()...), "")
	h.disable(v.User.ID)
	h.touch(&a, `{}`, "").refused(403, "account_disabled")
	h.do("POST", "registration/request", `{}`, v.bearer()...).refused(403, "account_disabled")
	h.do("POST", "registration/response", body, v.bearer()...).refused(403, "account_disabled")
	h.prove(&a, v.bearer()...).refused(403, "account_disabled")
}

// A key was copied out of its device, and the copy is used after the original was.
func TestSignCountThatWentBack(t *testing.T) {
	for _, synced := range []bool{false, true} {
		h := build(t, passkeysOn)
		a := &passkeytest.Authenticator{Synced: synced}
		v := h.newcomer(a, "alice")
		a.Credentials[0].SignCount = 99
		h.touch(a, `{}`, "").ok(new(signedInView))
		a.Credentials[0].SignCount = 5
		h.seen.told = nil
		copied := h.touch(a, `{}`, "")
		want := []string{"odd sign_count_went_back", "passkey ok"}
		if synced {
			copied.ok(new(signedInView))
		} else {
			copied.refused(401, "invalid_assertion")
			want = []string{"odd sign_count_refused", "passkey invalid_assertion"}
		}
		if !slices.Equal(h.seen.told, want) {
			t.Errorf("observer was told %q, want %q", h.seen.told, want)
		}
		if log := h.log.String(); !strings.Contains(log, "level=WARN msg=\"odd passkey\"") || !strings.Contains(log, "user="+v.User.ID) || !strings.Contains(log, "was=100 is=6") {
			t.Errorf("log:\n%s", log)
		}
	}
}

// What a sign-in proved decides what it is told to be: see authcore/token.AMR.
func TestEvidenceOfASignIn(t *testing.T) {
	for _, c := range []struct {
		name           string
		authenticator  passkeytest.Authenticator
		uv, bound, mfa bool
	}{
		{"security key", passkeytest.Authenticator{}, true, true, true},
		{"synced", passkeytest.Authenticator{Synced: true}, true, false, true},
		{"security key without PIN", passkeytest.Authenticator{Unverified: true}, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, passkeysOn, func(c *RealmConfig, _ *Site) { c.Passkey.UserVerification = passkey.VerificationPreferred })
			a := &c.authenticator
			var registered, authenticated signedInView
			h.register(a, `{}`, "").ok(&registered)
			h.touch(a, `{}`, "").ok(&authenticated)
			for _, v := range []signedInView{registered, authenticated} {
				got, err := h.realm.issuer.VerifyAccess(t.Context(), v.AccessToken, []string{home})
				if err != nil {
					t.Fatal(err)
				}
				want := []authcore.MethodUse{{Method: authcore.Passkey, Time: h.now, UserVerified: c.uv, DeviceBound: c.bound}}
				if !slices.Equal(got.Identity.Methods, want) {
					t.Errorf("methods %+v, want %+v", got.Identity.Methods, want)
				}
				if slices.Contains(token.AMR(got.Identity.Methods), "mfa") != c.mfa {
					t.Errorf("amr %q", token.AMR(got.Identity.Methods))
				}
			}
		})
	}
	// Where it is required, nobody signs in without.
	h := build(t, passkeysOn)
	h.register(&passkeytest.Authenticator{Unverified: true}, `{}`, "").refused(400, "invalid_attestation")
}

// The limit is one for all routes that begin or finish a sign-in: a client does not get as many tries at each.
func TestPasskeyRoutesShareTheRateLimit(t *testing.T) {
	h := build(t, passkeysOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Count = 9 })
	for _, sub := range []string{
		"registration/request", "registration/response", "authentication/request", "authentication/response", "challenge/create",
		"step-up/authentication/request", "step-up/authentication/response", "step-up/challenge/create", "step-up/challenge/sign",
	} {
		if a := h.do("POST", sub, `{}`); a.Code == 429 {
			t.Errorf("%s: too early", sub)
		}
		h.realm.RateLimit.Count-- // so that each of them is the one that counts
	}
	for sub := range h.gateway.routes {
		if strings.Contains(sub, "registration/") || strings.Contains(sub, "authentication/") || strings.Contains(sub, "challenge/") {
			h.do("POST", sub, `{}`).refused(429, "too_many_requests")
		}
	}
}

func TestPasskeysThatAreOffAreNotThere(t *testing.T) {
	for _, h := range []*house{
		build(t),
		build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.Methods = []authcore.Method{authcore.Wallet} }),
	} {
		for _, sub := range []string{
			"registration/request", "registration/response", "authentication/request", "authentication/response",
			"step-up/authentication/request", "step-up/authentication/response",
		} {
			h.do("POST", sub, `{}`).refused(404, "not_found")
		}
	}
}

// A store fails at each step in turn: nobody gets in, nothing internal is told.
func TestPasskeysWhileAStoreIsDown(t *testing.T) {
	for _, c := range []struct {
		route   string
		methods []string
	}{
		{"registration/response", []string{"CountAttempt", "ConsumeChallenge", "CreateUser", "CreateSession"}},
		{"authentication/response", []string{"CountAttempt", "ConsumeChallenge", "CredentialByKey", "UpdateCredential", "User", "CreateSession"}},
		{"registration/request", []string{"CountAttempt", "CreateChallenge"}},
		{"authentication/request", []string{"CountAttempt", "CreateChallenge", "UserByUsername", "CredentialsOf"}},
	} {
		for _, method := range c.methods {
			t.Run(c.route+" "+method, func(t *testing.T) {
				h := build(t, passkeysOn)
				var a passkeytest.Authenticator
				h.newcomer(&a, "alice")
				body := `{"username":"alice"}`
				switch c.route {
				case "registration/response":
					body = h.created(new(passkeytest.Authenticator), h.begin("registration/request", `{}`), `,"session":"cookie"`)
				case "authentication/response":
					body = h.asserted(&a, h.begin("authentication/request", `{}`), `,"session":"cookie"`)
				case "registration/request":
					body = `{}`
				}
				h.faults.breakDown(method)
				refusal := h.do("POST", c.route, body).refused(503, "unavailable")
				if _, set := refusal.cookie(); set || strings.Contains(refusal.Body.String(), "10.9.8.7") {
					t.Errorf("answer: %v %s", refusal.Header(), refusal.Body)
				}
			})
		}
	}
}
