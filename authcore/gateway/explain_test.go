package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

var askedRules = []policy.Rule{
	{Source: "Caddyfile:4", Anyone: true, Paths: []string{"/public/*"}},
	{Source: "Caddyfile:5", Roles: []string{"admin"}, Paths: []string{"/admin/*"}, Strict: true},
	{Source: "Caddyfile:6", SignedIn: true, Paths: []string{"/vault"}, With: []authcore.Method{authcore.Wallet}, Within: 5 * time.Minute},
	{Source: "Caddyfile:7", SignedIn: true, Paths: []string{"/lab/*"}, From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
}

// asked is a house with those rules, an administrator and somebody else.
func asked(t *testing.T) (h *house, admin, other string) {
	h = build(t, func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: AdminRole, To: []string{newSigner(1).address()}}}
		s.Rules = askedRules
	})
	return h, h.signInTokens(newSigner(1)).User.ID, h.signInTokens(newSigner(2)).User.ID
}

// What is explained is what happens.
func TestExplainSaysWhatHappens(t *testing.T) {
	h, _, other := asked(t)
	tokens := h.signInTokens(newSigner(2))
	for _, target := range []string{
		"/", "/public/x", "/public/..;/admin", "/admin", "/vault", "/lab/x", "/ADMIN/%2e", "/x?y=%zz#f", "/%00", "/%zz", "/a b", `/a\b`, "/public/%2561",
		"/auth/session", "/auth/nothing", "/auth/", "/public/../auth/session",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "CONNECT", "get"} {
			for _, user := range []string{"", other} {
				answers, err := h.realm.Explain(t.Context(), Question{URL: home + target, Method: method, User: user, With: []authcore.Method{authcore.Wallet}})
				if err != nil || len(answers) != 1 {
					t.Fatalf("%s: %v %v", target, answers, err)
				}
				a := answers[0]
				request, _, _ := strings.Cut(target, "#")
				r := httptest.NewRequest("GET", home+"/", nil)
				u, err := url.ParseRequestURI(request)
				if err != nil {
					// No server of net/http would have handed it on.
					if a.Status != 400 {
						t.Errorf("%s: explained as %+v", target, a)
					}
					continue
				}
				r.Method, r.URL, r.RequestURI = method, u, request
				if user != "" {
					r.Header.Set("Authorization", tokens.bearer()[1])
				}
				got := h.serve(r)
				if a.Route != "" {
					if a.Status != 0 && got.Code != a.Status {
						t.Errorf("%s %s: answered %d, explained as %d", method, target, got.Code, a.Status)
					}
					continue
				}
				want := http.StatusTeapot
				if a.Status != 0 {
					want = a.Status
				}
				if got.Code != want {
					t.Errorf("%s %s as %q: answered %d %s, explained as %d %s", method, target, user, got.Code, got.Body, want, a.Words)
				}
			}
		}
	}
}

