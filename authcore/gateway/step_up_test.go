package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// strict wants a fresh passkey below /vault, and something fresh below /desk.
func strict(_ *RealmConfig, s *Site) {
	s.Rules = []policy.Rule{
		{SignedIn: true, Paths: []string{"/vault"}, With: []authcore.Method{authcore.Passkey}, Within: time.Minute},
		{SignedIn: true, Paths: []string{"/desk"}, Within: time.Minute},
	}
}

// visit asks for a page of the backend, which answers 418.
func (h *house) visit(path string, headers []string) answer {
	h.t.Helper()
	r := httptest.NewRequest("GET", h.gateway.origin.text+path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return h.serve(r)
}

// steppedUpView is how a step-up ends.
type steppedUpView struct {
	Session     sessionView
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
}

// account makes a user with a wallet and a passkey, signed in with the wallet a while ago.
func (h *house) account(a *passkeytest.Authenticator) (tokens signedInView, cookie []string) {
	h.t.Helper()
	tokens, cookie = h.signInTokens(newSigner(1)), h.signInCookie(newSigner(1))
	h.register(a, `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	h.now = h.now.Add(2 * time.Minute)
	return tokens, cookie
}

func TestProgramStepsUp(t *testing.T) {
	h := build(t, passkeysOn, strict)
	var a passkeytest.Authenticator
	tokens, _ := h.account(&a)
	h.visit("/vault", tokens.bearer()).refused(401, "step_up_required")
	var v steppedUpView
	answer := h.prove(&a, tokens.bearer()...).ok(&v)
	if v.TokenType != "Bearer" || v.ExpiresIn != 300 || v.Session.AuthTime != timestamp(h.now) ||
		!slices.Equal(v.Session.Methods, []authcore.Method{authcore.Wallet, authcore.Passkey}) {
		t.Errorf("answer: %s", answer.Body)
	}
	for _, path := range []string{"/vault", "/desk"} {
		if a := h.visit(path, []string{"Authorization", "Bearer " + v.AccessToken}); a.Code != 418 {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	// The access token from before says what it said, and is good for what it was; so is the refresh token.
	h.visit("/vault", tokens.bearer()).refused(401, "step_up_required")
	if h.signedInAs(tokens.bearer()) == "" {
		t.Error("the old access token is void")
	}
	var next signedInView
	h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken)).ok(&next)
	if a := h.visit("/vault", next.bearer()); a.Code != 418 {
		t.Errorf("refreshed: %d", a.Code)
	}
	if !slices.Equal(next.User.Methods, v.Session.Methods) {
		t.Errorf("methods %q", next.User.Methods)
	}
	// Evidence ages.
	h.now = h.now.Add(time.Minute + time.Second)
	h.visit("/vault", next.bearer()).refused(401, "step_up_required")
}

// Beside the answer that carries the new cookie, requests with the old one are on their way, and a renewal that began
// before the step-up may even answer after it. Whatever cookie of the session arrives, the new evidence counts.
func TestBrowserStepsUp(t *testing.T) {
	h := build(t, passkeysOn, strict, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	next := h.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com", Rules: h.gateway.site.Rules})
	var a passkeytest.Authenticator
	_, cookie := h.account(&a)
	secret, _, _ := strings.Cut(cookie[1], ".")
	bare := []string{"Cookie", secret + "."} // as where the access token is too large for a cookie
	for _, by := range []*house{h, next} {
		by.visit("/vault", cookie).refused(401, "step_up_required")
		by.visit("/vault", bare).refused(401, "step_up_required")
	}
	var v steppedUpView
	answer := h.prove(&a, cookie...).ok(&v)
	pair, set := answer.cookie()
	if !set || v.AccessToken != "" {
		t.Fatalf("answer: %v %s", answer.Header(), answer.Body)
	}
	if !strings.HasPrefix(pair, secret) {
		t.Error("another session")
	}
	for _, by := range []*house{h, next} {
		for name, cookie := range map[string][]string{"new": {"Cookie", pair}, "old": cookie, "bare": bare} {
			if a := by.visit("/vault", cookie); a.Code != 418 {
				t.Errorf("%s, %s cookie: %d", by.gateway.origin.text, name, a.Code)
			}
		}
	}
	// Nothing is remembered for longer than access tokens live.
	h.now = h.now.Add(h.realm.AccessToken + time.Minute)
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.realm.State.stepped) > 0 || h.realm.State.any.Load() {
		t.Error("the step-up is still remembered")
	}
}

// With the store gone just after a step-up, an old cookie is as good as it was.
func TestOldCookieAfterAStepUpWhileTheStoreIsDown(t *testing.T) {
	h := build(t, passkeysOn, strict)
	var a passkeytest.Authenticator
	_, cookie := h.account(&a)
	h.prove(&a, cookie...).ok(new(steppedUpView))
	h.faults.breakDown("Session", "UpdateSession")
	if a := h.visit("/x", cookie); a.Code != 418 {
		t.Errorf("answered %d", a.Code)
	}
	h.faults.repair()
	if a := h.visit("/vault", cookie); a.Code != 418 {
		t.Errorf("answered %d", a.Code)
	}
}

func TestStepUpWithAWallet(t *testing.T) {
	h := build(t, passkeysOn, strict)
	s := newSigner(1)
	tokens := h.signInTokens(s)
	h.now = h.now.Add(2 * time.Minute)
	h.visit("/desk", tokens.bearer()).refused(401, "step_up_required")
	begin := func(headers ...string) string {
		var asked struct{ ChallengeMessage string }
		h.do("POST", "step-up/challenge/create", fmt.Sprintf(`{"address":%q,"chainId":1}`, s.address()), headers...).ok(&asked)
		return asked.ChallengeMessage
	}
	var v steppedUpView
	h.do("POST", "step-up/challenge/sign", solution(s, begin(tokens.bearer()...), ""), tokens.bearer()...).ok(&v)
	if a := h.visit("/desk", []string{"Authorization", "Bearer " + v.AccessToken}); a.Code != 418 {
		t.Errorf("answered %d", a.Code)
	}

	// A message to step up signs nobody in, nor the other way round; and each is for whom it was issued to.
	other := h.signInTokens(newSigner(2))
	for _, c := range []struct {
		name, message, route string
		headers              []string
	}{
		{"step-up as sign-in", begin(tokens.bearer()...), "challenge/sign", tokens.bearer()},
		{"sign-in as step-up", h.challenge(s, tokens.bearer()...), "step-up/challenge/sign", tokens.bearer()},
		{"of another user", begin(tokens.bearer()...), "step-up/challenge/sign", other.bearer()},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := h.do("POST", c.route, solution(s, c.message, ""), c.headers...)
			answer.t = t
			answer.refused(404, "challenge_not_found")
		})
	}
	h.do("POST", "step-up/challenge/create", `{"address":"0x12"}`, tokens.bearer()...).refused(400, "invalid_address")
	m := begin(tokens.bearer()...)
	h.now = h.now.Add(time.Minute)
	h.do("POST", "step-up/challenge/sign", solution(s, m, ""), tokens.bearer()...).refused(412, "challenge_expired")
}

// Mallory steps her victim's session up with a wallet of her own, whether it has an account or none.
func TestStepUpWithAWalletOfSomebodyElse(t *testing.T) {
	h := build(t, passkeysOn, strict)
	tokens := h.signInTokens(newSigner(1))
	h.signInTokens(newSigner(66))
	h.now = h.now.Add(2 * time.Minute)
	for _, n := range []byte{66, 67} {
		mallory := newSigner(n)
		var asked struct{ ChallengeMessage string }
		h.do("POST", "step-up/challenge/create", fmt.Sprintf(`{"address":%q}`, mallory.address()), tokens.bearer()...).ok(&asked)
		h.do("POST", "step-up/challenge/sign", solution(mallory, asked.ChallengeMessage, ""), tokens.bearer()...).refused(400, "invalid_signature")
	}
	h.visit("/desk", tokens.bearer()).refused(401, "step_up_required")
	if all, _ := h.store.CredentialsOf(t.Context(), tokens.User.ID); len(all) != 1 {
		t.Errorf("%d credentials", len(all))
	}
}

// Mallory answers the step-up of her victim's session with a passkey of her own.
func TestStepUpWithAPasskeyOfSomebodyElse(t *testing.T) {
	h := build(t, passkeysOn, strict)
	var a, mallorys passkeytest.Authenticator
	tokens, _ := h.account(&a)
	h.newcomer(&mallorys, "mallory")
	b := h.begin("step-up/authentication/request", `{}`, tokens.bearer()...)
	var o struct{ PublicKey struct{ Challenge string } }
	if err := json.Unmarshal(b.RequestOptions, &o); err != nil {
		t.Fatal(err)
	}
	response, err := mallorys.Assert(mallorys.Credentials[0], o.PublicKey.Challenge, home)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"challengeID":%q,"credential":%s}`, b.ChallengeID, response)
	h.do("POST", "step-up/authentication/response", body, tokens.bearer()...).refused(401, "invalid_assertion")
	h.visit("/vault", tokens.bearer()).refused(401, "step_up_required")
}

// Whoever found the device of a signed-in user cannot verify as that user, and steps up nothing; though with
// "preferred" a sign-in would do.
func TestStepUpNeedsUserVerification(t *testing.T) {
	h := build(t, passkeysOn, strict, func(c *RealmConfig, _ *Site) { c.Passkey.UserVerification = passkey.VerificationPreferred })
	a := &passkeytest.Authenticator{Unverified: true}
	tokens, _ := h.account(a)
	h.prove(a, tokens.bearer()...).refused(401, "invalid_assertion")
	var v signedInView
	h.touch(a, `{}`, "").ok(&v)
	h.visit("/vault", v.bearer()).refused(401, "step_up_required")
	h.visit("/desk", v.bearer()).refused(401, "step_up_required")
	if a := h.visit("/x", v.bearer()); a.Code != 418 {
		t.Errorf("answered %d", a.Code)
	}
}

func TestStepUpRefusals(t *testing.T) {
	h := build(t, passkeysOn)
	tokens := h.signInTokens(newSigner(1))
	for _, sub := range []string{
		"step-up/authentication/request", "step-up/authentication/response", "step-up/challenge/create", "step-up/challenge/sign",
	} {
		h.do("POST", sub, `{}`).refused(401, "unauthenticated")
		h.do("POST", sub, `[]`, tokens.bearer()...).refused(400, "invalid_request")
	}
	h.do("POST", "step-up/authentication/request", `{}`, tokens.bearer()...).refused(404, "credential_not_found")
	h.do("POST", "step-up/authentication/request", `{"username":1}`, tokens.bearer()...).refused(400, "invalid_request")
	h.do("POST", "step-up/authentication/response", `{"challengeID":"x","credential":{}}`, tokens.bearer()...).refused(400, "challenge_not_found")

	var a passkeytest.Authenticator
	h.register(&a, `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	body := h.asserted(&a, h.begin("step-up/authentication/request", `{}`, tokens.bearer()...), "")
	h.now = h.now.Add(4 * time.Minute)
	again := h.signInTokens(newSigner(1))
	h.now = h.now.Add(time.Minute)
	h.do("POST", "step-up/authentication/response", body, again.bearer()...).refused(408, "challenge_expired")
}

// The session was ended on another instance while its user stepped up: it does not come back.
func TestEndedSessionStepsUpNothing(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	tokens, _ := h.account(&a)
	body := h.asserted(&a, h.begin("step-up/authentication/request", `{}`, tokens.bearer()...), "")
	all, err := h.store.SessionsOf(t.Context(), tokens.User.ID, h.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if err := h.store.EndSession(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	h.do("POST", "step-up/authentication/response", body, tokens.bearer()...).refused(401, "unauthenticated")
}

// Tokens tell whole seconds: who signs in with a touch and steps up with a PIN within one is verified all the same,
// whichever cookie arrives.
func TestStepUpWithinTheSecondOfTheSignIn(t *testing.T) {
	h := build(t, passkeysOn, strict, func(c *RealmConfig, _ *Site) { c.Passkey.UserVerification = passkey.VerificationPreferred })
	a := &passkeytest.Authenticator{Unverified: true}
	h.newcomer(a, "alice")
	pair, _ := h.touch(a, `{}`, `,"session":"cookie"`).cookie()
	cookie := []string{"Cookie", pair}
	h.visit("/vault", cookie).refused(401, "step_up_required")
	a.Unverified = false
	h.prove(a, cookie...).ok(new(steppedUpView))
	if a := h.visit("/vault", cookie); a.Code != 418 {
		t.Errorf("answered %d", a.Code)
	}
}

// Were a mechanism to say that somebody else answered, the session at hand would get nothing of it.
func TestSessionIsSteppedUpByItsUserOnly(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	access, err := h.realm.issuer.VerifyAccess(t.Context(), tokens.AccessToken, []string{home})
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{identity: access.Identity, via: byBearer}
	w := httptest.NewRecorder()
	err = h.gateway.stepUp(w, httptest.NewRequest("POST", home, http.NoBody), v, "somebody else", authcore.MethodUse{Method: authcore.Password})
	if asError(err).Code != "step_up_required" || w.Body.Len() > 0 {
		t.Errorf("%v, %s", err, w.Body)
	}
	if s, err := h.store.Session(t.Context(), access.Identity.SessionID); err != nil || len(s.Methods) != 1 {
		t.Errorf("methods %+v, %v", s.Methods, err)
	}
}
