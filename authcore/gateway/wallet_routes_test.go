package gateway

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// jsonNames answers the names of a JSON object's members, sorted.
func jsonNames(t *testing.T, b []byte) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func TestChallengeCreate(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.Wallet.Chains = []uint64{10, 1} })
	s := newSigner(1)

	var written struct{ ChallengeMessage, Nonce, ExpiresAt string }
	a := h.do("POST", "challenge/create", fmt.Sprintf(`{"address":%q,"chainId":1}`, strings.ToLower(s.address()))).ok(&written)
	if got := jsonNames(t, a.Body.Bytes()); !slices.Equal(got, []string{"challengeMessage", "expiresAt", "nonce"}) {
		t.Errorf("members with an address: %q", got)
	}
	for _, want := range []string{"app.example.com wants you to sign in", "\n" + s.address() + "\n", "\nChain ID: 1\n", "\nNonce: " + written.Nonce + "\n"} {
		if !strings.Contains(written.ChallengeMessage, want) {
			t.Errorf("message has no %q:\n%s", want, written.ChallengeMessage)
		}
	}
	if written.ExpiresAt != "2026-11-21T12:01:00Z" {
		t.Errorf("expiresAt = %s", written.ExpiresAt)
	}

	var own struct{ Nonce, Domain, URI, Version, Statement, ExpiresAt string }
	a = h.do("POST", "challenge/create", `{"unknown":[{}]}`).ok(&own)
	if got := jsonNames(t, a.Body.Bytes()); !slices.Equal(got, []string{"domain", "expiresAt", "nonce", "statement", "uri", "version"}) {
		t.Errorf("members without an address: %q", got)
	}
	if own.Domain != "app.example.com" || own.URI != home || own.Version != "1" || own.Statement != "Sign in." || len(own.Nonce) < 26 {
		t.Errorf("without an address: %+v", own)
	}
}

func TestChallengeCreateRefusals(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.Wallet.Chains = []uint64{1, 10} })
	address := newSigner(1).address()
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"address of wrong length", `{"address":"0x1234"}`, 400, "invalid_address"},
		{"empty address", `{"address":""}`, 400, "invalid_address"},
		{"zero address", `{"address":"0x0000000000000000000000000000000000000000"}`, 400, "invalid_address"},
		{"wrong checksum", `{"address":"0x` + swapCase(address[2:]) + `"}`, 400, "invalid_address"},
		{"address of wrong type", `{"address":7}`, 400, "invalid_request"},
		{"chain that is not allowed", `{"address":"` + address + `","chainId":5}`, 400, "chain_not_allowed"},
		{"the same without address", `{"chainId":5}`, 400, "chain_not_allowed"},
		{"chain of wrong type", `{"chainId":[1]}`, 400, "invalid_request"},
		{"chain with a fraction", `{"chainId":1.0}`, 400, "invalid_request"},
		{"chain with an exponent", `{"chainId":1e0}`, 400, "invalid_request"},
		{"negative chain", `{"chainId":-1}`, 400, "invalid_request"},
		{"chain zero", `{"chainId":0}`, 400, "invalid_request"},
		{"chain beyond 64 bits", `{"chainId":18446744073709551617}`, 400, "invalid_request"},
		{"chain of words", `{"chainId":"mainnet"}`, 400, "invalid_request"},
		{"address in another case is another member", `{"Address":"nonsense"}`, 200, ""},
		{"chain as wallets tell it", `{"address":"` + address + `","chainId":"0xa"}`, 200, ""},
		{"chain as decimal text", `{"chainId":"10"}`, 200, ""},
		{"null is not there", `{"address":null,"chainId":null}`, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.do("POST", "challenge/create", c.body)
			a.t = t
			if c.status == 200 {
				a.ok(new(map[string]any))
				return
			}
			a.refused(c.status, c.code)
		})
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 32
		case 'A' <= r && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}

func TestWalletSignInWithTokens(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{newSigner(1).address()}}}
	})
	s := newSigner(1)
	var got signedInView
	a := h.present(s, "").ok(&got)
	if names := jsonNames(t, a.Body.Bytes()); !slices.Equal(names, []string{"access_token", "expires_in", "refresh_token", "token_type", "user"}) {
		t.Errorf("members: %q", names)
	}
	if got.TokenType != "Bearer" || got.ExpiresIn != 300 || !strings.HasPrefix(got.RefreshToken, "agr_") {
		t.Errorf("answer: %+v", got)
	}
	u := got.User
	if u.ID == "" || u.Username != s.address() || !slices.Equal(u.Wallets, []string{s.address()}) ||
		!slices.Equal(u.Roles, []string{"admin"}) || !slices.Equal(u.Methods, []authcore.Method{authcore.Wallet}) {
		t.Errorf("user: %+v", u)
	}
	if _, set := a.cookie(); set {
		t.Error("a cookie was set for a program")
	}
	if again := h.signInTokens(s); again.User.ID != u.ID || again.RefreshToken == got.RefreshToken {
		t.Errorf("second sign-in: %+v", again)
	}
	if h.signedInAs(got.bearer()) != u.ID {
		t.Error("the access token is not good")
	}
	if want := []string{"wallet ok", "wallet ok"}; !slices.Equal(h.seen.told, want) {
		t.Errorf("observer was told %q, want %q", h.seen.told, want)
	}
}

