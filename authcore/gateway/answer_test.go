package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Headers of clients as they really send them, less what tells nothing.
const (
	chromium   = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	acceptHTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

// fetching answers the headers by which browsers tell what they want.
func fetching(site, mode, dest string, more ...string) []string {
	return append([]string{"User-Agent", chromium, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}, more...)
}

// clientKind is a client, and in which form it is to be answered.
type clientKind struct {
	name, method string
	proto        int // of HTTP; 0: 1
	header       []string
	want         kind
}

var clientKinds = []clientKind{
	{"navigation, typed", "GET", 0, fetching("none", "navigate", "document", "Accept", acceptHTML), navigation},
	{"navigation, by a link", "GET", 2, fetching("cross-site", "navigate", "document", "Accept", acceptHTML), navigation},
	{"navigation over HTTP/3", "GET", 3, fetching("same-origin", "navigate", "document", "Accept", acceptHTML), navigation},
	{"form", "POST", 0, fetching("same-origin", "navigate", "document", "Accept", acceptHTML, "Origin", home, "Content-Type", "application/x-www-form-urlencoded"), navigation},
	{"frame", "GET", 0, fetching("same-origin", "navigate", "iframe", "Accept", acceptHTML), navigation},
	{"navigation preload of a service worker", "GET", 0, fetching("same-origin", "navigate", "document", "Accept", acceptHTML, "Service-Worker-Navigation-Preload", "true"), navigation},
	{"navigation that a service worker fetches", "GET", 0, fetching("same-origin", "navigate", "empty", "Accept", acceptHTML), navigation},
	{"older browser", "GET", 0, []string{"User-Agent", chromium, "Accept", acceptHTML}, navigation},
	{"text browser", "GET", 0, []string{"User-Agent", "Lynx/2.9.0", "Accept", "text/html, text/plain, */*"}, navigation},

	{"fetch", "GET", 0, fetching("same-origin", "cors", "empty", "Accept", "*/*"), ofPage},
	{"fetch of pages", "GET", 2, fetching("same-origin", "cors", "empty", "Accept", acceptHTML), ofPage},
	{"fetch of another origin", "POST", 0, fetching("cross-site", "cors", "empty", "Accept", "*/*", "Origin", "https://other.example"), ofPage},
	{"fetch of another origin, by what does not tell", "GET", 0, []string{"User-Agent", "x", "Accept", "*/*", "Origin", "https://other.example"}, ofPage},
	{"fetch without CORS", "GET", 0, fetching("cross-site", "no-cors", "empty", "Accept", "*/*"), ofPage},
	{"preflight", "OPTIONS", 0, fetching("cross-site", "cors", "empty", "Accept", "*/*", "Origin", "https://other.example", "Access-Control-Request-Method", "PUT"), ofPage},
	{"fetch to an origin without TLS", "GET", 0, []string{"User-Agent", chromium, "Accept", "*/*"}, ofPage},
	{"link to download", "GET", 0, fetching("same-origin", "navigate", "empty", "Accept", "*/*"), ofPage},
	{"XHR of an older browser", "GET", 0, []string{"User-Agent", chromium, "Accept", acceptHTML, "X-Requested-With", "XMLHttpRequest"}, ofPage},
	{"XHR by DAV", "PROPFIND", 0, fetching("same-origin", "cors", "empty", "Accept", "*/*"), ofPage},
	{"EventSource", "GET", 0, fetching("same-origin", "cors", "empty", "Accept", "text/event-stream"), ofPage},
	{"EventSource of an older browser", "GET", 0, []string{"User-Agent", chromium, "Accept", "text/event-stream"}, ofPage},
	{"image", "GET", 0, fetching("same-origin", "no-cors", "image", "Accept", "image/avif,*/*"), ofPage},
	{"service worker", "GET", 0, fetching("same-origin", "same-origin", "serviceworker", "Accept", "*/*", "Service-Worker", "script"), ofPage},
	{"service worker of an older browser", "GET", 0, []string{"User-Agent", chromium, "Accept", acceptHTML, "Service-Worker", "script"}, ofPage},
	{"manifest", "GET", 0, fetching("same-origin", "cors", "manifest", "Accept", "*/*"), ofPage},
	{"prefetch", "GET", 0, fetching("same-origin", "navigate", "document", "Accept", acceptHTML, "Sec-Purpose", "prefetch"), ofPage},
	{"prerender", "GET", 2, fetching("none", "navigate", "document", "Accept", acceptHTML, "Sec-Purpose", "prefetch;prerender", "Purpose", "prefetch"), ofPage},
	{"prefetch of Firefox", "GET", 0, []string{"User-Agent", chromium, "Accept", acceptHTML, "X-Moz", "prefetch"}, ofPage},
	{"preview of Safari", "GET", 0, []string{"User-Agent", chromium, "Accept", acceptHTML, "X-Purpose", "preview"}, ofPage},
	{"plug-in", "GET", 0, fetching("same-origin", "navigate", "embed", "Accept", "*/*"), ofPage},

	{"websocket", "GET", 1, fetching("same-origin", "websocket", "empty", "Connection", "Upgrade", "Upgrade", "websocket", "Origin", home), socket},
	{"websocket of a program", "GET", 1, []string{"Connection", "Upgrade", "Upgrade", "websocket"}, socket},
	{"websocket over HTTP/2", "CONNECT", 2, []string{":protocol", "websocket"}, socket},
	{"websocket over HTTP/3", "CONNECT", 3, []string{}, socket},

	{"gRPC", "POST", 2, []string{"Content-Type", "application/grpc", "Te", "trailers", "User-Agent", "grpc-go/1.84.0"}, call},
	{"gRPC with a codec", "POST", 2, []string{"Content-Type", "application/grpc+proto"}, call},
	{"gRPC-Web", "POST", 0, fetching("same-origin", "cors", "empty", "Content-Type", "application/grpc-web-text", "Accept", "application/grpc-web-text"), call},
	{"not gRPC", "POST", 0, []string{"Content-Type", "application/grpcurl"}, program},
	{"not gRPC either", "GET", 0, []string{"Content-Type", "application/grpc"}, program},

	{"curl", "GET", 0, []string{"User-Agent", "curl/8.14.1", "Accept", "*/*"}, program},
	{"Go", "GET", 2, []string{"User-Agent", "Go-http-client/2.0"}, program},
	{"git", "GET", 0, []string{"User-Agent", "git/2.47.3", "Accept", "*/*", "Pragma", "no-cache"}, program},
	{"nothing but a request line", "GET", 0, nil, program},
	{"DAVx5", "PROPFIND", 0, []string{"User-Agent", "DAVx5/4.5.1-ose (dav4jvm; okhttp/4.12.0) Android/15", "Depth", "0"}, program},
	{"Konqueror", "PROPFIND", 0, []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Konqueror/5.0", "Accept", acceptHTML}, program},
	{"mail program that is a browser underneath", "REPORT", 0, []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0", "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"}, program},
	{"calendar of iOS", "OPTIONS", 0, []string{"User-Agent", "iOS/18.0 (22A3354) dataaccessd/1.0", "Accept", "*/*"}, program},
	{"EventSource of a program", "GET", 0, []string{"User-Agent", "curl/8.14.1", "Accept", "text/event-stream"}, program},
}

// request makes the client's request for a path.
func (c clientKind) request(path string, more ...string) *http.Request {
	r := httptest.NewRequest(c.method, home+path, http.NoBody)
	if c.proto > 1 {
		r.ProtoMajor, r.ProtoMinor, r.Proto = c.proto, 0, "HTTP/2.0"
		if c.proto == 3 {
			if r.Proto = "HTTP/3.0"; c.method == "CONNECT" {
				r.Proto = "websocket"
			}
		}
	}
	if c.method == "CONNECT" {
		r.RequestURI = path
	}
	header := slices.Concat(c.header, more)
	for i := 0; i < len(header); i += 2 {
		r.Header[http.CanonicalHeaderKey(header[i])] = append(r.Header[http.CanonicalHeaderKey(header[i])], header[i+1])
	}
	return r
}

func TestKinds(t *testing.T) {
	g := &Gateway{}
	for _, c := range clientKinds {
		if got := g.kindOf(c.request("/x")); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// The whole table: what each kind of client is answered, whatever the reason. A redirect is for who waits for a page, a
// dialog for nobody who is at one, and gRPC looks at no HTTP status.
func TestAnswersByKind(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Deny: true, Paths: []string{"/internal/*"}},
			{SignedIn: true, Paths: []string{"/vault/*"}, With: []authcore.Method{authcore.Wallet}, Within: time.Minute},
			{SignedIn: true},
		}
	})
	cookie := h.signInCookie(newSigner(1))
	h.now = h.now.Add(2 * time.Minute)
	basic, bearer := `Basic realm="`+home+`", charset="UTF-8"`, `Bearer realm="`+home+`"`
	reasons := []struct {
		name, path string
		header     []string
		down       bool
		status     int
		code       string
		to         string // of navigations
		grpc       string
		challenge  string
	}{
		{"signed out", "/x?y=1", nil, false, 401, "unauthenticated", "/auth/sign-in?return_to=%2Fx%3Fy%3D1", "16", bearer},
		{"denied", "/internal/x", nil, false, 403, "forbidden", "", "7", ""},
		{"denied though signed in", "/internal/x", cookie, false, 403, "forbidden", "", "7", ""},
		{"no evidence", "/vault/x", cookie, false, 401, "step_up_required", "/auth/confirm?return_to=%2Fvault%2Fx&with=wallet&within=60", "16", bearer + `, error="insufficient_user_authentication", max_age="60"`},
		{"no sane path", "/%00", nil, false, 400, "invalid_target", "", "3", ""},
		{"store down", "/x", []string{"Cookie", strings.Replace(cookie[1], ".", ".x", 1)}, true, 503, "unavailable", "", "14", ""},
	}
	for _, reason := range reasons {
		if reason.down {
			h.faults.breakDown("Session")
		}
		for _, c := range clientKinds {
			a := h.serve(c.request(reason.path, reason.header...))
			name := reason.name + ", " + c.name
			head := a.Header()
			if head.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q", name, head.Get("Cache-Control"))
			}
			switch {
			case c.want == call:
				if a.Code != 200 || head.Get("Grpc-Status") != reason.grpc || head.Get("Grpc-Message") != reason.code || head.Get("Content-Type") != c.request("/x").Header.Get("Content-Type") {
					t.Errorf("%s: %d %v", name, a.Code, head)
				}
				if a.Body.Len() != 0 || head["Www-Authenticate"] != nil {
					t.Errorf("%s: %v %q", name, head, a.Body)
				}
				continue
			case c.want == navigation && reason.to != "":
				status := 302
				if c.method == "POST" {
					status = 303
				}
				to, _, _ := strings.Cut(head.Get("Location"), "&form=") // what was sent is kept
				if a.Code != status || to != reason.to {
					t.Errorf("%s: %d to %s", name, a.Code, to)
				}
				continue
			case c.want == navigation:
				if a.Code != reason.status || !strings.HasPrefix(head.Get("Content-Type"), "text/html") || !strings.Contains(a.Body.String(), "code="+reason.code) {
					t.Errorf("%s: %d %q", name, a.Code, a.Body)
				}
				continue
			}
			if c.want == socket && c.proto != 1 {
				if a.Code != reason.status {
					t.Errorf("%s: %d", name, a.Code)
				}
			} else {
				a.refused(reason.status, reason.code)
			}
			var want []string
			if reason.challenge != "" {
				want = []string{reason.challenge}
				if c.want == program && reason.challenge == bearer {
					want = []string{basic, bearer}
				}
			}
			if got := head["Www-Authenticate"]; !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			if head.Get("Location") != "" || (head.Get("Retry-After") != "") != (reason.status == 503) {
				t.Errorf("%s: %v", name, head)
			}
		}
		h.faults.repair()
	}
}

