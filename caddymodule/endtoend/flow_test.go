package endtoend

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A program signs in with a key, uses the bearer token, refreshes, signs out; the backend learns who it is, once.
func TestProgramSignsInAndOut(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := walletOf("alice")
	g.get(t, "/reports/1").wantProblem(t, 401, "unauthenticated")
	g.backend.none(t)

	message, nonce := g.challenge(t, alice)
	for _, part := range []string{
		g.host + " wants you to sign in with your Ethereum account:\n" + alice.address + "\n",
		"\nURI: " + g.origin, "\nNonce: " + nonce,
	} {
		if !strings.Contains(message, part) {
			t.Errorf("challenge message %q lacks %q", message, part)
		}
	}
	a := g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": alice.sign(message)})
	var s signedIn
	a.into(t, 200, &s)
	a.wantNoStore(t)
	if a.cookie() != nil {
		t.Error("a sign-in for programs sets a cookie")
	}
	if s.TokenType != "Bearer" || s.ExpiresIn < 295 || s.ExpiresIn > 300 {
		t.Errorf("token_type %q, expires_in %d, want Bearer, 300", s.TokenType, s.ExpiresIn)
	}
	if u := s.User; u.ID == "" || u.Username != alice.address || !slices.Equal(u.Wallets, []string{alice.address}) ||
		!slices.Equal(u.Methods, []string{"wallet"}) || u.Roles == nil || len(u.Roles) != 0 {
		t.Errorf("user %+v", u)
	}

	g.get(t, "/reports/1?q=1", s.bearer()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), s.User)

	var session struct {
		User    userBody
		Session struct {
			ID       string
			Methods  []string
			AuthTime time.Time `json:"auth_time"`
			Expires  time.Time
		}
	}
	g.get(t, "/auth/session", s.bearer()).into(t, 200, &session)
	if session.User.ID != s.User.ID || session.Session.ID == "" || time.Since(session.Session.AuthTime) > time.Minute {
		t.Errorf("session %+v", session)
	}

	var next, again signedIn
	refresh := map[string]any{"refresh_token": s.RefreshToken}
	g.post(t, "token/refresh", refresh).into(t, 200, &next)
	g.post(t, "token/refresh", refresh).into(t, 200, &again) // the answer was lost, the client asks again
	if next.RefreshToken == s.RefreshToken || again.RefreshToken != next.RefreshToken {
		t.Error("a refresh token must have one successor, and a new one")
	}
	g.get(t, "/reports/2", next.bearer()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), s.User)

	g.signOut(t, next.bearer())
	for _, token := range []signedIn{s, next} {
		g.get(t, "/reports/3", token.bearer()).wantProblem(t, 401, "")
		g.post(t, "token/refresh", map[string]any{"refresh_token": token.RefreshToken}).wantProblem(t, 401, "invalid_grant")
	}
	g.backend.none(t)
}

// wantIdentity checks that each identity header arrived exactly once, with the user's values, and none that has no value.
func (g *gate) wantIdentity(t *testing.T, a arrival, u userBody) {
	t.Helper()
	want := map[string][]string{
		"Remote-User": {u.Username}, "X-Authgate-Subject": {u.ID}, "X-Authgate-Wallet": u.Wallets[:1],
		"X-Authgate-Methods": {strings.Join(u.Methods, ",")}, "Remote-Name": nil, "Remote-Email": nil, "Remote-Groups": nil,
		"X-WEBAUTH-USER": {u.Username}, "Authorization": nil, "Cookie": nil,
	}
	if len(u.Roles) > 0 {
		want["Remote-Groups"] = []string{strings.Join(u.Roles, ",")}
	}
	for name, values := range want {
		if got := a.values(name); !slices.Equal(got, values) {
			t.Errorf("%s at the backend: %q, want %q", name, got, values)
		}
	}
	assertions := a.values("X-Authgate-Assertion")
	if len(assertions) != 1 {
		t.Fatalf("%d assertions at the backend, want 1", len(assertions))
	}
	g.wantAssertion(t, assertions[0], u)
}

// wantAssertion verifies the assertion as a careful backend does: with the published keys, for this origin, its life short.
func (g *gate) wantAssertion(t *testing.T, assertion string, u userBody) {
	t.Helper()
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(assertion, claims, g.publishedKey(t), jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithIssuer(g.origin), jwt.WithAudience(g.origin), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatalf("assertion: %v", err)
	}
	exp, _ := claims.GetExpirationTime()
	iat, _ := claims.GetIssuedAt()
	if life := exp.Sub(iat.Time); life > 120*time.Second {
		t.Errorf("the assertion lives %v, want 120 s at most", life)
	}
	if claims["sub"] != u.ID || claims["sid"] == "" || claims["auth_time"] == nil {
		t.Errorf("assertion claims %v for user %s", claims, u.ID)
	}
}

