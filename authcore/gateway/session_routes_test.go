package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

func (h *house) refresh(token string) answer {
	h.t.Helper()
	return h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token))
}

func TestRefresh(t *testing.T) {
	h := build(t)
	first := h.signInTokens(newSigner(1))
	h.now = h.now.Add(6 * time.Minute)
	if h.signedInAs(first.bearer()) != "" {
		t.Fatal("the access token outlives its time")
	}
	var second signedInView
	h.refresh(first.RefreshToken).ok(&second)
	if second.RefreshToken == first.RefreshToken || second.TokenType != "Bearer" || second.ExpiresIn != 300 || second.User.ID != first.User.ID {
		t.Errorf("answer: %+v", second)
	}
	if h.signedInAs(second.bearer()) != first.User.ID {
		t.Error("the new access token is not good")
	}
}

// Twenty tabs wake up at once with the same refresh token: all get the same successor and nobody is signed out.
func TestTwentyTabsRefreshAtOnce(t *testing.T) {
	h := build(t)
	first := h.signInTokens(newSigner(1))
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = h.refresh(first.RefreshToken) })
	}
	wg.Wait()
	successors := map[string]bool{}
	for _, a := range answers {
		var v signedInView
		a.ok(&v)
		successors[v.RefreshToken] = true
	}
	if len(successors) != 1 {
		t.Fatalf("%d successors", len(successors))
	}
	for s := range successors {
		h.refresh(s).ok(new(signedInView))
	}
}

// A thief uses a refresh token that its owner has spent. Nobody can tell who is who, so both are signed out.
func TestStolenRefreshTokenEndsTheFamily(t *testing.T) {
	h := build(t)
	first := h.signInTokens(newSigner(1))
	var second signedInView
	h.refresh(first.RefreshToken).ok(&second)
	h.now = h.now.Add(time.Minute)
	h.refresh(first.RefreshToken).refused(401, "invalid_grant")
	h.refresh(second.RefreshToken).refused(401, "invalid_grant")
	if h.signedInAs(second.bearer()) != "" {
		t.Error("an access token of the family is still good")
	}
}

func TestRefreshRefusals(t *testing.T) {
	h := build(t)
	first := h.signInTokens(newSigner(1))
	cookie := h.signInCookie(newSigner(1))
	_, secret, _ := strings.Cut(cookie[1], "=")
	secret, _, _ = strings.Cut(secret, ".")
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"nonsense", `{"refresh_token":"nonsense"}`, 401, "invalid_grant"},
		{"empty", `{"refresh_token":""}`, 401, "invalid_grant"},
		{"a token of nobody", `{"refresh_token":"agr_` + strings.Repeat("A", 86) + `"}`, 401, "invalid_grant"},
		{"an access token", fmt.Sprintf(`{"refresh_token":%q}`, first.AccessToken), 401, "invalid_grant"},
		{"the secret of a cookie", fmt.Sprintf(`{"refresh_token":%q}`, secret), 401, "invalid_grant"},
		{"none", `{}`, 400, "invalid_request"},
		{"null", `{"refresh_token":null}`, 400, "invalid_request"},
		{"a number", `{"refresh_token":5}`, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.do("POST", "token/refresh", c.body)
			a.t = t
			a.refused(c.status, c.code)
		})
	}
	if h.signedInAs(cookie) == "" {
		t.Error("the session of the cookie ended")
	}
	h.refresh(first.RefreshToken).ok(new(signedInView))
}

// A refresh token that leaked from one site is tried on another of the same realm. It is refused, and not spent by that.
func TestRefreshTokenOfAnotherSite(t *testing.T) {
	h := build(t)
	next := h.neighbour(Site{Origin: "https://b.example.com"})
	first := h.signInTokens(newSigner(1))
	next.refresh(first.RefreshToken).refused(401, "invalid_grant")
	h.now = h.now.Add(time.Minute)
	h.refresh(first.RefreshToken).ok(new(signedInView))
}

func TestRefreshBelowOneCookieDomain(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	next := h.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com"})
	next.refresh(h.signInTokens(newSigner(1)).RefreshToken).ok(new(signedInView))
}

func TestDisabledUserCannotRefresh(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	h.disable(tokens.User.ID)
	h.refresh(tokens.RefreshToken).refused(401, "invalid_grant")
}

// The store goes down at any step of a refresh (F7): the token must not be spent, or trying it again once the store is
// back would look like theft.
func TestRefreshWhileTheStoreIsDown(t *testing.T) {
	for _, method := range []string{"Session", "User", "UpdateSession"} {
		t.Run(method, func(t *testing.T) {
			h := build(t)
			tokens := h.signInTokens(newSigner(1))
			h.faults.breakDown(method)
			h.refresh(tokens.RefreshToken).refused(503, "unavailable")
			h.faults.repair()
			h.now = h.now.Add(time.Minute)
			h.refresh(tokens.RefreshToken).ok(new(signedInView))
		})
	}
}

