package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// newToken makes a personal access token as its owner does; more holds further members.
func (h *house) newToken(owner []string, more string) (v tokenView) {
	h.t.Helper()
	a := h.do("POST", "tokens", `{"name":"script"`+more+`}`, owner...)
	if a.Code != http.StatusCreated {
		h.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		h.t.Fatal(err)
	}
	return v
}

// carriers are the ways in which a request can carry a personal access token.
var carriers = map[string]func(token string) []string{
	"bearer":                     func(token string) []string { return []string{"Authorization", "Bearer " + token} },
	"bearer, as others write it": func(token string) []string { return []string{"authorization", "bEARER   " + token} },
	"basic":                      func(token string) []string { return basic("anybody", token) },
	"basic without a name":       func(token string) []string { return basic("", token) },
	"basic, unpadded": func(token string) []string {
		h := basic("ab", token)
		return []string{h[0], strings.TrimRight(h[1], "=")}
	},
	"basic with a long name": func(token string) []string { return basic(strings.Repeat("x", 600), token) },
	"key":                    func(token string) []string { return []string{"x-api-key", token} },
	"bearer and key, the same": func(token string) []string {
		return []string{"Authorization", "Bearer " + token, "X-API-Key", token}
	},
}

func basic(name, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
}

// reach asks for a path and answers the status, and what the backend got: nil where it got nothing.
func (h *house) reach(path string, headers ...string) (int, http.Header) {
	h.t.Helper()
	return h.send(h.toBackend("GET", path, headers...))
}

func (h *house) toBackend(method, path string, headers ...string) *http.Request {
	r := h.request(method, "", "", headers...)
	r.URL.Path, r.RequestURI = path, path
	if u, err := r.URL.Parse(path); err == nil {
		r.URL = r.URL.ResolveReference(u)
		r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
	}
	return r
}

func (h *house) send(r *http.Request) (int, http.Header) {
	h.t.Helper()
	var got http.Header
	w := httptest.NewRecorder()
	h.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.WriteHeader(http.StatusTeapot)
	})).ServeHTTP(w, r)
	return w.Code, got
}

func tokenSite(_ *RealmConfig, s *Site) {
	s.Rules = []policy.Rule{
		{Anyone: true, Paths: []string{"/public/*"}},
		{Roles: []string{"editor"}, Paths: []string{"/edit/*"}},
		{Roles: []string{AdminRole}, Paths: []string{"/manage/*"}},
		{SignedIn: true, Paths: []string{"/wallet/*"}, With: []authcore.Method{authcore.Wallet}},
		{SignedIn: true, Paths: []string{"/fresh/*"}, Within: time.Minute},
		{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
	}
}

func TestTokenIsItsOwnerInEveryCarrier(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), "").Token
	for name, carry := range carriers {
		t.Run(name, func(t *testing.T) {
			h.t = t
			for _, path := range []string{"/reports", "/strict/x", "/public/x"} {
				code, got := h.reach(path, carry(token)...)
				if code != http.StatusTeapot || got.Get("X-Authgate-Subject") != owner.User.ID || got.Get("Remote-User") != owner.User.Username {
					t.Errorf("%s: answered %d with %v", path, code, got)
				}
				for name, lines := range got {
					if strings.Contains(strings.Join(lines, " "), token) || name == "Authorization" || name == "X-Api-Key" {
						t.Errorf("%s: the backend got %s: %s", path, name, lines)
					}
				}
				if got.Get("X-Authgate-Methods") != "" {
					t.Errorf("%s: it has methods", path)
				}
			}
			if code, got := h.reach("/edit/x", carry(token)...); code != http.StatusForbidden || got != nil {
				t.Errorf("another role's path answered %d", code)
			}
		})
	}
}