// What is told is what it takes: which methods, and how new.
func TestStepUpTellsWhatIsMissing(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{SignedIn: true, With: []authcore.Method{authcore.Wallet}, Within: time.Minute}}
	})
	bearer := h.signInTokens(newSigner(1)).bearer()
	h.now = h.now.Add(2 * time.Minute)
	var p struct {
		With   []string
		Within int
	}
	a := h.serve(clientKinds[len(clientKinds)-1].request("/x", bearer...))
	if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || !slices.Equal(p.With, []string{"wallet"}) || p.Within != 60 {
		t.Errorf("%v: %s", err, a.Body)
	}
}

// A client that sent a token learns that it was the token (RFC 6750 section 3.1), so that it fetches another one.
func TestRefusedBearerIsTold(t *testing.T) {
	h := build(t)
	want := `Bearer realm="` + home + `", error="invalid_token"`
	a := h.do("GET", "session", "", "Authorization", "Bearer x.y.z")
	if got := a.refused(401, "unauthenticated").Header()["Www-Authenticate"]; !slices.Equal(got, []string{want}) {
		t.Errorf("%q", got)
	}
}

// The gateway's own routes take no personal access token, so that they must not ask for one. Answers to programs look the
// same there, whatever the program calls its body.
func TestOwnRoutesAskForNoPassword(t *testing.T) {
	h := build(t)
	a := h.do("GET", "credentials", "", "User-Agent", "curl/8.14.1")
	if got := a.refused(401, "unauthenticated").Header()["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer realm="` + home + `"`}) {
		t.Errorf("%q", got)
	}
	r := h.request("POST", "challenge/create", "{}")
	r.Header.Set("Content-Type", "application/grpc")
	h.serve(r).refused(415, "unsupported_media_type")
}

// Where there are no personal access tokens, nobody is asked for a password that could not be one.
func TestNoPasswordWithoutPersonalTokens(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.Stores.PersonalAccessTokens = nil })
	r := h.request("GET", "", "", "User-Agent", "curl/8.14.1")
	r.URL.Path = "/x"
	if got := h.serve(r).Header()["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer realm="` + home + `"`}) {
		t.Errorf("%q", got)
	}
}