func TestSignOut(t *testing.T) {
	h := build(t)
	t.Run("cookie", func(t *testing.T) {
		cookie := h.signInCookie(newSigner(1))
		a := h.do("POST", "sign-out", "", cookie...)
		if pair, set := a.cookie(); a.Code != 204 || !set || pair != "" || a.Body.Len() > 0 {
			t.Errorf("%d, cookie %q %v, body %q", a.Code, pair, set, a.Body)
		}
		if h.signedInAs(cookie) != "" {
			t.Error("still signed in")
		}
	})
	t.Run("bearer", func(t *testing.T) {
		tokens := h.signInTokens(newSigner(1))
		if a := h.do("POST", "sign-out", "", tokens.bearer()...); a.Code != 204 {
			t.Errorf("answered %d", a.Code)
		}
		if h.signedInAs(tokens.bearer()) != "" {
			t.Error("the access token is still good")
		}
		h.refresh(tokens.RefreshToken).refused(401, "invalid_grant")
	})
	t.Run("twice", func(t *testing.T) {
		cookie := h.signInCookie(newSigner(1))
		for range 2 {
			if a := h.do("POST", "sign-out", "", cookie...); a.Code != 204 {
				t.Errorf("answered %d", a.Code)
			}
		}
	})
	t.Run("nobody", func(t *testing.T) {
		for _, headers := range [][]string{nil, {"Cookie", "__Host-authgate=nonsense"}, {"Authorization", "Bearer nonsense"}} {
			if a := h.do("POST", "sign-out", "", headers...); a.Code != 204 {
				t.Errorf("%q: answered %d", headers, a.Code)
			}
		}
	})
	t.Run("two cookies", func(t *testing.T) {
		a := h.do("POST", "sign-out", "", "Cookie", "__Host-authgate=a; __Host-authgate=b")
		if _, set := a.cookie(); a.Code != 204 || !set {
			t.Errorf("answered %d, cookie cleared: %v", a.Code, set)
		}
	})
	t.Run("any body", func(t *testing.T) {
		if a := h.do("POST", "sign-out", "logout=1", "Content-Type", "text/plain"); a.Code != 204 {
			t.Errorf("answered %d", a.Code)
		}
	})
}

// Who comes back after the weekend and signs out means it: the session ends though its time is over, and the access
// token of a program though it has expired.
func TestSignOutLate(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	tokens := h.signInTokens(newSigner(1))
	h.now = h.now.Add(13 * time.Hour) // the session of the browser is idle for too long, that of the program is not
	for _, headers := range [][]string{cookie, tokens.bearer()} {
		if a := h.do("POST", "sign-out", "", headers...); a.Code != 204 {
			t.Errorf("answered %d", a.Code)
		}
	}
	left, err := h.store.SessionsOf(t.Context(), tokens.User.ID, h.now.Add(-13*time.Hour))
	if err != nil || len(left) != 0 {
		t.Errorf("sessions that are left: %v, %v", left, err)
	}
}

// Signing out with an access token that has expired meanwhile must not sign in again on the way: the cookie is cleared,
// not renewed.
func TestSignOutRenewsNothing(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	h.now = h.now.Add(6 * time.Minute)
	if pair, set := h.do("POST", "sign-out", "", cookie...).cookie(); !set || pair != "" {
		t.Errorf("cookie %q, %v", pair, set)
	}
	if h.signedInAs(cookie) != "" {
		t.Error("still signed in")
	}
}

// Somebody who knows a session's public id, from a token's sid say, writes it into a secret of his own to sign its owner
// out.
func TestNobodyIsSignedOutByAGuess(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	name, value, _ := strings.Cut(cookie[1], "=")
	forged := name + "=" + value[:22] + strings.Repeat("A", 42) + "."
	if a := h.do("POST", "sign-out", "", "Cookie", forged); a.Code != 204 {
		t.Errorf("answered %d", a.Code)
	}
	if h.signedInAs(cookie) == "" {
		t.Error("signed out")
	}
}

// With a bearer token the cookie beside it has no say, in signing out neither.
func TestSignOutWithBearerLeavesTheCookieAlone(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	tokens := h.signInTokens(newSigner(1))
	a := h.do("POST", "sign-out", "", append(tokens.bearer(), cookie...)...)
	if _, set := a.cookie(); a.Code != 204 || set {
		t.Errorf("answered %d, cookie touched: %v", a.Code, set)
	}
	if h.signedInAs(cookie) == "" {
		t.Error("the session of the cookie ended")
	}
}

