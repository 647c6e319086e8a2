package endtoend

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// People are sent to sign in; programs are told 401, for a redirect would look like success to them.
func TestRedirectOrRefusal(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const page = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	for _, c := range []struct {
		name, method string
		lines        []string
		want         int
	}{
		{"browser navigates", "GET", []string{page, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none"}, 302},
		{"browser navigates from elsewhere", "GET", []string{page, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"}, 302},
		{"browser sends a form", "POST", []string{page, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 303},
		{"browser asks HEAD", "HEAD", []string{page, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 302},
		{"fetch of a script", "GET", []string{page, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, 401},
		{"image", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Accept: image/*"}, 401},
		{"script tag", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script", "Accept: */*"}, 401},
		{"old browser", "GET", []string{page}, 302},
		{"old browser sends a form", "POST", []string{page}, 303},
		{"curl", "GET", []string{"Accept: */*"}, 401},
		{"nothing said", "GET", nil, 401},
		{"JSON client", "GET", []string{"Accept: application/json"}, 401},
		{"XMLHttpRequest", "GET", []string{page, "X-Requested-With: XMLHttpRequest"}, 401},
		{"bearer token", "GET", []string{page, "Authorization: Bearer expired"}, 401},
		{"event stream", "GET", []string{"Accept: text/event-stream"}, 401},
		{"websocket", "GET", []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, 401},
		{"git", "GET", []string{"Accept: */*", "User-Agent: git/2.39"}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := g.send(t, requestBody(c.method, "/reports/x?a=b&c=%2F", "", c.lines...))
			g.backend.none(t)
			a.wantNoStore(t)
			if c.want == 401 {
				a.wantProblem(t, 401, "unauthenticated")
				if a.header.Get("Location") != "" {
					t.Errorf("401 with Location %q", a.header.Get("Location"))
				}
				return
			}
			a.want(t, c.want)
			to, err := url.Parse(a.header.Get("Location"))
			if err != nil || to.Path != "/auth/sign-in" || to.Host != "" && to.Host != g.host {
				t.Fatalf("Location %q", a.header.Get("Location"))
			}
			if back := to.Query().Get("return_to"); c.method == "GET" && back != "/reports/x?a=b&c=%2F" {
				t.Errorf("return_to %q", back)
			}
		})
	}
}

// A request target that is a foreign address when it comes back as Location ("//evil.example") leads away.
func TestRequestTargetIsNoOpenRedirect(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, target := range []string{
		"//evil.example/x", "///evil.example", "/%5Cevil.example", "/%2F/evil.example", "/%09/evil.example", "http://evil.example/x",
		"//evil.example//../", "/.//evil.example", "/x/..//evil.example", "/?return_to=//evil.example", "//evil.example/auth/sign-in",
	} {
		a := g.get(t, target, "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		location := a.header.Get("Location")
		to, err := url.Parse(location)
		if a.status != 302 && a.status != 400 || err != nil || to.Host != "" && to.Host != g.host || strings.HasPrefix(location, "//") {
			t.Errorf("%s: %d to %q", target, a.status, location)
			continue
		}
		back := to.Query().Get("return_to")
		if strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\t\r\n") || back != "" && back[0] != '/' {
			t.Errorf("%s: return_to %q", target, back)
		}
	}
}

// What is refused tells programs what and people nothing internal.
func TestBodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := walletOf("alice")
	message, _ := g.challenge(t, alice)
	quoted, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	signed := `"challenge":` + string(quoted) + `,"signature":"` + alice.sign(message) + `"`
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"form", "application/x-www-form-urlencoded", "a=b", 415, "unsupported_media_type"},
		{"plain text, as a foreign form can send", "text/plain", "{" + signed + "}", 415, "unsupported_media_type"},
		{"no type", "", "{" + signed + "}", 415, "unsupported_media_type"},
		{"multipart", "multipart/form-data; boundary=x", "{" + signed + "}", 415, "unsupported_media_type"},
		{"not quite JSON", "application/jsonp", "{" + signed + "}", 415, "unsupported_media_type"},
		{"other charset", "application/json; charset=utf-16", "{" + signed + "}", 415, "unsupported_media_type"},
		{"too large", "application/json", `{"x":"` + strings.Repeat("x", 64<<10) + `",` + signed + `}`, 413, "too_large"},
		{"not JSON", "application/json", "signature", 400, "invalid_request"},
		{"empty", "application/json", "", 400, "invalid_request"},
		{"array", "application/json", "[]", 400, "invalid_request"},
		{"string", "application/json", `"x"`, 400, "invalid_request"},
		{"null", "application/json", `null`, 400, "invalid_request"},
		{"cut off", "application/json", `{` + signed, 400, "invalid_request"},
		{"trailing data", "application/json", `{` + signed + `}{}`, 400, "invalid_request"},
		{"trailing brace", "application/json", `{` + signed + `}}`, 400, "invalid_request"},
		{"duplicate member", "application/json", `{"signature":"0x00",` + signed + `}`, 400, "invalid_request"},
		{"duplicate member, escaped", "application/json", `{"sign\u0061ture":"0x00",` + signed + `}`, 400, "invalid_request"},
		{"duplicate unknown member", "application/json", `{"x":1,"x":2,` + signed + `}`, 400, "invalid_request"},
		{"duplicate member, deep", "application/json", `{"x":{"y":1,"y":2},` + signed + `}`, 400, "invalid_request"},
		{"wrong type", "application/json", `{"challenge":1,"signature":"0x00"}`, 400, "invalid_request"},
		{"member in other case", "application/json", strings.Replace(`{`+signed+`}`, "challenge", "CHALLENGE", 1), 400, ""},
		{"invalid UTF-8", "application/json", "{\"challenge\":\"\xff\",\"signature\":\"0x00\"}", 400, "invalid_request"},
		{"byte order mark", "application/json", "\ufeff{" + signed + "}", 400, "invalid_request"},
		{"deep", "application/json", strings.Repeat(`{"x":`, 20000), 413, ""},
		{"deep within bounds", "application/json", `{"x":` + strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000) + `,` + signed + `}`, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if c.contentType != "" {
				lines = []string{"Content-Type: " + c.contentType}
			}
			a := g.send(t, requestBody("POST", "/auth/challenge/sign", c.body, lines...))
			a.wantProblem(t, c.status, c.code)
			if strings.Contains(a.body, "json:") || strings.Contains(a.body, ".go") || strings.Contains(a.body, "Unmarshal") {
				t.Errorf("the answer tells of the inside: %s", a.body)
			}
		})
	}
	// None of these was a try: the challenge stands. Members that nobody knows are ignored.
	g.send(t, requestBody("POST", "/auth/challenge/sign", `{"x":{"y":[1]},`+signed+`}`, "Content-Type: application/json; charset=UTF-8")).want(t, 200)
}

func TestRoutesThatAreRefused(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/auth/session", 401},
		{"GET", "/auth/challenge/create", 405},
		{"GET", "/auth/sign-out", 405},
		{"PUT", "/auth/challenge/sign", 405},
		{"GET", "/auth/nothing", 404},
		{"GET", "/auth/nothing/", 404},
		{"GET", "/auth/session/", 404},
		{"POST", "/auth/", 405},
		{"POST", "/auth/password/sign-in", 404},
		{"GET", "/auth/sign-in.php", 404},
		{"GET", "/auth/challenge", 404},
		{"DELETE", "/auth/session", 405},
		{"POST", "/auth/jwks.json", 405},
	} {
		a := g.send(t, requestBody(c.method, c.target, ""))
		if a.status != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.target, a.status, c.status)
		}
		a.wantNoStore(t)
		g.backend.none(t)
	}
	// The mount is matched on the cleaned path: what a backend would clean to an own route is answered here.
	for _, target := range []string{"//auth/session", "/./auth/session", "/auth//session", "/%61uth/session", "/x/../auth/session", "/auth/./session"} {
		for name, lines := range g.outsiders(t) {
			if a := g.get(t, target, lines...); a.status == 200 && !strings.Contains(a.body, `"session"`) {
				t.Errorf("%s: GET %s: %d %s", name, target, a.status, head(a.body))
			}
			g.backend.none(t)
		}
	}
}
