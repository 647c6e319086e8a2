package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Forward auth as the README shows it: each proxy with the lines that stand there, but for addresses and certificates.

// snippet answers the code block of the README in this language that has a text in it.
func snippet(t *testing.T, language, has string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(m[1], has) {
			return m[1]
		}
	}
	t.Fatalf("the README has no %s with %q", language, has)
	return ""
}

// replaced makes changes that must each find something, and of which none finds what another has put there: a port that was
// chosen may begin as one that is to be replaced.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in:\n%s", pairs[i], text)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

const askedRules = `
		allow anyone /public/*
		allow role admin /admin/*
		allow anyone /posts/* {
			method GET
		}`

const trustsThisMachine = `
	servers {
		trusted_proxies static 127.0.0.1 ::1
		trusted_proxies_strict
	}`

// startAsked starts a gate that is asked by a proxy on another port, and answers what is to be sent through the proxy, which
// does not run yet.
func startAsked(t *testing.T) (g, front *gate) {
	t.Helper()
	port := freePort(t)
	g = start(t, setup{
		origin: fmt.Sprintf("http://localhost:%d", port), top: trustsThisMachine, site: askedRules, routes: "respond 404",
		global: "session {\n\t\t\taccess_token 1s\n\t\t}",
	})
	through := *g
	through.port, through.host = port, fmt.Sprintf("localhost:%d", port)
	return g, &through
}

// run runs a proxy until the test ends, and waits until it answers.
func (g *gate) run(env []string, name string, args ...string) {
	g.t.Helper()
	program := needs(g.t, name)
	cmd, out := exec.Command(program, args...), new(output)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), out, out
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	g.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if g.t.Failed() {
			g.t.Logf("%s wrote:\n%s", name, tail(out.String(), 6000))
		}
	})
	if !eventually(time.Minute, func() bool {
		select {
		case <-ended:
			g.t.Fatalf("%s ended at its start: %s", name, out)
		default:
		}
		a, err := g.try(request("GET", "/auth/health/ready"))
		return err == nil && a.status == http.StatusOK
	}) {
		g.t.Fatalf("%s does not answer", name)
	}
	g.backend.take()
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForwardAuthOfNginx(t *testing.T) {
	t.Parallel()
	g, front := startAsked(t)
	lines := replaced(t, snippet(t, "nginx", "auth_request"),
		"listen 443 ssl;", fmt.Sprintf("listen 127.0.0.1:%d;", front.port), "server_name app.example.com;", "server_name localhost;",
		"\tssl_certificate /etc/ssl/app.example.com.pem;\n", "", "\tssl_certificate_key /etc/ssl/app.example.com.key;\n", "",
		"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", g.port), "127.0.0.1:3000", g.backend.address)
	dir := t.TempDir()
	var paths strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "\t%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	conf := writeFile(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(
		"daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr notice;\nevents {}\nhttp {\n\taccess_log off;\n%s%s\n}\n", dir, &paths, lines))
	front.run(nil, "nginx", "-e", "stderr", "-p", dir, "-c", conf)
	testForwardAuth(t, g, front)
}

func TestForwardAuthOfHAProxy(t *testing.T) {
	t.Parallel()
	g, front := startAsked(t)
	dir := t.TempDir()
	lua := writeFile(t, filepath.Join(dir, "authgate.lua"), replaced(t, snippet(t, "lua", "register_action"), "127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", g.port)))
	conf := writeFile(t, filepath.Join(dir, "haproxy.cfg"), replaced(t, snippet(t, "haproxy", "lua-load"),
		"/etc/haproxy/authgate.lua", lua, "bind :443 ssl crt /etc/ssl/app.example.com.pem alpn h2,http/1.1", fmt.Sprintf("bind 127.0.0.1:%d", front.port),
		"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", g.port), "127.0.0.1:3000", g.backend.address))
	front.run(nil, "haproxy", "-db", "-f", conf)

	// What asks has room for so many headers, and more of them than that would end the proxy; and what is named in Connection
	// is dropped by whatever stands between it and the application.
	for n, want := range map[int]int{40: 200, 90: 431, 96: 431} {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("X-%d: x", i)
		}
		front.get(t, "/public/x", lines...).want(t, want)
	}
	front.get(t, "/public/x", "Connection: keep-alive, Remote-User").want(t, 400)
	front.backend.take()
	testForwardAuth(t, g, front)
}