func TestExplain(t *testing.T) {
	h, admin, other := asked(t)
	for _, c := range []struct {
		name    string
		q       Question
		verdict policy.Verdict
		rule    int
		says    string
	}{
		{"may", Question{URL: home + "/admin/x", User: admin}, policy.Allow, 1, "The store is asked at each request"},
		{"may, by the name of a wallet", Question{URL: home + "/admin", User: newSigner(1).address()}, policy.Allow, 1, "is passed on"},
		{"may not", Question{URL: "HTTPS://App.Example.com:443/admin", User: other}, policy.Forbidden, 1, "has no role, and is not among them"},
		{"signed out", Question{URL: "/admin"}, policy.SignIn, 1, "sent to sign in"},
		{"long ago", Question{URL: "/vault", User: other}, policy.StepUp, 2, "with wallet no longer ago than 5m"},
		{"just now", Question{URL: "/vault", User: other, With: []authcore.Method{authcore.Wallet}}, policy.Allow, 2, "is passed on"},
		{"from anywhere", Question{URL: "/lab/x", User: other}, policy.Forbidden, -1, "not for clients of unknown address"},
		{"from there", Question{URL: "/lab/x", User: other, Client: netip.MustParseAddr("::ffff:10.0.0.1")}, policy.Allow, 3, "is passed on"},
		{"websocket", Question{URL: "wss://app.example.com/public/x"}, policy.Allow, 0, "lets in anybody"},
	} {
		answers, err := h.realm.Explain(t.Context(), c.q)
		if err != nil || len(answers) != 1 {
			t.Fatalf("%s: %v", c.name, err)
		}
		a := answers[0]
		if a.Verdict != c.verdict || a.Rule != c.rule || !strings.Contains(strings.Join(a.Words, " "), c.says) {
			t.Errorf("%s: %s by rule %d: %q", c.name, a.Verdict, a.Rule, a.Words)
		}
		if c.rule >= 0 && a.Source != askedRules[c.rule].Source {
			t.Errorf("%s: at %q", c.name, a.Source)
		}
	}
	u, err := h.store.Stores().Users.User(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	u.Disabled = true
	if err := h.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	answers, err := h.realm.Explain(t.Context(), Question{URL: "/x", User: other})
	if err != nil || answers[0].Verdict != policy.SignIn || !strings.Contains(answers[0].Words[0], "disabled") {
		t.Errorf("%v %+v", err, answers)
	}
}

func TestExplainChoosesTheSite(t *testing.T) {
	h, _, _ := asked(t)
	h.neighbour(Site{Origin: "https://wiki.example.com", Path: "/door", Rules: []policy.Rule{{Deny: true}}})
	for url, want := range map[string]error{
		home + "/x": nil, "https://wiki.example.com": nil, "https://wiki.example.com?q": nil, "/x": ErrQuestion, "x": ErrQuestion, "ftp://app.example.com/": ErrQuestion,
		"https://other.example.com/x": ErrNoSite, "https://app.example.com:8443/": ErrNoSite, "": ErrQuestion,
	} {
		if _, err := h.realm.Explain(t.Context(), Question{URL: url}); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", url, err, want)
		}
	}
	if _, err := h.realm.Explain(t.Context(), Question{URL: home + "/", User: "nobody"}); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Errorf("got %v", err)
	}
	for url, want := range map[string]string{"https://wiki.example.com/door/session": "/door/session", home + "/door/session": "", home + "/auth": "/auth/"} {
		answers, err := h.realm.Explain(t.Context(), Question{URL: url})
		if err != nil || answers[0].Route != want {
			t.Errorf("%q: %v %+v", url, err, answers)
		}
	}
}

func TestAdminRules(t *testing.T) {
	h, _, other := asked(t)
	admin, stranger := h.signInTokens(newSigner(1)), h.signInTokens(newSigner(2))
	h.do("GET", "admin/rules", "").refused(401, "unauthenticated")
	h.do("GET", "admin/rules", "", stranger.bearer()...).refused(403, "forbidden")
	h.do("POST", "admin/explain", `{"url":"/x"}`, stranger.bearer()...).refused(403, "forbidden")
	var rules struct{ Rules []ruleView }
	h.do("GET", "admin/rules", "", admin.bearer()...).ok(&rules)
	if len(rules.Rules) != 4 || rules.Rules[1] != (ruleView{2, "allow role admin /admin/* {\n\trevocation strict\n}", "Caddyfile:5"}) {
		t.Errorf("%+v", rules)
	}
	var v AnswerView
	h.do("POST", "admin/explain", `{"url":"/admin/x","user":"`+other+`","client":"192.0.2.1","with":["wallet"],"method":"PUT"}`, admin.bearer()...).ok(&v)
	if v.Verdict != "forbidden" || v.Rule != 2 || v.Source != "Caddyfile:5" || v.User == nil || v.User.ID != other || v.Method != "PUT" || v.Code != "forbidden" {
		t.Errorf("%+v", v)
	}
	h.do("POST", "admin/explain", `{"url":"`+home+`/auth/session"}`, admin.bearer()...).ok(&v)
	if v.Verdict != "own_route" || v.Route != "/auth/session" || !slices.Contains(v.Words, "The gateway answers this itself, and asks no rule.") {
		t.Errorf("%+v", v)
	}
	for body, code := range map[string]string{
		`{}`: "invalid_request", `{"url":"x"}`: "invalid_request", `{"url":"/","client":"x"}`: "invalid_request", `{"url":"/","with":["charm"]}`: "invalid_request",
		`{"url":"/","with":7}`: "invalid_request", `{"url":"https://wiki.example.com/"}`: "invalid_request",
	} {
		h.do("POST", "admin/explain", body, admin.bearer()...).refused(400, code)
	}
	h.do("POST", "admin/explain", `{"url":"/","user":"nobody"}`, admin.bearer()...).refused(404, "user_not_found")
}