func TestWalletSignInWithCookie(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	var got signedInView
	a := h.present(s, `,"session":"cookie","return_to":"/reports?q=1"`).ok(&got)
	if names := jsonNames(t, a.Body.Bytes()); !slices.Equal(names, []string{"return_to", "user"}) {
		t.Errorf("members: %q", names)
	}
	if got.ReturnTo != "/reports?q=1" || got.User.Username != s.address() {
		t.Errorf("answer: %+v", got)
	}
	line := a.Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-authgate=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"} {
		if !strings.Contains(line, want) {
			t.Errorf("cookie has no %q: %s", want, line)
		}
	}
	pair, _ := a.cookie()
	if h.signedInAs([]string{"Cookie", pair}) != got.User.ID {
		t.Error("the cookie is not good")
	}
}

// Lists are lists for the clients that walk them without looking.
func TestListsOfAUserAreNeverNull(t *testing.T) {
	b, err := json.Marshal(viewUser(&authcore.Identity{}))
	if want := `{"id":"","username":"","name":"","email":"","roles":[],"wallets":[],"methods":[]}`; err != nil || string(b) != want {
		t.Errorf("user = %s, %v; want %s", b, err, want)
	}
}

// The page to sign in is opened with a return_to that leads away; the script goes where the answer says.
func TestReturnToIsMadeSafe(t *testing.T) {
	h := build(t)
	var got signedInView
	h.present(newSigner(1), `,"session":"cookie","return_to":"//evil.example"`).ok(&got)
	if got.ReturnTo != "/" {
		t.Errorf("return_to = %q", got.ReturnTo)
	}
}

func TestChallengeSignRefusals(t *testing.T) {
	h := build(t)
	s, stranger := newSigner(1), newSigner(2)
	for _, c := range []struct {
		name   string
		body   func(message string) string
		status int
		code   string
	}{
		{"signature of somebody else", func(m string) string {
			return fmt.Sprintf(`{"challenge":%q,"signature":%q}`, m, stranger.sign(m))
		}, 400, "invalid_signature"},
		{"compact signature", func(m string) string {
			return fmt.Sprintf(`{"challenge":%q,"signature":%q}`, m, s.sign(m)[:130])
		}, 400, "invalid_signature"},
		{"no message at all", func(m string) string { return `{"challenge":"hello","signature":"0x"}` }, 400, "invalid_message"},
		{"message with another statement", func(m string) string {
			return solution(s, strings.Replace(m, "Sign in.", "Sign in!", 1), "")
		}, 400, "invalid_message"},
		{"message with a nonce nobody issued", func(m string) string {
			i := strings.Index(m, "Nonce: ") + len("Nonce: ")
			return solution(s, m[:i]+strings.Repeat("A", 32)+m[i+32:], "")
		}, 404, "challenge_not_found"},
		{"no challenge", func(m string) string { return `{"signature":"0x00"}` }, 400, "invalid_request"},
		{"no signature", func(m string) string { return `{"challenge":"x"}` }, 400, "invalid_request"},
		{"null for a challenge", func(m string) string { return `{"challenge":null,"signature":"0x00"}` }, 400, "invalid_request"},
		{"array for a signature", func(m string) string { return `{"challenge":"x","signature":[]}` }, 400, "invalid_request"},
		{"a session of another kind", func(m string) string { return solution(s, m, `,"session":"forever"`) }, 400, "invalid_request"},
		{"an invite of another type", func(m string) string { return solution(s, m, `,"invite":1`) }, 400, "invalid_request"},
		{"a return_to of another type", func(m string) string { return solution(s, m, `,"return_to":{}`) }, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.seen.told = nil
			a := h.do("POST", "challenge/sign", c.body(h.challenge(s)))
			a.t = t
			a.refused(c.status, c.code)
			if _, set := a.cookie(); set {
				t.Error("a cookie was set")
			}
			if want := []string{"wallet " + c.code}; !slices.Equal(h.seen.told, want) {
				t.Errorf("observer was told %q, want %q", h.seen.told, want)
			}
		})
	}
}

func TestChallengeExpires(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	m := h.challenge(s)
	h.now = h.now.Add(time.Minute)
	h.do("POST", "challenge/sign", solution(s, m, "")).refused(412, "challenge_expired")
}