// A script that fails is no decision to let pass.
func TestForwardAuthOfHAProxyWhoseScriptFails(t *testing.T) {
	t.Parallel()
	g, front := startAsked(t)
	dir := t.TempDir()
	lua := writeFile(t, filepath.Join(dir, "authgate.lua"), replaced(t, snippet(t, "lua", "register_action"), "local headers, count", "error('it fails')\nlocal headers, count"))
	conf := writeFile(t, filepath.Join(dir, "haproxy.cfg"), replaced(t, snippet(t, "haproxy", "lua-load"),
		"/etc/haproxy/authgate.lua", lua, "bind :443 ssl crt /etc/ssl/app.example.com.pem alpn h2,http/1.1", fmt.Sprintf("bind 127.0.0.1:%d", front.port),
		"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", g.port), "127.0.0.1:3000", front.backend.address))
	front.run(nil, "haproxy", "-db", "-f", conf)
	front.get(t, "/public/x", "Remote-User: admin").want(t, 503)
	front.backend.none(t)
	front.get(t, "/auth/sign-in", browsing...).want(t, 200)
}

func TestForwardAuthOfAnotherCaddy(t *testing.T) {
	t.Parallel()
	g, front := startAsked(t)
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "Caddyfile"), "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n\n"+
		replaced(t, snippet(t, "caddyfile", "forward_auth"), "app.example.com {", "http://"+front.host+" {",
			"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%d", g.port), "127.0.0.1:3000", g.backend.address))
	env := []string{asCaddy + "=1", "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	front.run(env, binary, "run", "--config", conf, "--adapter", "caddyfile")
	testForwardAuth(t, g, front)
}

