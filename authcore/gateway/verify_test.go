package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// asker is a house whose proxies may ask about requests, with rules of each kind.
func asker(t testing.TB, change ...func(*RealmConfig, *Site)) *house {
	return build(t, append([]func(*RealmConfig, *Site){func(c *RealmConfig, s *Site) {
		c.TrustedProxy = func(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, "192.0.2.1:") } // httptest's
		c.Grants = []Grant{{Role: AdminRole, To: []string{newSigner(1).address()}}}
		s.Headers = []Header{{Name: "X-WEBAUTH-USER", Value: "{username}"}}
		s.Rules = []policy.Rule{
			{Anyone: true, Paths: []string{"/public/*"}},
			{Roles: []string{"admin"}, Paths: []string{"/admin/*"}},
			{SignedIn: true, Paths: []string{"/vault/*"}, Within: time.Minute},
			{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
			{SignedIn: true, Paths: []string{"/posts/*"}, Methods: []string{"GET"}},
			{Deny: true, Paths: []string{"/internal/*"}},
		}
	}}, change...)...)
}

// askedBy is how proxies tell of a request.
type askedBy func(method, url string, headers ...string) *http.Request

// byForwarded is how Traefik and Caddy do, and others can be made to.
func byForwarded(method, target string, headers ...string) *http.Request {
	scheme, host, path := parts(target)
	return asking("/auth/verify", append(headers, "X-Forwarded-Method", method, "X-Forwarded-Proto", scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", path)...)
}

func byRedirect(method, target string, headers ...string) *http.Request {
	r := byForwarded(method, target, headers...)
	r.URL.RawQuery = "redirect"
	return r
}

// byOriginal is how nginx does.
func byOriginal(method, target string, headers ...string) *http.Request {
	return asking("/auth/verify", append(headers, "X-Original-Method", method, "X-Original-URL", target)...)
}

// byPath is how Envoy does.
func byPath(method, target string, headers ...string) *http.Request {
	scheme, host, path := parts(target)
	r := asking("/auth/verify", append(headers, "X-Forwarded-Proto", scheme)...)
	r.Method, r.Host, r.RequestURI = method, host, "/auth/verify"+path
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		r.URL = u
	}
	return r
}

func parts(target string) (scheme, host, path string) {
	scheme, rest, _ := strings.Cut(target, "://")
	host, path, _ = strings.Cut(rest, "/")
	return scheme, host, "/" + path
}

func asking(path string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://10.1.2.3:9091"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// identityIn answers the identity headers among others.
func identityIn(h http.Header) map[string][]string {
	found := map[string][]string{}
	for name, values := range h {
		if strings.HasPrefix(name, "Remote-") || strings.HasPrefix(name, "X-Authgate-") || name == "X-Webauth-User" {
			found[name] = values
		}
	}
	return found
}

// What a proxy is told is what would have become of the request here: for every kind of client, path, method and user, and
// however the proxy asks.
func TestVerifyTellsWhatHandleDoes(t *testing.T) {
	h := asker(t)
	admin, alice := h.signInCookie(newSigner(1)), h.signInCookie(newSigner(2))
	bearer := h.signInTokens(newSigner(2)).bearer()
	h.now = h.now.Add(2 * time.Minute) // so that who signed in has to confirm on /vault
	fresh := h.signInCookie(newSigner(3))
	page := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
	kinds := map[string][]string{
		"program": {"Accept", "*/*"}, "page": page, "fetch": {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/html"},
		"events": {"Accept", "text/event-stream"}, "grpc": {"Content-Type", "application/grpc", "Te", "trailers"},
		"prefetch": append([]string{"Sec-Purpose", "prefetch"}, page...),
	}
	who := map[string][]string{"nobody": nil, "admin": admin, "alice": alice, "bearer": bearer, "fresh": fresh, "forged": {"Cookie", "__Host-authgate=x.y"}}
	paths := []string{
		"/", "/reports?a=b%20c", "/public/x", "/admin/x", "/ADMIN", "/vault", "/strict/x", "/posts/7", "/internal/x", "/public/..;/admin/x", "/public/%2e%2e/admin",
		"/%2561dmin", "/admin%2fx", "/public/a%2fb", "/%00", "/a\\b", "//evil.example/x", "/public/../strict",
	}
	asked := 0
	for name, tell := range map[string]askedBy{"forwarded": byForwarded, "redirect": byRedirect, "original": byOriginal, "path": byPath} {
		for kind, headers := range kinds {
			for user, credentials := range who {
				for _, path := range paths {
					for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "get"} {
						asked++
						what := fmt.Sprintf("%s: %s %s %s by %s", name, method, path, kind, user)
						all := append(slices.Clone(headers), credentials...)
						u, err := url.ParseRequestURI(path)
						if err != nil {
							t.Fatal(err)
						}
						direct := asking("/", all...)
						direct.Method, direct.URL, direct.RequestURI, direct.Host = method, u, path, "app.example.com"
						var backend http.Header
						want := httptest.NewRecorder()
						if err := h.gateway.Handle(want, direct, func(w http.ResponseWriter, r *http.Request) error {
							backend = r.Header.Clone()
							return nil
						}); err != nil {
							h.gateway.WriteError(want, direct, err)
						}
						got := h.serve(tell(method, home+path, all...))
						if passed := got.Code == http.StatusOK; passed != (backend != nil) {
							t.Fatalf("%s: answered %d, but here it passes: %v", what, got.Code, backend != nil)
						} else if passed {
							if told, is := identityIn(got.Header()), identityIn(backend); fmt.Sprint(told) != fmt.Sprint(is) || user != "nobody" && user != "forged" && len(is) < 4 {
								t.Errorf("%s: told of %v, the backend hears %v", what, told, is)
							}
							if got.Body.Len() > 0 {
								t.Errorf("%s: body %q", what, got.Body)
							}
							if got.Header().Get("Cache-Control") != "no-store" {
								t.Errorf("%s: Cache-Control %q", what, got.Header().Get("Cache-Control"))
							}
							continue
						}
						if len(identityIn(got.Header())) > 0 {
							t.Errorf("%s: refused, and told who it is", what)
						}
						status, to := want.Code, want.Header().Get("Location")
						if call := want.Header().Get("Grpc-Status"); call != "" {
							status = map[string]int{"16": 401, "7": 403, "3": 400}[call]
						}
						if status/100 == 3 && name != "redirect" && name != "path" {
							status = http.StatusUnauthorized
						}
						if strings.HasPrefix(to, "/") {
							to = home + to
						}
						if before, _, is := strings.Cut(to, "&form="); is {
							to = before + "&lost=unavailable" // the proxy has what was sent, not the gateway
						}
						if got.Code != status || got.Header().Get("Location") != to {
							t.Errorf("%s: answered %d %q, want %d %q", what, got.Code, got.Header().Get("Location"), status, to)
						}
						if got.Header().Get("Cache-Control") != "no-store" {
							t.Errorf("%s: Cache-Control %q", what, got.Header().Get("Cache-Control"))
						}
					}
				}
			}
		}
	}
	if asked < 5000 {
		t.Errorf("only %d were asked", asked)
	}
}

// Who is no trusted proxy asks for himself: he would learn what others may, and get the headers that a backend believes.
func TestVerifyIsForTrustedProxies(t *testing.T) {
	h := asker(t)
	cookie := h.signInCookie(newSigner(1))
	for name, tell := range map[string]askedBy{"forwarded": byForwarded, "original": byOriginal, "path": byPath} {
		r := tell("GET", home+"/public/x", cookie...)
		r.RemoteAddr = "198.51.100.7:1234"
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		a := h.serve(r)
		a.refused(403, "untrusted_proxy")
		if len(identityIn(a.Header())) > 0 {
			t.Errorf("%s: told who it is: %v", name, a.Header())
		}
		if a := h.serve(tell("GET", home+"/public/x", cookie...)); a.Code != 200 {
			t.Errorf("%s: a trusted proxy is answered %d", name, a.Code)
		}
	}
	none := build(t)
	none.serve(byForwarded("GET", home+"/", none.signInCookie(newSigner(1))...)).refused(403, "untrusted_proxy")
}

// A client says what a proxy leaves unsaid: what is missing, stands twice or does not agree is refused, whoever said it.
func TestVerifyRefusesWhatItCannotTrust(t *testing.T) {
	h := asker(t)
	cookie := h.signInCookie(newSigner(1))
	whole := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com", "X-Forwarded-Uri", "/public/x"}
	without := func(name string) []string {
		i := slices.Index(whole, name)
		return slices.Delete(slices.Clone(whole), i, i+2)
	}
	with := func(name, value string) []string { return append(without(name), name, value) }
	and := func(headers ...string) []string { return append(slices.Clone(whole), headers...) }
	original := []string{"X-Original-Method", "GET", "X-Original-URL", home + "/public/x"}
	for name, headers := range map[string][]string{
		"nothing":                          nil,
		"no method":                        without("X-Forwarded-Method"),
		"no scheme":                        without("X-Forwarded-Proto"),
		"no host":                          without("X-Forwarded-Host"),
		"no target":                        without("X-Forwarded-Uri"),
		"empty target":                     with("X-Forwarded-Uri", ""),
		"method twice":                     and("X-Forwarded-Method", "GET"),
		"scheme twice":                     and("X-Forwarded-Proto", "https"),
		"host twice":                       and("X-Forwarded-Host", "app.example.com"),
		"target twice":                     and("X-Forwarded-Uri", "/public/x"),
		"schemes in a list":                with("X-Forwarded-Proto", "https, https"),
		"hosts in a list":                  with("X-Forwarded-Host", "app.example.com, app.example.com"),
		"methods in a list":                with("X-Forwarded-Method", "GET, GET"),
		"target of another form":           with("X-Forwarded-Uri", home+"/public/x"),
		"no path":                          with("X-Forwarded-Uri", "public/x"),
		"a star":                           with("X-Forwarded-Uri", "*"),
		"bad escapes":                      with("X-Forwarded-Uri", "/public/%zz"),
		"a fragment":                       with("X-Forwarded-Uri", "/public/x#/admin"),
		"another scheme":                   with("X-Forwarded-Proto", "http"),
		"another host":                     with("X-Forwarded-Host", "evil.example"),
		"a host above":                     with("X-Forwarded-Host", "example.com"),
		"a host below":                     with("X-Forwarded-Host", "x.app.example.com"),
		"another port":                     with("X-Forwarded-Host", "app.example.com:8443"),
		"user information":                 with("X-Forwarded-Host", "app.example.com@evil.example"),
		"a method that is none":            with("X-Forwarded-Method", "get"),
		"CONNECT":                          with("X-Forwarded-Method", "CONNECT"),
		"nginx without method":             original[2:],
		"nginx without URL":                original[:2],
		"nginx with a path":                {"X-Original-Method", "GET", "X-Original-URL", "/public/x"},
		"nginx with another host":          {"X-Original-Method", "GET", "X-Original-URL", "https://evil.example/public/x"},
		"nginx with another scheme":        {"X-Original-Method", "GET", "X-Original-URL", "http://app.example.com/public/x"},
		"nginx with no path":               {"X-Original-Method", "GET", "X-Original-URL", home},
		"nginx with a query for a path":    {"X-Original-Method", "GET", "X-Original-URL", home + "?/public/x"},
		"nginx, URL twice":                 append(slices.Clone(original), original[2:]...),
		"both, another path":               and("X-Original-Method", "GET", "X-Original-URL", home+"/public/y"),
		"both, another method":             and("X-Original-Method", "POST", "X-Original-URL", home+"/public/x"),
		"both, another host":               and("X-Original-Method", "GET", "X-Original-URL", "https://evil.example/public/x"),
		"both, another scheme":             and("X-Original-Method", "GET", "X-Original-URL", "http://app.example.com/public/x"),
		"both, no URL":                     and("X-Original-URL", "nonsense"),
		"another X-Original-URI":           and("X-Original-URI", "/public/y"),
		"nginx, another X-Forwarded-Uri":   append(slices.Clone(original), "X-Forwarded-Uri", "/public/y"),
		"nginx, another X-Forwarded-Host":  append(slices.Clone(original), "X-Forwarded-Host", "evil.example"),
		"nginx, another X-Forwarded-Proto": append(slices.Clone(original), "X-Forwarded-Proto", "http"),
		"nginx, another method":            append(slices.Clone(original), "X-Forwarded-Method", "HEAD"),
		"another protocol":                 and("Connection", "Upgrade", "Upgrade", "h2c"),
		"two protocols":                    and("Connection", "Upgrade", "Upgrade", "websocket, h2c"),
	} {
		a := h.serve(asking("/auth/verify", append(slices.Clip(headers), cookie...)...))
		if a.Code != 400 || len(identityIn(a.Header())) > 0 {
			t.Errorf("%s: answered %d", name, a.Code)
		}
	}
	for name, headers := range map[string][]string{
		"whole":                   whole,
		"the scheme's own port":   with("X-Forwarded-Host", "APP.example.com:443"),
		"scheme of a websocket":   with("X-Forwarded-Proto", "wss"),
		"both conventions":        and("X-Original-Method", "GET", "X-Original-URL", "https://app.example.com:443/public/x", "X-Original-URI", "/public/x"),
		"nginx":                   original,
		"nginx and a scheme":      append(slices.Clone(original), "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com"),
		"nginx and the rest":      append(slices.Clone(original), without("X-Forwarded-Method")...),
		"commas in the target":    with("X-Forwarded-Uri", "/public/x,y?z=1,2"),
		"what HTTP/1 curl offers": and("Http2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
	} {
		if a := h.serve(asking("/auth/verify", append(slices.Clip(headers), cookie...)...)); a.Code != 200 {
			t.Errorf("%s: answered %d: %s", name, a.Code, a.Body)
		}
	}
	for _, query := range []string{"redirect=1", "redirected", "x"} {
		r := asking("/auth/verify?"+query, whole...)
		h.serve(r).refused(400, "invalid_request")
	}
	r := asking("/auth/verify", whole...)
	r.Method = "POST"
	if a := h.serve(r); a.Code != 405 || a.Header().Get("Allow") == "" {
		t.Errorf("POST verify: %d, Allow %q", a.Code, a.Header().Get("Allow"))
	}
	// Whoever sets up a proxy reads what it has to send.
	r = byPath("GET", home+"/public/x", cookie...)
	r.Header.Del("X-Forwarded-Proto")
	for r, says := range map[*http.Request]string{
		r: "it takes X-Forwarded-Proto", asking("/auth/verify", without("X-Forwarded-Method")...): "it takes X-Forwarded-Method, ",
		asking("/auth/verify", original[2:]...): "X-Original-Method and X-Original-URL",
	} {
		if a := h.serve(r).refused(400, "invalid_request"); !strings.Contains(a.Body.String(), says) {
			t.Errorf("it does not say %q: %s", says, a.Body)
		}
	}
}

// A client that calls itself somebody, or names another method or path, has it from the proxy that the backend hears it: the
// proxy takes away what it was told to at the most. Of names with "_" or "." this hears nothing where Caddy stands around it: what
// becomes of those, and of all spellings, is shown through Caddy.
func TestVerifyRefusesHeadersThatClientsMayNotSend(t *testing.T) {
	h := asker(t)
	for _, name := range []string{
		"Remote-User", "Remote~User", "REMOTE+USER", "Remote-Groups", "X-Authgate-Subject", "X|Authgate-Assertion", "X-WEBAUTH-USER", "X-Webauth'User",
		"X-HTTP-Method-Override", "X!HTTP!METHOD!OVERRIDE", "X-Rewrite-URL", "X~Original~URL", "X+Forwarded+Uri", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Script-Name",
	} {
		for _, tell := range []askedBy{byForwarded, byOriginal, byPath} {
			for _, path := range []string{"/public/x", "/reports"} {
				r := tell("GET", home+path)
				r.Header[http.CanonicalHeaderKey(name)] = []string{"admin"}
				h.serve(r).refused(400, "invalid_request")
			}
		}
	}
}

// The gateway's own routes are not judged: they must neither be let through to a backend nor done, which would sign
// somebody out by a question.
func TestVerifyOfOwnRoutes(t *testing.T) {
	h := asker(t, func(c *RealmConfig, _ *Site) { c.Passkey = &PasskeyConfig{RPID: "app.example.com"} })
	cookie := h.signInCookie(newSigner(1))
	for _, tell := range []askedBy{byForwarded, byRedirect, byOriginal, byPath} {
		for _, path := range []string{
			"/auth", "/auth/", "/auth/session", "/auth/sign-in", "/auth/verify", "/auth/verify/x", "/auth//session", "/auth/%73ession", "/x/../auth/session", "/auth/..;/admin",
			"/.well-known/passkey-endpoints",
		} {
			a := h.serve(tell("GET", home+path, cookie...))
			a.refused(403, "forbidden")
			if len(identityIn(a.Header())) > 0 {
				t.Errorf("%s: told who it is", path)
			}
		}
		h.serve(tell("POST", home+"/auth/sign-out", cookie...)).refused(403, "forbidden")
	}
	if h.signedInAs(cookie) == "" {
		t.Error("a question signed out")
	}
}

// The path after verify/ is that of another request. Were it cleaned as a path of this one, it could lead away from verify, to
// whatever stands behind the gateway here, and that may answer 200.
func TestVerifyBelowStaysAQuestion(t *testing.T) {
	h := asker(t)
	cookie := h.signInCookie(newSigner(2))
	for _, path := range []string{"/../../public/x", "/..", "/../../admin", "/%2e%2e/%2e%2e/public/x", "//x", "/../verify", "/../session", "/..;/x"} {
		for _, headers := range [][]string{nil, cookie} {
			r := byPath("GET", home+path, headers...)
			a := h.serve(r)
			if a.Code == http.StatusTeapot {
				t.Errorf("%s: it was passed on", path)
			}
			direct := asking("/", headers...)
			direct.URL, direct.RequestURI, direct.Host = mustParse(path), path, "app.example.com"
			_, own := h.gateway.ownPath(direct)
			passes := h.serve(direct).Code == http.StatusTeapot && !own
			if passes != (a.Code == 200) {
				t.Errorf("%s: answered %d, here it passes: %v", path, a.Code, passes)
			}
		}
	}
	// Spelt otherwise it is no question that can be read.
	r := byPath("GET", home+"/public/x")
	r.RequestURI = "/auth/%76erify/public/x"
	h.serve(r).refused(400, "invalid_target")
}

func mustParse(target string) *url.URL {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	return u
}

// A refused call of gRPC is 200 with a status in trailers, which a proxy would take for yes.
func TestVerifyRefusesCallsOfGRPC(t *testing.T) {
	h := asker(t)
	for _, tell := range []askedBy{byForwarded, byRedirect, byOriginal, byPath} {
		for target, want := range map[string]int{home + "/x": 401, home + "/internal/x": 403, home + "/%00": 400, "https://evil.example/": 400, home + "/auth/session": 403} {
			if a := h.serve(tell("POST", target, "Content-Type", "application/grpc+proto", "Te", "trailers")); a.Code != want {
				t.Errorf("%s: answered %d, want %d", target, a.Code, want)
			}
		}
		r := tell("POST", home+"/x", "Content-Type", "application/grpc")
		r.RemoteAddr = "198.51.100.7:1"
		h.serve(r).refused(403, "untrusted_proxy")
	}
}

// Whatever Handle itself answers with 200, a page say, is no yes.
func TestOnlyWhatPassesIsAnsweredWith200(t *testing.T) {
	h := asker(t)
	for _, status := range []int{200, 204, 103, 302, 303, 307, 404, 503} {
		for _, redirects := range []bool{false, true} {
			w := httptest.NewRecorder()
			v := &verdict{ResponseWriter: w, gateway: h.gateway, redirects: redirects}
			v.WriteHeader(status)
			want := status
			if status < 200 { // the answer is still to come
				want = 404
				v.WriteHeader(want)
			}
			_, _ = v.Write([]byte("page"))
			switch {
			case status < 200:
			case status < 300:
				want = 403
			case status < 400 && !redirects:
				want = 401
			}
			if w.Code != want {
				t.Errorf("%d (redirects: %v) becomes %d, want %d", status, redirects, w.Code, want)
			}
		}
	}
}

// A panic on the way, too, is no yes, and no answer to a call of gRPC.
func TestVerifySurvivesAPanic(t *testing.T) {
	h := asker(t, func(c *RealmConfig, s *Site) {
		s.Identified = func(*http.Request, *authcore.Identity) { panic("in Handle") }
		trusted := c.TrustedProxy
		c.TrustedProxy = func(r *http.Request) bool {
			if r.Header.Get("X-Panic") != "" {
				panic("before Handle")
			}
			return trusted(r)
		}
	})
	for _, headers := range [][]string{{"Content-Type", "application/grpc"}, {"Content-Type", "application/grpc", "X-Panic", "now"}} {
		w := httptest.NewRecorder()
		if err := h.gateway.Handle(w, byForwarded("POST", home+"/public/x", headers...), nil); err != nil {
			t.Errorf("%v is left to the error routes of a server, and these may answer 200", err)
		}
		answer{t, w}.refused(500, "internal")
	}
}

// A page of another site opens a websocket with the user's cookie: most proxies keep Upgrade to themselves when they ask, so
// what else comes with a websocket has to tell.
func TestVerifyOfWebsockets(t *testing.T) {
	h := asker(t)
	cookie, bearer := h.signInCookie(newSigner(2)), h.signInTokens(newSigner(2)).bearer()
	signs := map[string][]string{
		"upgrade": {"Connection", "Upgrade", "Upgrade", "websocket"}, "key": {"Sec-WebSocket-Key", "x"}, "version": {"Sec-WebSocket-Version", "13"},
	}
	for _, tell := range []askedBy{byForwarded, byOriginal, byPath} {
		for sign, headers := range signs {
			for _, method := range []string{"GET", "CONNECT"} {
				if method == "CONNECT" && sign == "upgrade" {
					continue
				}
				open := func(more ...string) int { return h.serve(tell(method, home+"/x", append(more, headers...)...)).Code }
				for name, one := range map[string]struct{ got, want int }{
					"own page":     {open(append(cookie, "Origin", home)...), 200},
					"foreign page": {open(append(cookie, "Origin", "https://evil.example")...), 403},
					"two origins":  {open(append(cookie, "Origin", home, "Origin", home)...), 403},
					"program":      {open(append(bearer, "Origin", "https://evil.example")...), 200},
					"nobody":       {open("Origin", home), 401},
				} {
					if one.got != one.want {
						t.Errorf("%s %s, %s: answered %d, want %d", method, sign, name, one.got, one.want)
					}
				}
			}
		}
		// What other methods say of websockets makes nothing of them that is judged less.
		if a := h.serve(tell("POST", home+"/posts/7", append(cookie, signs["key"]...)...)); a.Code != 403 {
			t.Errorf("POST as a websocket: %d", a.Code)
		}
	}
}

// A browser whose access token has run out gets a new one by way of the proxy, and who asks it what to do with a stale one is
// told to clear nothing.
func TestVerifyRenewsTheCookie(t *testing.T) {
	h := asker(t)
	cookie := h.signInCookie(newSigner(2))
	if a := h.serve(byForwarded("GET", home+"/x", cookie...)); a.Code != 200 || len(a.Header()["Set-Cookie"]) > 0 {
		t.Fatalf("%d, Set-Cookie %q", a.Code, a.Header()["Set-Cookie"])
	}
	h.now = h.now.Add(6 * time.Minute)
	for _, tell := range []askedBy{byForwarded, byOriginal, byPath} {
		a := h.serve(tell("GET", home+"/x", cookie...))
		renewed, set := a.cookie()
		if a.Code != 200 || !set || renewed == cookie[1] || renewed == "" {
			t.Fatalf("%d, Set-Cookie %q", a.Code, a.Header()["Set-Cookie"])
		}
		if a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control %q", a.Header().Get("Cache-Control"))
		}
	}
}

// A store that is down is told as that, and passes nobody who is not known.
func TestVerifyWhileTheStoreIsDown(t *testing.T) {
	h := asker(t)
	cookie := h.signInCookie(newSigner(2))
	h.faults.breakDown("Session", "User")
	if a := h.serve(byForwarded("GET", home+"/x", cookie...)); a.Code != 200 {
		t.Errorf("answered %d within the life of the access token", a.Code)
	}
	for _, at := range []string{"/strict/x", "/x"} {
		a := h.serve(byForwarded("GET", home+at, cookie...))
		a.refused(503, "unavailable")
		if a.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.now = h.now.Add(6 * time.Minute)
	}
}

// Who comes through the proxy of another host below the cookie domain signs in on the origin, and is led back; a stranger's
// link leads nowhere else.
func TestVerifyOfHostsBelowTheCookieDomain(t *testing.T) {
	h := asker(t, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	cookie := h.signInCookie(newSigner(2))
	for host, want := range map[string]int{
		"wiki.example.com": 200, "a.b.example.com:8443": 200, "example.com": 200, "app.example.com": 200, "app.example.com:8443": 200, "Wiki.Example.com": 200,
		"evil.example": 400, "notexample.com": 400, "example.com.evil.example": 400, "evil.example\\.example.com": 400, "x@y.example.com": 400, "evil.example/.example.com": 400,
		"wiki.example.com.": 400, ".example.com": 400, "wiki..example.com": 400, "wiki.example.com:99999": 400, "wiki.example.com:": 400, "evil.example?.example.com": 400,
		"evil.example#.example.com": 400, "wiki.example.com:x": 400,
	} {
		r := byForwarded("GET", home+"/x", cookie...)
		r.Header.Set("X-Forwarded-Host", host)
		if a := h.serve(r); a.Code != want {
			t.Errorf("%s: answered %d, want %d", host, a.Code, want)
		}
	}
	a := h.serve(byRedirect("GET", "https://wiki.example.com/page?x=1&y=%2F", "Accept", "text/html"))
	to, err := url.Parse(a.Header().Get("Location"))
	if a.Code != 302 || err != nil || to.Scheme+"://"+to.Host+to.Path != home+"/auth/sign-in" {
		t.Fatalf("%d %q", a.Code, a.Header().Get("Location"))
	}
	back := to.Query().Get("return_to")
	if h.gateway.safeReturn(back) != back || !strings.HasPrefix(back, "/auth/back?") {
		t.Fatalf("return_to %q", back)
	}
	lead := func(path string) string {
		r := h.request("GET", "", "")
		r.URL = mustParse(path)
		a := h.serve(r)
		if a.Code != 302 {
			t.Errorf("%s: answered %d", path, a.Code)
		}
		return a.Header().Get("Location")
	}
	if got := lead(back); got != "https://wiki.example.com/page?x=1&y=%2F" {
		t.Errorf("led back to %s", got)
	}
	for _, evil := range []string{
		"https://evil.example/", "http://wiki.example.com/", "//wiki.example.com/", "https://evil.example\\.example.com/", "https://x:y@wiki.example.com/", "javascript://example.com/%0aalert(1)",
		"https://wiki.example.com.evil.example/", "", "/x", "https://wiki.example.com", "https://wiki.example.com:443@evil.example/", "https://evil.example?.example.com/", "https://evil.example#.example.com/",
	} {
		if got := lead("/auth/back?to=" + url.QueryEscape(evil)); got != "/" {
			t.Errorf("%s leads to %s", evil, got)
		}
	}
	if got := lead("/auth/back?to=" + url.QueryEscape("https://wiki.example.com//evil.example")); got != "https://wiki.example.com/" {
		t.Errorf("led back to %s", got)
	}
	h = asker(t)
	h.do("GET", "back?to=https://app.example.com/", "").refused(404, "not_found")
}

// Envoy keeps what the client sent of a header that is not answered, so that it is told to remove those, and what carries
// credentials of the gateway alone.
func TestVerifyTellsEnvoyWhatToRemove(t *testing.T) {
	h := asker(t)
	cookie, bearer := h.signInCookie(newSigner(2)), h.signInTokens(newSigner(2)).bearer()
	token := h.newToken(bearer, "").Token
	removed := func(headers ...string) []string {
		t.Helper()
		a := h.serve(byPath("GET", home+"/public/x", headers...))
		if a.Code != 200 {
			t.Fatalf("answered %d", a.Code)
		}
		return strings.Split(a.Header().Get("X-Envoy-Auth-Headers-To-Remove"), ",")
	}
	for name, one := range map[string]struct {
		headers []string
		has     []string
		lacks   []string
	}{
		"nobody":         {nil, []string{"remote-user", "x-authgate-assertion", "x-webauth-user", "x-http-method-override"}, []string{"cookie", "authorization"}},
		"cookie":         {cookie, []string{"remote-email", "remote-groups", "cookie"}, []string{"remote-user", "x-authgate-assertion", "x-webauth-user"}},
		"another cookie": {[]string{"Cookie", "theme=dark"}, []string{"remote-user"}, []string{"cookie"}},
		"bearer":         {bearer, []string{"authorization"}, []string{"remote-user"}},
		"key":            {[]string{"X-API-Key", token}, []string{"x-api-key"}, []string{"remote-user"}},
		"another key":    {[]string{"X-API-Key", "of-the-backend"}, []string{"remote-user"}, []string{"x-api-key"}},
		"another bearer": {[]string{"Authorization", "Bearer of-the-backend"}, []string{"remote-user"}, []string{"authorization"}},
	} {
		got := removed(one.headers...)
		for _, want := range one.has {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is not to be removed: %q", name, want, got)
			}
		}
		for _, kept := range one.lacks {
			if slices.Contains(got, kept) {
				t.Errorf("%s: %s is to be removed", name, kept)
			}
		}
	}
	if a := h.serve(byForwarded("GET", home+"/public/x")); a.Header().Get("X-Envoy-Auth-Headers-To-Remove") != "" {
		t.Error("other proxies are told what Envoy is to do")
	}
}

// Whatever a proxy tells, nothing is judged but one request on hosts of this site, and no reading of it is a panic.
func FuzzForwarded(f *testing.F) {
	h := asker(f, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	f.Add("GET", "https", "app.example.com", "/x", "", "", "websocket")
	f.Add("", "", "", "", "POST", "https://wiki.example.com/a?b", "")
	f.Add("CONNECT", "wss", "APP.example.com:443", "//x/../%2e", "GET", "https://x/", "h2c")
	f.Fuzz(func(t *testing.T, method, proto, host, uri, originalMethod, originalURL, upgrade string) {
		r := asking("/auth/verify")
		for name, value := range map[string]string{
			"X-Forwarded-Method": method, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "X-Forwarded-Uri": uri, "X-Original-Method": originalMethod,
			"X-Original-Url": originalURL, "Upgrade": upgrade,
		} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		asked, err := h.gateway.askedOf(r, verifyRoute)
		if err == nil {
			switch {
			case !strings.HasPrefix(asked.target, "/") || asked.url == nil:
				t.Errorf("target %q", asked.target)
			case asked.scheme != "https":
				t.Errorf("scheme %q", asked.scheme)
			case method != "" && asked.method != method, originalMethod != "" && asked.method != originalMethod, uri != "" && asked.target != uri:
				t.Errorf("%+v is not what was told", asked)
			}
			if u, err := url.Parse("https://" + asked.host + "/"); err != nil || u.Host != asked.host || u.Hostname() != "example.com" && !strings.HasSuffix(u.Hostname(), ".example.com") {
				t.Errorf("host %q", asked.host)
			}
		}
		w := httptest.NewRecorder()
		if failed := h.gateway.Handle(w, r, nil); failed != nil || w.Code == 200 && err != nil {
			t.Errorf("answered %d, %v, %v", w.Code, failed, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := asker(b)
	cookie := h.signInCookie(newSigner(2))
	r := byForwarded("GET", home+"/x", cookie...)
	came := r.Header
	b.ReportAllocs()
	for b.Loop() {
		r.Header = came.Clone()
		w := httptest.NewRecorder()
		if err := h.gateway.Handle(w, r, nil); err != nil || w.Code != 200 {
			b.Fatal(w.Code, err)
		}
	}
}