// The store is down (F8): success is not claimed, the browser forgets its cookie all the same, and trying again works.
func TestSignOutWhileTheStoreIsDown(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	h.faults.breakDown("EndSession")
	a := h.do("POST", "sign-out", "", cookie...).refused(503, "unavailable")
	if pair, set := a.cookie(); !set || pair != "" {
		t.Errorf("cookie %q, %v", pair, set)
	}
	if a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.faults.repair()
	h.do("POST", "sign-out", "", cookie...)
	if h.signedInAs(cookie) != "" {
		t.Error("still signed in")
	}

	tokens := h.signInTokens(newSigner(1))
	h.now = h.now.Add(13 * time.Hour)
	cookie = h.signInCookie(newSigner(1))
	h.now = h.now.Add(6 * time.Minute)
	h.faults.breakDown("Session", "EndSession")
	h.do("POST", "sign-out", "", cookie...).refused(503, "unavailable")
	h.do("POST", "sign-out", "", tokens.bearer()...).refused(503, "unavailable")
}

func TestSession(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	opened := h.now
	h.now = h.now.Add(time.Minute)
	type view struct {
		User    userView
		Session struct {
			ID       string
			Methods  []authcore.Method
			AuthTime string `json:"auth_time"`
			Expires  string
		}
	}
	var got view
	a := h.do("GET", "session", "", tokens.bearer()...).ok(&got)
	if names := jsonNames(t, a.Body.Bytes()); !slices.Equal(names, []string{"session", "user"}) {
		t.Errorf("members: %q", names)
	}
	if got.User.ID != tokens.User.ID || got.User.Username != newSigner(1).address() {
		t.Errorf("user: %+v", got.User)
	}
	if s := got.Session; s.ID == "" || !slices.Equal(s.Methods, []authcore.Method{authcore.Wallet}) ||
		s.AuthTime != opened.Format(time.RFC3339) || s.Expires != opened.Add(24*time.Hour).Format(time.RFC3339) {
		t.Errorf("session: %+v", s)
	}
	// While the store is down it is certain only as long as the access token is.
	h.faults.breakDown("Session")
	var down view
	h.do("GET", "session", "", tokens.bearer()...).ok(&down)
	if down.Session.Expires != opened.Add(5*time.Minute).Format(time.RFC3339) {
		t.Errorf("while the store is down: %+v", down.Session)
	}
}

func TestSessionOfNobody(t *testing.T) {
	h := build(t)
	for _, headers := range [][]string{nil, {"Cookie", "__Host-authgate=nonsense"}, {"Authorization", "Bearer nonsense"}, {"Authorization", "Bearer "}} {
		a := h.do("GET", "session", "", headers...).refused(401, "unauthenticated")
		want := `Bearer realm="https://app.example.com"`
		if headers != nil && headers[0] == "Authorization" {
			want += `, error="invalid_token"`
		}
		if got := a.Header().Get("WWW-Authenticate"); got != want {
			t.Errorf("WWW-Authenticate = %q", got)
		}
	}
}

// The session was ended on another instance: its access token is still good, but who asks is told.
func TestSessionThatEndedElsewhere(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	sessions, err := h.store.SessionsOf(t.Context(), tokens.User.ID, h.now)
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := h.store.EndSession(t.Context(), sessions[0].ID); err != nil {
		t.Fatal(err)
	}
	h.do("GET", "session", "", tokens.bearer()...).refused(401, "unauthenticated")
}

// Who somebody is cannot be told: that is no reason to tell him that he is signed out, which makes clients forget good
// sessions.
func TestSessionWhileTheStoreIsDown(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	h.now = h.now.Add(6 * time.Minute)
	h.faults.breakDown("Session")
	a := h.do("GET", "session", "", cookie...).refused(503, "unavailable")
	if _, set := a.cookie(); set {
		t.Error("the cookie was touched")
	}
	h.faults.repair()
	a = h.do("GET", "session", "", cookie...)
	if pair, set := a.cookie(); a.Code != http.StatusOK || !set || pair == "" {
		t.Errorf("after the outage: %d, renewed cookie %q", a.Code, pair)
	}
}

// A token that was just signed out is still good on other instances for minutes: on public routes the backend must not
// get it, nor one that cannot be checked at the moment. Tokens of others are not the gateway's to take.
func TestRefusedTokenIsKeptFromBackend(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) { s.Rules = []policy.Rule{{Anyone: true, Paths: []string{"/public"}}} })
	for _, tt := range []struct {
		name  string
		spoil func(me []string) []string
		kept  bool
	}{
		{"signed out", func(me []string) []string { h.do("POST", "sign-out", "", me...); return me }, true},
		{"expired", func(me []string) []string { h.now = h.now.Add(time.Hour); return me }, true},
		{"of somebody else", func([]string) []string { return []string{"Authorization", "Bearer theirs"} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := h.request("GET", "", "", tt.spoil(h.signInTokens(newSigner(1)).bearer())...)
			r.URL.Path = "/public"
			var got []string
			err := h.gateway.Handle(httptest.NewRecorder(), r, func(_ http.ResponseWriter, r *http.Request) error {
				got = append(got, "reached")
				got = append(got, r.Header["Authorization"]...)
				return nil
			})
			want := 2
			if tt.kept {
				want = 1
			}
			if err != nil || len(got) != want {
				t.Errorf("%v, backend got %q", err, got)
			}
		})
	}
}