var browsing = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// testForwardAuth shows what is promised through a proxy: g is the gate behind it, front the way through it.
func testForwardAuth(t *testing.T, g, front *gate) {
	t.Helper()

	// Who is signed out is told so, or sent to sign in and back to where they were; what anybody may see has no identity.
	front.get(t, "/reports").want(t, 401)
	a := front.get(t, "/reports?x=1&y=%2F", browsing...)
	if to := a.header.Get("Location"); a.status/100 != 3 || to != front.origin+"/auth/sign-in?return_to=%2Freports%3Fx%3D1%26y%3D%252F" {
		t.Errorf("a page is answered %d, Location %q", a.status, to)
	}
	front.get(t, "/admin/x").want(t, 401)
	front.send(t, request("DELETE", "/posts/7")).want(t, 403)
	front.backend.none(t)
	front.get(t, "/public/x").want(t, 200)
	if got := front.backend.one(t); len(got.values("Remote-User"))+len(got.values("X-Authgate-Assertion")) > 0 {
		t.Errorf("nobody has an identity: %q", got.raw)
	}
	front.get(t, "/posts/7").want(t, 200)
	front.backend.take()

	// People sign in through the proxy; the application hears who they are, and not by which cookie.
	alice, admin := front.signInBrowser(t, walletOf("alice")), front.signInBrowser(t, walletOf("admin"))
	front.get(t, "/auth/sign-in", browsing...).want(t, 200)
	front.backend.none(t)
	front.send(t, requestBody("POST", "/reports?x=%2F", "typed", "Cookie: theme=dark; "+alice.cookie+"; lang=de", "Content-Type: text/plain")).want(t, 200)
	got := front.backend.one(t)
	if user := got.values("Remote-User"); len(user) != 1 || user[0] != alice.User.Username || got.target() != "/reports?x=%2F" || !strings.Contains(got.rest, "typed") {
		t.Errorf("the application got %q", got.raw)
	}
	if assertions := got.values("X-Authgate-Assertion"); len(assertions) != 1 {
		t.Errorf("assertions %q", assertions)
	} else {
		front.wantAssertion(t, assertions[0], alice.User)
	}
	cookie := strings.Join(got.values("Cookie"), "; ")
	if strings.Contains(cookie, "authgate") || !strings.Contains(cookie, "theme=dark") || !strings.Contains(cookie, "lang=de") {
		t.Errorf("Cookie at the application: %q", cookie)
	}
	testAppCookies(t, front, alice)
	front.get(t, "/admin/x", alice.cookieLine()).want(t, 403)
	front.send(t, request("DELETE", "/posts/7", admin.cookieLine())).want(t, 403)
	front.backend.none(t)
	front.get(t, "/admin/x", admin.cookieLine()).want(t, 200)
	if groups := front.backend.one(t).values("Remote-Groups"); len(groups) != 1 || groups[0] != "admin" {
		t.Errorf("Remote-Groups %q", groups)
	}

	testForgedForwarding(t, front, alice)
	testAskedWebsocket(t, front, alice)

	// A cookie that is renewed by a question reaches the browser, and no cache.
	var renewed answer
	if !eventually(time.Minute, func() bool {
		renewed = front.get(t, "/reports", alice.cookieLine())
		return renewed.cookie() != nil
	}) {
		t.Fatal("no cookie was renewed")
	}
	if c := renewed.cookie(); renewed.status != 200 || c.Value == "" || !strings.Contains(strings.Join(renewed.header["Cache-Control"], ","), "no-store") {
		t.Errorf("%d, renewed %v, Cache-Control %q", renewed.status, c, renewed.header["Cache-Control"])
	}
	front.backend.take()

	// Sign-out holds at once, and a gate that is not there lets nobody through.
	front.signOut(t, alice.cookieLine())
	front.get(t, "/reports", alice.cookieLine()).want(t, 401)
	g.kill()
	if a := front.get(t, "/reports", admin.cookieLine()); a.status < 500 {
		t.Errorf("without a gate: %d", a.status)
	}
	if a := front.get(t, "/public/x"); a.status < 500 {
		t.Errorf("without a gate: %d", a.status)
	}
	front.backend.none(t)
}

// testAppCookies sends the gateway's cookies among others: none of them is for the application, however many there are, and the
// others are. Who had one could be the user at every site behind the gateway, or open what is kept for them.
func testAppCookies(t *testing.T, front *gate, alice signedIn) {
	t.Helper()
	own := regexp.MustCompile(`(?i)^(__host-|__secure-)?authgate(-device|-form|-hand-off|-bounced)?\s*$`)
	const several = "__Host-authgate-device=d; theme=dark; authgate-form=f; authgate-bounced=0; a=authgate=1; __Secure-authgate-hand-off=h; __secure-AUTHGATE=x; xauthgate=1; lang=de; authgate-theme=2"
	for _, c := range []struct{ target, cookie, want string }{
		{"/reports", alice.cookie + "; " + several, "theme=dark; a=authgate=1; xauthgate=1; lang=de; authgate-theme=2"},
		{"/reports", several + "; " + alice.cookie, "theme=dark; a=authgate=1; xauthgate=1; lang=de; authgate-theme=2"},
		{"/reports", "a=1; " + alice.cookie + "; b=2", "a=1; b=2"},
		{"/reports", alice.cookie, ""},
		{"/public/x", alice.cookie + "; a=1; " + alice.cookie + "; b=2; " + alice.cookie, "a=1; b=2"},
		{"/public/x", "a=1;b=2;   authgate-device =x;c=3", "a=1; b=2; c=3"},
		{"/public/x", "a=1; b=2", "a=1; b=2"},
		{"/public/x", strings.Repeat("a=1; authgate=x; ", 40), "*"},
	} {
		front.get(t, c.target, "Cookie: "+c.cookie).want(t, 200)
		var kept []string
		for _, line := range front.backend.one(t).values("Cookie") {
			for pair := range strings.SplitSeq(line, ";") {
				name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
				if own.MatchString(name) {
					t.Errorf("%.80s: the application got %s", c.cookie, name)
				}
				if name != "" {
					kept = append(kept, strings.TrimSpace(pair))
				}
			}
		}
		if got := strings.Join(kept, "; "); c.want != "*" && got != c.want {
			t.Errorf("%.80s: the application got %q", c.cookie, got)
		}
	}
}