// Clients that write the ERC-4361 message themselves ask for a nonce only.
func TestProgramWritesTheMessageItself(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	var c struct{ Nonce, Domain, URI, Version, Statement, ExpiresAt string }
	g.post(t, "challenge/create", map[string]any{}).into(t, 200, &c)
	if c.Domain != g.host || !strings.HasPrefix(c.URI, g.origin) || c.Version != "1" || len(c.Nonce) < 8 {
		t.Fatalf("%+v", c)
	}
	if expires, err := time.Parse(time.RFC3339, c.ExpiresAt); err != nil || !strings.HasSuffix(c.ExpiresAt, "Z") || time.Until(expires) > time.Minute {
		t.Errorf("expiresAt %q, want RFC 3339 in UTC within a minute", c.ExpiresAt)
	}
	bob := walletOf("bob")
	message := c.Domain + " wants you to sign in with your Ethereum account:\n" + bob.address + "\n\n" + c.Statement +
		"\n\nURI: " + c.URI + "\nVersion: 1\nChain ID: 10\nNonce: " + c.Nonce + "\nIssued At: " + time.Now().UTC().Format(time.RFC3339)
	var s signedIn
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": bob.sign(message)}).into(t, 200, &s)
	g.get(t, "/x", s.bearer()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), s.User)
}

// A browser signs in with a cookie that no script can read; the backend never sees it.
func TestBrowserSignsInAndOut(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("carol"))
	g.get(t, "/reports/1", s.cookieLine()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), s.User)
	g.get(t, "/auth/session", s.cookieLine()).want(t, 200)

	out := g.signOut(t, s.cookieLine(), "Origin: "+g.origin, "Sec-Fetch-Site: same-origin")
	if c := out.cookie(); c == nil || c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("sign-out leaves the cookie in the browser: %v", out.header["Set-Cookie"])
	}
	g.get(t, "/reports/1", s.cookieLine()).wantProblem(t, 401, "unauthenticated")
	g.backend.none(t)
	g.signOut(t, s.cookieLine()) // also without a session
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		tls  bool
		want string
	}{{"http localhost", false, "authgate"}, {"https", true, "__Host-authgate"}} {
		t.Run(c.name, func(t *testing.T) {
			g := start(t, setup{tls: c.tls})
			alice := walletOf("alice")
			message, _ := g.challenge(t, alice)
			got := g.post(t, "challenge/sign", map[string]any{
				"challenge": message, "signature": alice.sign(message), "session": "cookie",
			}).cookie()
			if got == nil {
				t.Fatal("no cookie")
			}
			if got.Name != c.want || !got.HttpOnly || got.Secure != c.tls || got.Path != "/" || got.Domain != "" ||
				got.SameSite != http.SameSiteLaxMode || len(got.Raw) > 4096 {
				t.Errorf("cookie %s", got.Raw)
			}
		})
	}
}

// The roles of a grant reach rules and backend.
func TestGrantedRole(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	admin, alice := g.signIn(t, walletOf("admin")), g.signIn(t, walletOf("alice"))
	if !slices.Equal(admin.User.Roles, []string{"admin"}) {
		t.Errorf("roles %q", admin.User.Roles)
	}
	g.get(t, "/admin/x", alice.bearer()).wantProblem(t, 403, "")
	g.get(t, "/internal/x", admin.bearer()).wantProblem(t, 403, "")
	g.backend.none(t)
	g.get(t, "/admin/x", admin.bearer()).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), admin.User)
}

// With nothing configured a site is closed to who is not invited.
func TestRegistrationIsClosedByDefault(t *testing.T) {
	t.Parallel()
	g := start(t, setup{global: "registration invite"})
	eve := walletOf("eve")
	message, _ := g.challenge(t, eve)
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": eve.sign(message)}).
		wantProblem(t, 403, "registration_closed")
	g.signIn(t, walletOf("admin")) // who is granted a role may
}

// Where return_to leads away from the site, the user would land on a copy of it that asks to sign in again.
func TestReturnToStaysOnTheOrigin(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := walletOf("alice")
	returned := func(to string) string {
		message, _ := g.challenge(t, alice)
		var s signedIn
		g.post(t, "challenge/sign", map[string]any{
			"challenge": message, "signature": alice.sign(message), "session": "cookie", "return_to": to,
		}).into(t, 200, &s)
		return s.ReturnTo
	}
	for _, in := range []string{"/", "/reports?a=b", "/a/b//c?x=//y", "/reports?next=https://elsewhere.example/"} {
		if got := returned(in); got != in {
			t.Errorf("return_to %q becomes %q", in, got)
		}
	}
	for _, in := range []string{
		"", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "evil.example",
		"/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "javascript:alert(1)", "data:,x",
		"http:evil.example", "/\r\nSet-Cookie: x=y", "//user@evil.example", "/\x00/evil.example", "https:/evil.example",
	} {
		if got := returned(in); got != "/" {
			t.Errorf("return_to %q becomes %q, want /", in, got)
		}
	}
}

// signOut ends the session that the lines carry.
func (g *gate) signOut(t *testing.T, lines ...string) answer {
	t.Helper()
	a := g.send(t, requestBody("POST", "/auth/sign-out", "", lines...))
	a.want(t, 204)
	return a
}

// publishedKey finds the key of a JWT in jwks.json.
func (g *gate) publishedKey(t *testing.T) jwt.Keyfunc {
	var set struct{ Keys []json.RawMessage }
	g.get(t, "/auth/jwks.json").into(t, 200, &set)
	return func(token *jwt.Token) (any, error) { return findKey(set.Keys, token.Header["kid"]) }
}
