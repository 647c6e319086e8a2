package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// What is explained of people who are to sign in elsewhere, of personal access tokens and of CORS preflights is what happens.
func TestExplainOfSignInTokensAndPreflights(t *testing.T) {
	d := buildDomains(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Anyone: true, Paths: []string{"/public/*"}},
			{SignedIn: true, Paths: []string{"/vault"}, With: []authcore.Method{authcore.Wallet}},
			{SignedIn: true, Paths: []string{"/new"}, Within: 5 * time.Minute},
			{SignedIn: true, Paths: []string{"/api/*"}, Methods: []string{"PUT"}, Preflight: true},
			{SignedIn: true, Paths: []string{"/api/*"}, Methods: []string{"GET"}},
			{Deny: true, Paths: []string{"/internal/*"}},
		}
	})
	alice := d.signInTokens(newSigner(1))
	token := d.newToken(alice.bearer(), "").Token
	for _, c := range []struct {
		url, method, user string
		with              []authcore.Method
		signIn, preflight string
		refused           bool
	}{
		{url: home + "/x", signIn: home + "/auth/sign-in", preflight: "sign_in"},
		{url: shop + "/x", signIn: home + "/auth/sign-in", preflight: "sign_in"},
		{url: home + "/public/x", preflight: "allow"},
		{url: home + "/x", user: alice.User.ID, preflight: "sign_in"},
		{url: home + "/vault", signIn: home + "/auth/sign-in", preflight: "sign_in", refused: true},
		{url: home + "/vault", user: alice.User.ID, preflight: "sign_in", refused: true},
		{url: home + "/vault", user: alice.User.ID, with: []authcore.Method{authcore.Wallet}, preflight: "sign_in", refused: true},
		{url: home + "/new", user: alice.User.ID, preflight: "sign_in", refused: true},
		{url: home + "/api/x", method: "PUT", user: alice.User.ID, preflight: "allow"},
		{url: home + "/api/x", user: alice.User.ID, preflight: "forbidden"},
		{url: home + "/internal/x", user: alice.User.ID, preflight: "forbidden"},
		{url: home + "/x", method: "OPTIONS", user: alice.User.ID},
		{url: home + "/%00", user: alice.User.ID},
		{url: home + "/auth/session", user: alice.User.ID},
	} {
		answers, err := d.realm.Explain(t.Context(), Question{URL: c.url, Method: c.method, User: c.user, With: c.with})
		if err != nil || len(answers) != 1 {
			t.Fatalf("%s: %v %v", c.url, answers, err)
		}
		a := answers[0]
		v := a.View()
		if v.SignIn != c.signIn || v.Preflight != c.preflight || v.TokenRefused != c.refused {
			t.Errorf("%s %s as %q: sent to %q, preflight %q, token refused %t: %q", a.Method, c.url, c.user, v.SignIn, v.Preflight, v.TokenRefused, a.Words)
		}
		words := strings.Join(a.Words, " ")
		if strings.Contains(words, "personal access token") != c.refused || strings.Contains(words, "CORS") != (c.preflight != "") || !strings.Contains(words, c.signIn) {
			t.Errorf("%s: %q", c.url, a.Words)
		}
		origin, path, site := home, strings.TrimPrefix(c.url, home), d.house
		if p, is := strings.CutPrefix(c.url, shop); is {
			origin, path, site = shop, p, d.sites[shop]
		}
		if c.preflight != "" {
			r := httptest.NewRequest("OPTIONS", origin+path, nil)
			r.Header.Set("Origin", "https://pages.example")
			r.Header.Set("Access-Control-Request-Method", a.Method)
			want := map[string]int{"allow": 418, "sign_in": 401, "forbidden": 403}[c.preflight]
			if got := site.serve(r); got.Code != want {
				t.Errorf("%s %s: a preflight gets %d, explained as %q", a.Method, c.url, got.Code, c.preflight)
			}
		}
		if c.refused || c.user != "" && a.Status == 0 && a.Route == "" {
			r := httptest.NewRequest(a.Method, origin+path, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			want := 418
			if c.refused {
				want = 403
			}
			if got := site.serve(r); got.Code != want {
				t.Errorf("%s %s: a personal access token gets %d: %q", a.Method, c.url, got.Code, a.Words)
			}
		}
	}
}