// Whoever saw a signed message on its way sends it again.
func TestSignedMessageIsGoodOnce(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	body := solution(s, h.challenge(s), "")
	h.do("POST", "challenge/sign", body).ok(new(signedInView))
	h.do("POST", "challenge/sign", body).refused(404, "challenge_not_found")
}

// A failed try spends the challenge, so that nobody has as many as he likes at one message.
func TestFailedTrySpendsTheChallenge(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	m := h.challenge(s)
	h.do("POST", "challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":%q}`, m, newSigner(2).sign(m))).refused(400, "invalid_signature")
	h.do("POST", "challenge/sign", solution(s, m, "")).refused(404, "challenge_not_found")
}

// Many requests with the same signature arrive at once, hoping that more than one passes before it is noted.
func TestSignedMessageIsGoodOnceInParallel(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	s := newSigner(1)
	body := solution(s, h.challenge(s), "")
	var wg sync.WaitGroup
	codes := make([]int, 50)
	for i := range codes {
		wg.Go(func() { codes[i] = h.do("POST", "challenge/sign", body).Code })
	}
	wg.Wait()
	slices.Sort(codes)
	if codes[0] != 200 || codes[1] != 404 {
		t.Errorf("answers: %v", codes)
	}
}

// Mallory asks a challenge while signed in as herself and has somebody who is signed out, or signed in as somebody else,
// answer it; or the other way round. A challenge is for whoever it was issued to.
func TestChallengeIsBoundToWhoIsSignedIn(t *testing.T) {
	h := build(t)
	mallory := h.signInTokens(newSigner(66))
	other := h.signInTokens(newSigner(67))
	s := newSigner(1)
	for _, c := range []struct {
		name         string
		asks, answer []string
	}{
		{"asked signed in, answered signed out", mallory.bearer(), nil},
		{"asked signed out, answered signed in", nil, mallory.bearer()},
		{"asked by one, answered by another", mallory.bearer(), other.bearer()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.do("POST", "challenge/sign", solution(s, h.challenge(s, c.asks...), ""), c.answer...)
			a.t = t
			a.refused(404, "challenge_not_found")
		})
	}
}

// A message that was issued on one site is answered on another of the same realm.
func TestChallengeIsBoundToItsSite(t *testing.T) {
	h := build(t)
	next := h.neighbour(Site{Origin: "https://b.example.com"})
	s := newSigner(1)
	next.do("POST", "challenge/sign", solution(s, h.challenge(s), "")).refused(404, "challenge_not_found")
}

func TestClientWritesTheMessage(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	var asked struct{ Nonce, Domain, URI, Version, Statement, ExpiresAt string }
	h.do("POST", "challenge/create", `{}`).ok(&asked)
	m := fmt.Sprintf("%s wants you to sign in with your Ethereum account:\n%s\n\n%s\n\nURI: %s\nVersion: %s\nChain ID: 1\nNonce: %s\nIssued At: 2026-11-21T12:00:00Z",
		asked.Domain, s.address(), asked.Statement, asked.URI, asked.Version, asked.Nonce)
	var got signedInView
	h.do("POST", "challenge/sign", solution(s, m, "")).ok(&got)
	if got.User.Username != s.address() {
		t.Errorf("user: %+v", got.User)
	}
}

// Somebody plants the cookie of a session of his own in a browser and waits until its user signs in (session fixation):
// the sign-in opens another session, and the planted one is over.
func TestSessionFixation(t *testing.T) {
	h := build(t)
	planted := h.signInCookie(newSigner(66))
	s := newSigner(66) // the worst case: the same user
	after := h.signInCookie(s, planted...)
	if after[1] == planted[1] {
		t.Fatal("the session was kept")
	}
	if h.signedInAs(planted) != "" {
		t.Error("the planted session is still good")
	}
	if h.signedInAs(after) == "" {
		t.Error("the new session is not good")
	}
}

func TestProgramSigningInLeavesOtherSessionsAlone(t *testing.T) {
	h := build(t)
	first := h.signInTokens(newSigner(1))
	h.present(newSigner(1), "", first.bearer()...).ok(new(signedInView))
	if h.signedInAs(first.bearer()) == "" {
		t.Error("the first session ended")
	}
}

func TestMethodThatIsOffIsNotThere(t *testing.T) {
	h := build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.Methods = []authcore.Method{authcore.Passkey} })
	for _, sub := range []string{"challenge/create", "challenge/sign", "step-up/challenge/create", "step-up/challenge/sign"} {
		h.do("POST", sub, `{}`).refused(404, "not_found")
	}
}

// The store of challenges, or that of accounts, fails at each step in turn: nobody gets in, nothing internal is told,
// and it works again as soon as the store does.
func TestSignInWhileAStoreIsDown(t *testing.T) {
	for _, method := range []string{"CountAttempt", "ConsumeChallenge", "CredentialByKey", "CreateUser", "CreateSession", "User"} {
		t.Run(method, func(t *testing.T) {
			h := build(t)
			s := newSigner(1)
			body := solution(s, h.challenge(s), `,"session":"cookie"`)
			h.faults.breakDown(method)
			a := h.do("POST", "challenge/sign", body).refused(503, "unavailable")
			if a.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if strings.Contains(a.Body.String(), "10.9.8.7") {
				t.Errorf("something internal is told: %s", a.Body)
			}
			if !strings.Contains(h.log.String(), "10.9.8.7") || !strings.Contains(h.log.String(), "level=WARN") {
				t.Errorf("the operator is not told: %s", h.log)
			}
			if _, set := a.cookie(); set {
				t.Error("a cookie was set")
			}
			h.faults.repair()
			h.present(s, "").ok(new(signedInView))
		})
	}
	t.Run("CreateChallenge", func(t *testing.T) {
		h := build(t)
		h.faults.breakDown("CreateChallenge")
		h.do("POST", "challenge/create", `{}`).refused(503, "unavailable")
	})
}

// A sign-in that fails at its last step leaves no session behind, which would stand in its owner's list and be nobody's.
func TestSessionThatNobodyGot(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	h.faults.breakDown("CredentialsOf")
	h.present(s, "").refused(503, "unavailable")
	c, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, s.address())
	if err != nil {
		t.Fatal(err)
	}
	if left, err := h.store.SessionsOf(t.Context(), c.UserID, h.now); err != nil || len(left) != 0 {
		t.Errorf("sessions: %v, %v", left, err)
	}
}

// While the store of challenges was down the challenge was not spent (F5): the same answer is good once afterwards.
func TestChallengeOutlivesAnOutage(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	body := solution(s, h.challenge(s), "")
	h.faults.breakDown("ConsumeChallenge")
	h.do("POST", "challenge/sign", body).refused(503, "unavailable")
	h.faults.repair()
	h.do("POST", "challenge/sign", body).ok(new(signedInView))
}

// Who somebody is cannot be told while the store is down; taking him for nobody would open him a second account.
func TestSignInOfSomebodyWhoCannotBeTold(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	m := h.challenge(newSigner(2), cookie...)
	h.now = h.now.Add(6 * time.Minute) // the access token has expired, the session has not
	h.faults.breakDown("Session")
	h.do("POST", "challenge/create", `{}`, cookie...).refused(503, "unavailable")
	h.do("POST", "challenge/sign", solution(newSigner(2), m, ""), cookie...).refused(503, "unavailable")
}

// No secret may reach the log, whatever happens: neither what a client sent nor what it was given.
func TestNoSecretInTheLog(t *testing.T) {
	h := build(t)
	s := newSigner(1)
	m := h.challenge(s)
	body := solution(s, m, "")
	h.do("POST", "challenge/sign", body[:len(body)-1]) // broken JSON
	h.do("POST", "challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":"0xabcdef1234"}`, m))
	tokens := h.signInTokens(s)
	h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":"%sx"}`, tokens.RefreshToken))
	h.faults.breakDown("Session", "EndSession", "ConsumeChallenge")
	h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken))
	h.do("POST", "sign-out", "", tokens.bearer()...)
	h.do("POST", "challenge/sign", body)
	log := h.log.String()
	i := strings.Index(m, "Nonce: ") + len("Nonce: ")
	for _, secret := range []string{m[i : i+32], s.sign(m)[2:40], "abcdef1234", tokens.RefreshToken[4:40], tokens.AccessToken[:60]} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
	if log == "" {
		t.Error("nothing was logged")
	}
}

func TestClientKey(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"IPv4", "192.0.2.7", "192.0.2.7"},
		{"IPv4 in IPv6", "::ffff:192.0.2.7", "192.0.2.7"},
		{"IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"another of the same customer", "2001:db8:1:2::", "2001:db8:1:2::/64"},
		{"another customer", "2001:db8:1:3::", "2001:db8:1:3::/64"},
		{"with a zone", "fe80::1%eth0", "fe80::/64"},
	} {
		if got := clientKey(netip.MustParseAddr(c.in)); got != c.want {
			t.Errorf("%s: clientKey(%s) = %s, want %s", c.name, c.in, got, c.want)
		}
	}
	if clientKey(netip.Addr{}) == "" {
		t.Error("an unknown address is not counted")
	}
}

func BenchmarkSignIn(b *testing.B) {
	h := build(b, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	s := newSigner(1)
	for b.Loop() {
		h.present(s, `,"session":"cookie"`).ok(new(signedInView))
	}
}