// What is not of this gateway is the backend's own: it has keys and passwords of its own.
func TestForeignCredentialsPassUntouched(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token, cookie := h.newToken(owner.bearer(), "").Token, h.signInCookie(newSigner(1))
	for name, foreign := range map[string][]string{
		"key":                        {"X-API-Key", "sk_live_123"},
		"two keys":                   {"X-API-Key", "a", "X-API-Key", "b"},
		"key that has one within":    {"X-API-Key", "x" + token},
		"basic":                      basic("alice", "secret"),
		"basic that has one as name": basic(token[:10], "agp-"),
		"basic that is none":         {"Authorization", "Basic %%%"},
		"basic without a colon":      {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("agp_"))},
		"another scheme":             {"Authorization", "Digest " + token},
		"bearer":                     {"Authorization", "Bearer something"},
	} {
		t.Run(name, func(t *testing.T) {
			want := http.Header{}
			for i := 0; i < len(foreign); i += 2 {
				want.Add(foreign[i], foreign[i+1])
			}
			for who, more := range map[string][]string{"nobody": nil, "cookie": cookie} {
				path := "/public/x"
				code, got := h.reach(path, slices.Concat(foreign, more)...)
				if code != http.StatusTeapot || !slices.Equal(got["X-Api-Key"], want["X-Api-Key"]) || !slices.Equal(got["Authorization"], want["Authorization"]) {
					t.Errorf("%s: answered %d with %v", who, code, got)
				}
				signedIn := got.Get("Remote-User") != ""
				// A bearer token decides alone, good or not.
				if want := who == "cookie" && name != "bearer"; signedIn != want {
					t.Errorf("%s: signed in %v", who, signedIn)
				}
			}
		})
	}
	// Beside a token in the one place, what is foreign in the other passes.
	for name, both := range map[string][]string{
		"X-Api-Key":       append([]string{"X-API-Key", "sk_live_123"}, "Authorization", "Bearer "+token),
		"Authorization":   append(basic("alice", "secret"), "X-API-Key", token),
		"Authorization, ": {"Authorization", "Bearer something", "X-API-Key", token},
	} {
		code, got := h.reach("/reports", both...)
		name, _, _ := strings.Cut(name, ",")
		if code != http.StatusTeapot || got.Get(name) == "" || strings.Contains(fmt.Sprint(got), token) {
			t.Errorf("%s: answered %d with %v", name, code, got)
		}
	}
}

// A stolen, guessed, deleted or mistyped token is nobody's, and the backend does not get it: it may be good elsewhere.
func TestBadTokenIsNobody(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), "").Token
	deleted := h.newToken(owner.bearer(), "")
	if a := h.do("DELETE", "tokens/"+deleted.ID, "", owner.bearer()...); a.Code != http.StatusNoContent {
		t.Fatalf("answered %d", a.Code)
	}
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	_, fresh, err := h.realm.newPersonal()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"deleted": deleted.Token, "unknown": fresh, "secret wrong": token[:len(token)-1] + last, "of another": token[:len(token)-20] + fresh[len(fresh)-20:],
		"prefix only": "agp_", "too short": token[:len(token)-1], "too long": token + "A", "not base64": token[:len(token)-1] + "!",
		"line break": token[:len(token)-1] + "\n", "space within": token[:20] + " " + token[21:], "two": token + "," + token,
	} {
		for how, carry := range carriers {
			t.Run(name+", "+how, func(t *testing.T) {
				code, got := h.reach("/reports", carry(bad)...)
				if code != http.StatusUnauthorized || got != nil {
					t.Errorf("answered %d", code)
				}
				code, got = h.reach("/public/x", carry(bad)...)
				if code != http.StatusTeapot || got.Get("Remote-User") != "" || got["Authorization"] != nil || got["X-Api-Key"] != nil {
					t.Errorf("public: answered %d with %v", code, got)
				}
			})
		}
	}
}