// testForgedForwarding has a user say what proxies say, and has it raise nothing.
func testForgedForwarding(t *testing.T, front *gate, alice signedIn) {
	t.Helper()
	const forged = "0x000000000000000000000000000000000000dEaD"
	for _, name := range []string{"Remote-User", "remote-user", "Remote_User", "Remote.User", "Remote-Groups", "X-Authgate-Assertion", "X_Authgate_Subject"} {
		for _, line := range []string{"X-Nothing: x", alice.cookieLine()} {
			a := front.get(t, "/public/x", line, name+": "+forged)
			for _, got := range front.backend.take() {
				if strings.Contains(got.raw, forged) {
					t.Errorf("%s: answered %d, the application got %q", name, a.status, got.raw)
				}
			}
		}
	}
	full := func(method, path string) []string {
		return []string{
			alice.cookieLine(), "X-Forwarded-Method: " + method, "X-Forwarded-Proto: http", "X-Forwarded-Host: " + front.host, "X-Forwarded-Uri: " + path,
		}
	}
	original := func(method, path string) []string {
		return []string{alice.cookieLine(), "X-Original-Method: " + method, "X-Original-URL: " + front.origin + path}
	}
	for _, lines := range [][]string{full("GET", "/public/x"), original("GET", "/public/x"), append(full("GET", "/public/x"), original("GET", "/public/x")[1:]...)} {
		for _, send := range []string{request("GET", "/admin/x", lines...), request("DELETE", "/posts/7", lines...)} {
			if a := front.send(t, send); a.status < 400 {
				t.Errorf("answered %d to %q", a.status, send)
			}
		}
	}
	for _, target := range []string{
		"/ADMIN/x", "//admin/x", "/public/../admin/x", "/public/%2e%2e/admin/x", "/public/..%2fadmin/x", "/public/..;/admin/x", "/admin;x/y", "/%2561dmin/x", "/admin%5cx",
		"/auth/../admin/x", "/auth/..%2fadmin/x", "/auth/%2e%2e/admin/x", "/auth/..;/admin/x", "/x/../auth/../admin/x", "/admin%00/x", "/auth/verify/../../admin/x",
	} {
		if a := front.get(t, target, alice.cookieLine()); a.status < 400 {
			t.Errorf("%s: answered %d", target, a.status)
		}
	}
	front.backend.none(t)

	// What the gate tells the proxy it tells nobody who comes through it.
	for _, target := range []string{
		"/auth/verify", "/auth/verify?redirect", "/auth/verify/public/x", "/auth/%76erify", "/auth//verify", "/auth/./verify", "/auth/x/../verify", "/auth/%76erify/public/x", "/authgate", "/AUTH/verify",
	} {
		for _, lines := range [][]string{full("GET", "/public/x"), original("GET", "/public/x"), {alice.cookieLine(), "X-Forwarded-Proto: http"}} {
			a := front.get(t, target, lines...)
			if a.status < 400 && len(front.backend.take()) == 0 || a.header.Get("Remote-User") != "" || a.header.Get("X-Authgate-Assertion") != "" {
				t.Errorf("%s: answered %d %q", target, a.status, a.header)
			}
		}
	}

	// What Connection names is dropped by some on the way: then the application would take a user for nobody.
	for _, name := range []string{"Remote-User", "remote-user, X-Authgate-Assertion"} {
		a := front.get(t, "/reports", alice.cookieLine(), "Connection: close, "+name)
		for _, got := range front.backend.take() {
			if len(got.values("Remote-User")) != 1 || len(got.values("X-Authgate-Assertion")) != 1 {
				t.Errorf("Connection: %s: answered %d, the application got %q", name, a.status, got.raw)
			}
		}
	}
}

