package endtoend

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A method that the rules and the backend do not read alike opens what a rule for GET or POST closes.
func TestOddMethods(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for name, lines := range g.outsiders(t) {
		for _, line := range []string{
			"CONNECT /public/x", "CONNECT /reports/x", "CONNECT backend.example:80", "CONNECT %HOST%", "get /public/x", "gEt /public/x", "Post /public/x",
			"x /public/x", "GETs /public/x",
		} {
			a := g.send(t, message(line+" HTTP/1.1", append([]string{hostLine}, lines...), ""))
			if a.status != 400 && a.status != 405 && a.status != 501 {
				t.Errorf("%s: %s: status %d, want 400", name, line, a.status)
			}
			g.backend.none(t)
		}
	}
	for _, method := range []string{"TRACE", "OPTIONS", "PROPFIND", "PURGE", "DELETE", "PATCH"} {
		g.send(t, request(method, "/reports/x")).want(t, 401)
		g.backend.none(t)
		g.send(t, request(method, "/public/x")).want(t, 200)
		if got := g.backend.one(t).line; !strings.HasPrefix(got, method+" ") {
			t.Errorf("%s arrives as %q", method, got)
		}
	}
}

// "OPTIONS *" asks about the server, no path is judged, so it must not pass.
func TestAsteriskTarget(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for _, method := range []string{"OPTIONS", "GET", "POST"} {
		g.send(t, request(method, "*"))
		g.backend.none(t)
	}
}

// HTTP/1.0 comes without Host: what the gateway says of itself is from the configuration.
func TestHTTP10WithoutHost(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	a := g.send(t, message("GET /reports/x HTTP/1.0", []string{"Accept: text/html"}, ""))
	if to := a.header.Get("Location"); a.status != 302 || !strings.HasPrefix(to, "/auth/sign-in") && !strings.HasPrefix(to, g.origin+"/auth/sign-in") {
		t.Errorf("status %d, Location %q", a.status, to)
	}
	g.backend.none(t)
	s := g.signIn(t, walletOf("alice"))
	g.send(t, message("GET /reports/x HTTP/1.0", []string{s.bearer(), "Connection: Remote-User"}, "")).want(t, 200)
	g.wantIdentity(t, g.backend.one(t), s.User)
}

// Who chooses Host must not choose where people are sent, nor which message they sign.
func TestForeignHost(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := walletOf("alice")
	for _, target := range []string{"/reports/x", "http://evil.example/reports/x", "https://evil.example:444/reports/x"} {
		a := g.send(t, message("GET "+target+" HTTP/1.1", []string{"Host: evil.example", "Accept: text/html", "X-Forwarded-Host: evil.example"}, ""))
		if strings.Contains(a.raw, "evil.example") {
			t.Errorf("%s: %q", target, a.raw)
		}
		g.backend.none(t)
	}
	body := fmt.Sprintf(`{"address":%q}`, alice.address)
	for _, target := range []string{"/auth/challenge/create", "http://evil.example/auth/challenge/create"} {
		a := g.send(t, message("POST "+target+" HTTP/1.1", []string{
			"Host: evil.example", "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)),
		}, body))
		if a.status < 400 && !strings.Contains(a.body, g.host+" wants you") || strings.Contains(a.body, "evil.example") {
			t.Errorf("%s: a foreign Host gets into the message: %d %s", target, a.status, a.body)
		}
	}
}

// A backend that speaks h2c, or anything else it is asked to upgrade to, would go on without the gateway.
func TestOnlyWebsocketIsUpgraded(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	for _, value := range []string{"h2c", "foo", "HTTP/2.0", "TLS/1.0", "websocket, h2c", "h2c, websocket", "websocket/13", "webſocket"} {
		for _, target := range []string{"/public/x", "/reports/x"} {
			for _, connection := range []string{"Upgrade", "Upgrade, HTTP2-Settings", "keep-alive, Upgrade, HTTP2-Settings"} {
				a := g.get(t, target, "Upgrade: "+value, "Connection: "+connection, "HTTP2-Settings: AAMAAABkAAQAAP__", s.bearer())
				if a.status == 101 {
					t.Errorf("Upgrade: %s with Connection: %s switched protocols", value, connection)
				}
				for _, got := range g.backend.take() {
					upgrade := slices.Concat(got.values("Upgrade"), got.values("HTTP2-Settings"))
					if len(upgrade) > 0 {
						t.Errorf("Upgrade: %s with Connection: %s arrives: %q", value, connection, got.raw)
					}
				}
			}
		}
	}
}

// Two parties that disagree on where a request ends see different requests: the second one was never judged.
func TestSmuggledRequests(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	const second = "GET /admin/smuggled HTTP/1.1\r\nHost: localhost\r\nRemote-User: " + forged + "\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(second), second)
	for _, c := range []struct {
		name  string
		lines []string
		body  string
	}{
		{"pipelined", []string{"Content-Length: 0"}, second},
		{"no length", nil, second},
		{"CL.TE", []string{fmt.Sprintf("Content-Length: %d", 5+len(second)), "Transfer-Encoding: chunked"}, "0\r\n\r\n" + second},
		{"TE.CL", []string{"Content-Length: 4", "Transfer-Encoding: chunked"}, chunk},
		{"two lengths", []string{"Content-Length: 0", fmt.Sprintf("Content-Length: %d", len(second))}, second},
		{"list of lengths", []string{fmt.Sprintf("Content-Length: 0, %d", len(second))}, second},
		{"signed length", []string{fmt.Sprintf("Content-Length: +%d", len(second))}, second},
		{"TE misspelled", []string{"Transfer-Encoding: xchunked"}, chunk},
		{"TE twice", []string{"Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, "0\r\n\r\n" + second},
		{"TE list", []string{"Transfer-Encoding: identity, chunked"}, "0\r\n\r\n" + second},
		{"TE vertical tab", []string{"Transfer-Encoding: \vchunked", "Content-Length: 0"}, second},
		{"TE space before colon", []string{"Transfer-Encoding : chunked", "Content-Length: 0"}, second},
		{"TE underscore", []string{"Transfer_Encoding: chunked", "Content-Length: 0"}, "0\r\n\r\n" + second},
		{"chunk extension", []string{"Transfer-Encoding: chunked"}, "0;\n\r\n\r\n" + second},
		{"chunk size overflow", []string{"Transfer-Encoding: chunked"}, "100000000000000000\r\n" + second},
		{"bare CR", []string{"X: 1\rTransfer-Encoding: chunked", "Content-Length: 0"}, second},
		{"body of an own route", []string{"Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(second))}, second},
	} {
		for _, target := range []string{"/public/x", "/reports/x", "/auth/challenge/create", "/auth/sign-out"} {
			_, _ = g.try(message("POST "+target+" HTTP/1.1", append([]string{hostLine}, c.lines...), c.body))
			for _, got := range g.backend.take() {
				if strings.Contains(got.line, "/admin") || slices.ContainsFunc(got.fields, func(f string) bool { return strings.Contains(f, forged) }) {
					t.Errorf("%s by way of %s: %q", c.name, target, got.raw)
				}
			}
		}
	}
}