// Whoever adds something to a request, a second token say, is never more than by the first alone, and two who it might be
// are nobody. The backend gets none of it.
func TestTwoCredentialsAreNone(t *testing.T) {
	h := build(t, tokenSite)
	alice, bob := h.signInTokens(newSigner(1)), h.signInTokens(newSigner(2))
	one, other := h.newToken(alice.bearer(), "").Token, h.newToken(bob.bearer(), "").Token
	expired := h.signInTokens(newSigner(3)).bearer()
	h.now = h.now.Add(10 * time.Minute)
	fresh := h.signInTokens(newSigner(2)).bearer()
	bearer := func(s string) []string { return []string{"Authorization", "Bearer " + s} }
	key := func(s string) []string { return []string{"X-API-Key", s} }
	for name, two := range map[string][]string{
		"bearer and key":                  append(bearer(one), key(other)...),
		"bearer and bad key":              append(bearer(one), key("agp_x")...),
		"bad bearer and key":              append(bearer("agp_x"), key(one)...),
		"basic and key":                   append(basic("a", one), key(other)...),
		"two bearers":                     append(bearer(one), bearer(one)...),
		"two keys":                        append(key(one), key(one)...),
		"key and a foreign key":           append(key("foreign"), key(one)...),
		"bearer and foreign basic":        append(bearer(one), basic("a", "b")...),
		"basic and bearer":                append(basic("a", one), bearer(one)...),
		"access token and key":            append(slices.Clone(fresh), key(one)...),
		"expired access token and key":    append(slices.Clone(expired), key(one)...),
		"access token and a bad key":      append(slices.Clone(fresh), key("agp_x")...),
		"basic and an access token":       append(basic("a", one), fresh...),
		"access token and bearer of ours": append(slices.Clone(fresh), bearer(one)...),
	} {
		t.Run(name, func(t *testing.T) {
			code, got := h.reach("/reports", two...)
			if code != http.StatusUnauthorized || got != nil {
				t.Errorf("answered %d", code)
			}
			code, got = h.reach("/public/x", two...)
			if code != http.StatusTeapot || got.Get("Remote-User") != "" || got["Authorization"] != nil || got["X-Api-Key"] != nil {
				t.Errorf("public: answered %d with %v", code, got)
			}
		})
	}
}

// A browser with a session adds a token, by a script that was given one with less: the token alone decides, and a bad one
// does not fall back to the cookie.
func TestTokenDecidesAloneBesideACookie(t *testing.T) {
	h := build(t, tokenSite)
	alice, bob := h.signInTokens(newSigner(1)), h.signInCookie(newSigner(2))
	token := h.newToken(alice.bearer(), "").Token
	for name, carry := range carriers {
		code, got := h.reach("/reports", slices.Concat(carry(token), bob)...)
		if code != http.StatusTeapot || got.Get("X-Authgate-Subject") != alice.User.ID {
			t.Errorf("%s: answered %d as %s", name, code, got.Get("X-Authgate-Subject"))
		}
		if code, _ := h.reach("/reports", slices.Concat(carry("agp_x"), bob)...); code != http.StatusUnauthorized {
			t.Errorf("%s: with a bad one answered %d", name, code)
		}
		// What asks for a wallet is refused, though the cookie's session has one.
		if code, _ := h.reach("/wallet/x", slices.Concat(carry(token), bob)...); code != http.StatusForbidden {
			t.Errorf("%s: answered %d", name, code)
		}
	}
}

// A token in an address ends up in logs, histories and what browsers tell other sites; in a cookie it would be a session.
func TestTokenIsTakenNowhereElse(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	cookie := h.signInCookie(newSigner(1))
	token := h.newToken(owner.bearer(), "").Token
	if code, _ := h.reach("/reports", "X-API-Key", token); code != http.StatusTeapot { // it is remembered
		t.Fatalf("answered %d", code)
	}
	secret, _, _ := strings.Cut(cookie[1], ".")
	name, _, _ := strings.Cut(cookie[1], "=")
	if a := h.do("POST", "sign-out", "", cookie...); a.Code != http.StatusNoContent {
		t.Fatal("not signed out")
	}
	for what, r := range map[string]*http.Request{
		"query":              h.toBackend("GET", "/reports?access_token="+token+"&token="+token+"&api_key="+token+"&X-API-Key="+token),
		"cookie":             h.toBackend("GET", "/reports", "Cookie", name+"="+token),
		"cookie of a secret": h.toBackend("GET", "/reports", "Cookie", secret+"."+token),
		"other header":       h.toBackend("GET", "/reports", "X-Auth-Token", token),
		"proxy":              h.toBackend("GET", "/reports", "Proxy-Authorization", "Bearer "+token),
		"name of basic":      h.toBackend("GET", "/reports", basic(token, "")...),
		"userinfo": func() *http.Request {
			r := h.toBackend("GET", "/reports")
			r.Header.Set("Host", "x:"+token+"@app.example.com")
			return r
		}(),
	} {
		if code, got := h.send(r); code != http.StatusUnauthorized || got != nil {
			t.Errorf("%s: answered %d", what, code)
		}
	}
	if a := h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token)); a.Code != http.StatusUnauthorized {
		t.Errorf("as refresh token: answered %d", a.Code)
	}
}