// testAskedWebsocket opens websockets through the proxy, from the site's own pages and from others.
func testAskedWebsocket(t *testing.T, front *gate, alice signedIn) {
	t.Helper()
	conn, a := front.open(t, "/socket", alice.cookieLine(), "Origin: "+front.origin)
	a.want(t, 101)
	if got := front.backend.one(t); len(got.values("Remote-User")) != 1 || !echoes(t, conn) {
		t.Errorf("a websocket reached the application as %q", got.raw)
	}
	_, a = front.open(t, "/socket", alice.cookieLine(), "Origin: https://evil.example")
	a.want(t, 403)
	_, a = front.open(t, "/socket", "Origin: "+front.origin)
	a.want(t, 401)
	front.backend.none(t)
	// Any other protocol would go on with the application alone.
	a = front.get(t, "/reports", alice.cookieLine(), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
	for _, got := range front.backend.take() {
		if len(got.values("Upgrade")) > 0 {
			t.Errorf("answered %d, the application got %q", a.status, got.raw)
		}
	}
}

// Traefik and Envoy are not in Debian: what they send is written here as their sources and documents have it.
func TestForwardAuthByTheWordsOfTraefikAndEnvoy(t *testing.T) {
	t.Parallel()
	g, front := startAsked(t)
	alice := g.signInBrowser(t, walletOf("alice"))
	traefik := func(method, target string, client ...string) answer {
		// forwardAuth: the headers of the client but those of the connection, then its own; always GET, without a body.
		text := message("GET /auth/verify?redirect HTTP/1.1", append([]string{
			"Host: 127.0.0.1:" + strconv.Itoa(g.port), "User-Agent: Mozilla/5.0", "Accept-Encoding: gzip", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Host: " + front.host,
			"X-Forwarded-Method: " + method, "X-Forwarded-Port: " + strconv.Itoa(front.port), "X-Forwarded-Proto: http", "X-Forwarded-Server: traefik", "X-Forwarded-Uri: " + target,
			"X-Real-Ip: 203.0.113.7",
		}, client...), "")
		return g.send(t, text)
	}
	envoy := func(method, target string, client ...string) answer {
		// ext_authz: method, host and path of the client below path_prefix, Content-Length 0, what allowed_headers names, and
		// what Envoy adds to requests of its own.
		text := message(method+" /auth/verify"+target+" HTTP/1.1", append([]string{
			"host: " + front.host, "content-length: 0", "x-forwarded-proto: http", "x-envoy-internal: true", "x-forwarded-for: 203.0.113.7,127.0.0.1", "x-envoy-expected-rq-timeout-ms: 5000",
		}, client...), "")
		return g.send(t, text)
	}
	for name, ask := range map[string]func(method, target string, client ...string) answer{"Traefik": traefik, "Envoy": envoy} {
		a := ask("POST", "/reports?x=%2F", alice.cookieLine(), "Content-Type: application/json", "Accept: */*")
		if user := a.header["Remote-User"]; a.status != 200 || len(user) != 1 || user[0] != alice.User.Username || a.body != "" {
			t.Fatalf("%s: %d %q %q", name, a.status, user, a.body)
		}
		g.wantAssertion(t, a.header.Get("X-Authgate-Assertion"), alice.User)
		if a := ask("GET", "/public/x"); a.status != 200 || a.header.Get("Remote-User") != "" {
			t.Errorf("%s: anybody gets %d %q", name, a.status, a.header)
		}
		for _, c := range []struct {
			method, target string
			client         []string
			want           int
			location       string
		}{
			{"GET", "/reports?x=1", browsing, 302, "/auth/sign-in?return_to=%2Freports%3Fx%3D1"},
			{"POST", "/reports", browsing, 303, "/auth/sign-in?return_to=%2Freports"},
			{"GET", "/reports", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}, 401, ""},
			{"GET", "/admin/x", []string{alice.cookieLine()}, 403, ""},
			{"DELETE", "/posts/7", []string{alice.cookieLine()}, 403, ""},
			{"GET", "/public/..;/admin/x", []string{alice.cookieLine()}, 403, ""},
			{"GET", "/public/../../../admin/x", []string{alice.cookieLine()}, 403, ""},
			{"POST", "/service/Call", []string{"Content-Type: application/grpc"}, 401, ""},
			{"GET", "/socket", []string{alice.cookieLine(), "Origin: https://evil.example", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + websocketKey}, 403, ""},
			{"GET", "/socket", []string{alice.cookieLine(), "Origin: " + front.origin, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + websocketKey}, 200, ""},
			{"GET", "/auth/session", []string{alice.cookieLine()}, 403, ""},
			{"GET", "/public/x", []string{alice.cookieLine(), "Remote-User: admin"}, 400, ""},
		} {
			a := ask(c.method, c.target, c.client...)
			to := a.header.Get("Location")
			if c.location != "" {
				c.location = front.origin + c.location
			}
			if a.status != c.want || to != c.location {
				t.Errorf("%s: %s %s %q: %d %q, want %d %q", name, c.method, c.target, c.client, a.status, to, c.want, c.location)
			}
		}
		if !eventually(time.Minute, func() bool { return ask("GET", "/reports", alice.cookieLine()).cookie() != nil }) {
			t.Errorf("%s: no cookie was renewed", name)
		}
	}
	a := envoy("GET", "/public/x")
	for _, name := range []string{"remote-user", "x-authgate-assertion"} {
		if !strings.Contains(a.header.Get("X-Envoy-Auth-Headers-To-Remove"), name) {
			t.Errorf("Envoy is not told to remove %s: %q", name, a.header)
		}
	}
	shown := snippet(t, "yaml", "ext_authz") + snippet(t, "yaml", "forwardAuth") + snippet(t, "yaml", "aliasHeadersStrategy: delete")
	for _, setting := range []string{"path_prefix: /auth/verify\n", "exact: cookie ", "exact: x-forwarded-proto ", "prefix: sec- ", "/auth/verify?redirect\n", `name:find("[^%w:-]")`} {
		if !strings.Contains(shown, setting) {
			t.Errorf("the README does not set %q", setting)
		}
	}
}

// Nobody asks but proxies that are trusted: without trusted_proxies nobody does, not even from this machine.
func TestVerifyWithoutTrustedProxies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := g.signInBrowser(t, walletOf("alice"))
	for _, a := range []answer{
		g.get(t, "/auth/verify", alice.cookieLine(), "X-Original-Method: GET", "X-Original-URL: "+g.origin+"/public/x"),
		g.get(t, "/auth/verify/public/x", alice.cookieLine(), "X-Forwarded-Proto: http", "X-Forwarded-For: 127.0.0.1"),
		g.send(t, requestBody("POST", "/auth/verify/public/x", "", alice.cookieLine(), "X-Forwarded-Proto: http", "Content-Type: application/grpc")),
	} {
		a.wantProblem(t, 403, "untrusted_proxy")
		if a.header.Get("Remote-User") != "" {
			t.Errorf("told who it is: %q", a.header)
		}
	}
	g.backend.none(t)
}
