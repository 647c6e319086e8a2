package endtoend

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	websocketKey    = "AAAAAAAAAAAAAAAAAAAAAA=="
	websocketAccept = "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" // of that key (RFC 6455 §1.3)
)

var websocketLines = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + websocketKey,
}

// open opens a websocket and leaves the connection open when it is let through.
func (g *gate) open(t *testing.T, target string, lines ...string) (net.Conn, answer) {
	t.Helper()
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	a, err := g.exchange(conn, request("GET", target, append(lines, websocketLines...)...))
	if err != nil {
		t.Fatal(err)
	}
	return conn, a
}

// echoes says whether the open stream carries bytes both ways.
func echoes(t *testing.T, conn net.Conn) bool {
	t.Helper()
	frame := []byte("\x81\x85\x00\x00\x00\x00hello")
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(frame))
	if _, err := conn.Write(frame); err != nil {
		return false
	}
	_, err := io.ReadFull(conn, got)
	return err == nil && bytes.Equal(got, frame)
}

// endsWithin says how soon the other side ends the stream; whole seconds beyond limit count as never.
func endsWithin(t *testing.T, conn net.Conn, limit time.Duration) bool {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	timeout, ok := err.(net.Error)
	return !ok || !timeout.Timeout()
}

// A websocket carries the identity of its handshake for hours; it must not outlive the session.
func TestWebsocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	browser, program, other := g.signInBrowser(t, walletOf("alice")), g.signIn(t, walletOf("alice")), g.signInBrowser(t, walletOf("bob"))
	streams := map[string]net.Conn{}
	for name, lines := range map[string][]string{
		"cookie": {browser.cookieLine(), "Origin: " + g.origin}, "bearer": {program.bearer()}, "other": {other.cookieLine(), "Origin: " + g.origin},
		"anyone": nil, "public, with cookie": {browser.cookieLine(), "Origin: " + g.origin},
	} {
		target := "/ws"
		if name == "anyone" || strings.HasPrefix(name, "public") {
			target = "/public/ws"
		}
		conn, a := g.open(t, target, lines...)
		if a.status != 101 || !echoes(t, conn) {
			t.Fatalf("%s: the websocket does not pass: %d %s", name, a.status, a.body)
		}
		streams[name] = conn
		if got := g.backend.one(t); strings.Contains(got.raw, "authgate=") || len(got.values("Authorization")) > 0 {
			t.Errorf("%s: the backend sees credentials: %q", name, got.raw)
		}
	}
	g.signOut(t, browser.cookieLine())
	if !endsWithin(t, streams["cookie"], patience(time.Second)) {
		t.Error("a second after sign-out the browser's websocket is open")
	}
	g.signOut(t, program.bearer())
	if !endsWithin(t, streams["bearer"], patience(time.Second)) {
		t.Error("a second after sign-out the program's websocket is open")
	}
	for _, name := range []string{"other", "anyone"} {
		if !echoes(t, streams[name]) {
			t.Errorf("%s: somebody else's sign-out ended it", name)
		}
	}
}

const (
	eventsTarget = "/events"
	firstEvent   = "data: one\n\n"
)

// So does a stream of server-sent events.
func TestEventStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(request("GET", eventsTarget, "Accept: text/event-stream", s.cookieLine()), "%HOST%", g.host)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	event := make([]byte, len(firstEvent))
	if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != firstEvent {
		t.Fatalf("%q, %v", event, err)
	}
	g.signOut(t, s.cookieLine())
	if !endsWithin(t, conn, patience(time.Second)) {
		t.Error("a second after sign-out the stream of events is open")
	}
}

// Cookies ride along with websockets of any page (cross-site websocket hijacking): no same-origin policy holds them back.
func TestWebsocketFromAnotherSite(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	for name, lines := range g.foreign() {
		if !strings.HasPrefix(lines[0], "Origin: ") || name == "origin says otherwise" {
			continue // browsers name the Origin in every websocket handshake
		}
		for _, target := range []string{"/ws", "/public/ws"} {
			_, a := g.open(t, target, append(lines, s.cookieLine())...)
			a.wantProblem(t, 403, "")
			g.backend.none(t)
		}
	}
	// Without the cookie there is nothing to ride on.
	program := g.signIn(t, walletOf("alice"))
	if _, a := g.open(t, "/ws", "Origin: https://evil.example", program.bearer()); a.status != 101 {
		t.Errorf("with a bearer token: status %d, want 101", a.status)
	}
	if _, a := g.open(t, "/public/ws", "Origin: https://evil.example"); a.status != 101 {
		t.Errorf("signed out, in public: status %d, want 101", a.status)
	}
}

func TestWebsocketIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	for _, c := range []struct {
		name, target string
		lines        []string
		want         int
	}{
		{"signed out", "/ws", nil, 401},
		{"not allowed", "/admin/ws", []string{s.cookieLine(), "Origin: " + g.origin}, 403},
		{"reading of the path", "/public/..;/admin/ws", []string{s.cookieLine(), "Origin: " + g.origin}, 403},
		{"malformed cookie", "/ws", []string{"Cookie: authgate=x", "Origin: " + g.origin}, 401},
	} {
		if _, a := g.open(t, c.target, c.lines...); a.status != c.want {
			t.Errorf("%s: status %d, want %d", c.name, a.status, c.want)
		}
		g.backend.none(t)
	}
}

// An identity header named in Connection beside Upgrade is dropped by reverse_proxy, were it not removed from there.
func TestWebsocketHandshakeKeepsIdentity(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	for _, connection := range []string{"Upgrade, Remote-User, X-Authgate-Assertion", "x-authgate-subject, upgrade", "Remote-Groups,Upgrade,Remote-User"} {
		conn, err := g.dial()
		if err != nil {
			t.Fatal(err)
		}
		lines := append([]string{"Connection: " + connection, s.bearer(), "Remote-User: " + forged}, websocketLines[1:]...)
		a, err := g.exchange(conn, request("GET", "/ws", lines...))
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		a.want(t, 101)
		got := g.backend.one(t)
		g.wantIdentity(t, got, s.User)
		if strings.Contains(got.raw, forged) {
			t.Errorf("%q", got.raw)
		}
	}
}