// A token for one folder must not open another one, whichever way the path is written.
func TestTokenIsGoodWithinItsPaths(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), `,"paths":["/dav/*","/one"]`)
	for path, want := range map[string]int{
		"/dav": 418, "/dav/a/b": 418, "/DAV/x": 418, "/one": 418,
		"/": 403, "/other": 403, "/davx": 403, "/one/more": 403, "/public/x": 403,
		"/dav/../other": 403, "/dav/%2e%2e/other": 403, "/dav/..%2fother": 403, "/dav//../../other": 403, "/dav/%252e%252e/other": 403,
		"/dav/..;/other": 403, "/dav/..%5cother": 403, "/wallet/x": 403,
	} {
		if code, _ := h.reach(path, "X-API-Key", token.Token); code != want {
			t.Errorf("%s: answered %d, want %d", path, code, want)
		}
	}
	var v struct{ User userView }
	h.do("GET", "session", "", "X-API-Key", token.Token).ok(&v)
	if v.User.ID != owner.User.ID {
		t.Errorf("GET session tells %q", v.User.ID)
	}
}

// What asks how somebody signed in is not for tokens, however fresh the sign-in was with which one was made: 403, since
// nothing that the program could do would help.
func TestTokenMeetsNoRuleThatAsksForEvidence(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), "").Token
	for _, path := range []string{"/wallet/x", "/fresh/x"} {
		if code, _ := h.reach(path, owner.bearer()...); code != http.StatusTeapot {
			t.Fatalf("%s: its owner was answered %d", path, code)
		}
		r := h.toBackend("GET", path, "X-API-Key", token)
		w := httptest.NewRecorder()
		h.gateway.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		answer{t, w}.refused(403, "forbidden")
	}
}

// A page of another site makes a browser send a password that was typed for this one; a link from there is no harm.
func TestBasicOfABrowserIsNotForPagesOfOthers(t *testing.T) {
	h := build(t, tokenSite)
	token := h.newToken(h.signInTokens(newSigner(1)).bearer(), "").Token
	for name, tt := range map[string]struct {
		method  string
		headers []string
		want    int
	}{
		"program":              {"POST", nil, 418},
		"own page":             {"POST", []string{"Origin", home, "Sec-Fetch-Site", "same-origin"}, 418},
		"typed":                {"GET", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 418},
		"link":                 {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 418},
		"form":                 {"POST", []string{"Origin", "https://evil.example.net", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		"form of a sibling":    {"POST", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate"}, 403},
		"form, older browser":  {"POST", []string{"Origin", "https://evil.example.net"}, 403},
		"form, origin hidden":  {"POST", []string{"Origin", "null"}, 403},
		"image":                {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"websocket of another": {"GET", []string{"Origin", "https://evil.example.net", "Connection", "Upgrade", "Upgrade", "websocket"}, 403},
	} {
		for carrier, carry := range map[string][]string{"basic": basic("a", token), "key": {"X-API-Key", token}} {
			want := tt.want
			if carrier == "key" {
				want = 418 // no browser adds that by itself
			}
			if code, _ := h.send(h.toBackend(tt.method, "/reports", slices.Concat(carry, tt.headers)...)); code != want {
				t.Errorf("%s, %s: answered %d, want %d", name, carrier, code, want)
			}
		}
	}
}

// A token is good on the site on which it was made, or with a cookie domain on all below it.
func TestTokenIsGoodWhereItWasMade(t *testing.T) {
	h := build(t, tokenSite)
	token := h.newToken(h.signInTokens(newSigner(1)).bearer(), "").Token
	other := h.neighbour(Site{Origin: "https://other.example.net"})
	if code, _ := other.reach("/reports", "X-API-Key", token); code != http.StatusUnauthorized {
		t.Errorf("elsewhere answered %d", code)
	}
	a := build(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	token = a.newToken(a.signInTokens(newSigner(1)).bearer(), "").Token
	b := a.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com"})
	c := a.neighbour(Site{Origin: "https://c.example.com"})
	if code, _ := b.reach("/reports", "X-API-Key", token); code != http.StatusTeapot {
		t.Errorf("below the domain answered %d", code)
	}
	if code, _ := c.reach("/reports", "X-API-Key", token); code != http.StatusUnauthorized {
		t.Errorf("on a site for itself answered %d", code)
	}
}

// A site that has its sign-in elsewhere makes no tokens, and takes those that are made there; nobody else's.
func TestTokenIsGoodOnSitesThatSignInWhereItWasMade(t *testing.T) {
	d := buildDomains(t)
	token := d.newToken(d.signInTokens(newSigner(1)).bearer(), "").Token
	if code, _ := d.sites[shop].reach("/cart", "X-API-Key", token); code != http.StatusTeapot {
		t.Errorf("at the shop answered %d", code)
	}
	other := d.neighbour(Site{Origin: "https://other.example.net"})
	token = other.newToken(other.signInTokens(newSigner(1)).bearer(), "").Token
	if code, _ := d.sites[shop].reach("/cart", "X-API-Key", token); code != http.StatusUnauthorized {
		t.Errorf("at the shop, one of a site that is none of its own, answered %d", code)
	}
}

// The backend gets a statement about a token's user too, which says that nobody signed in.
func TestAssertionOfAToken(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), "")
	_, got := h.reach("/reports", "X-API-Key", token.Token)
	parts := strings.Split(got.Get("X-Authgate-Assertion"), ".")
	if len(parts) != 3 {
		t.Fatalf("assertion %q", parts)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["sub"] != owner.User.ID || claims["sid"] != "pat:"+token.ID || claims["auth_time"] != nil || claims["amr"] != nil {
		t.Errorf("claims %v", claims)
	}
	_, again := h.reach("/reports", "X-API-Key", token.Token)
	if again.Get("X-Authgate-Assertion") != got.Get("X-Authgate-Assertion") {
		t.Error("it is signed anew at each request")
	}
}

// FuzzFindPersonal: whatever clients send, it is found or not in the same way, and never makes the gateway stop.
func FuzzFindPersonal(f *testing.F) {
	token := "agp_" + strings.Repeat("A", 64)
	for _, line := range []string{"", "Bearer " + token, "Basic " + base64.StdEncoding.EncodeToString([]byte("a:"+token)), "basic", "Basic ====", "bearer\x00", "Basic Og=="} {
		f.Add(line, "", "")
		f.Add(line, token, line)
	}
	f.Fuzz(func(t *testing.T, line, key, second string) {
		h := http.Header{"Authorization": {line}}
		if key != "" {
			h[keyHeader] = []string{key}
		}
		if second != "" {
			h["Authorization"] = append(h["Authorization"], second)
		}
		in := findPersonal(h)
		if in.text != "" && (!strings.HasPrefix(in.text, personalPrefix) || in.via == byNothing) || in.via != byNothing && !in.authorization && !in.key {
			t.Fatalf("found %+v", in)
		}
		if id, ok := personalID(in.text); ok {
			b, err := base64.RawURLEncoding.DecodeString(in.text[len(personalPrefix):])
			if err != nil || len(b) != personalSize || len(id) != 32 || base64.RawURLEncoding.EncodeToString(b) != in.text[len(personalPrefix):] {
				t.Fatalf("%q has the id %q", in.text, id)
			}
		}
	})
}

// BenchmarkToken is what a request costs that carries a personal access token, beside one with an access token.
func BenchmarkToken(b *testing.B) {
	h := build(b, tokenSite)
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), `,"paths":["/reports/*"]`).Token
	if code, _ := h.reach("/reports/x", "X-API-Key", token); code != http.StatusTeapot {
		b.Fatalf("answered %d", code)
	}
	h.realm.Stores = authcore.Stores{} // nothing more is asked of it
	for name, headers := range map[string][]string{
		"access token": owner.bearer(), "bearer": {"Authorization", "Bearer " + token}, "basic": basic("dav", token), "key": {"X-API-Key", token},
	} {
		b.Run(name, func(b *testing.B) {
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			door := h.gateway.Handler(next)
			w := httptest.NewRecorder()
			r := h.toBackend("GET", "/reports/x", headers...)
			saved := r.Header.Clone()
			b.ReportAllocs()
			for b.Loop() {
				clear(r.Header)
				for k, v := range saved {
					r.Header[k] = v
				}
				door.ServeHTTP(w, r)
			}
		})
	}
}
