package endtoend

import (
	"bytes"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2conn is one stream of HTTP/2, written frame by frame: net/http's client has no extended CONNECT (RFC 8441).
type h2conn struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
}

// connect sends an extended CONNECT and answers the status of its response.
func (g *gate) connect(t *testing.T, protocol, target string, lines ...string) (*h2conn, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port)), &tls.Config{
		ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	h := &h2conn{t, conn, http2.NewFramer(conn, conn)}
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := []string{":method: CONNECT", ":protocol: " + protocol, ":scheme: https", ":authority: " + g.host, ":path: " + target, "sec-websocket-version: 13"}
	for _, line := range append(fields, lines...) {
		i := strings.Index(line[1:], ":") + 1
		field := hpack.HeaderField{Name: strings.ToLower(line[:i]), Value: strings.TrimSpace(line[i+1:])}
		if err := encoder.WriteField(field); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	// RFC 8441 §3: not before the server has said that it takes these.
	if frame, err := h.framer.ReadFrame(); err != nil {
		t.Fatal(err)
	} else if settings, ok := frame.(*http2.SettingsFrame); !ok {
		t.Fatalf("first frame: %v", frame)
	} else if v, ok := settings.Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
		t.Fatal("the server takes no extended CONNECT: this test sees nothing")
	}
	if err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return h, f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return h, "reset"
		}
	}
}

// echoes says whether the stream carries bytes both ways.
func (h *h2conn) echoes() bool {
	if err := h.framer.WriteData(1, false, []byte("hello")); err != nil {
		return false
	}
	var got []byte
	for !bytes.Equal(got, []byte("hello")) {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			return false
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			got = append(got, data.Data()...)
		}
	}
	return true
}

// endsWithin says whether the server ends the stream within limit.
func (h *h2conn) endsWithin(limit time.Duration) bool {
	if err := h.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		h.t.Fatal(err)
	}
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			timeout, ok := err.(net.Error)
			return !ok || !timeout.Timeout()
		}
		if _, reset := frame.(*http2.RSTStreamFrame); reset || frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().StreamID == 1 {
			return true
		}
	}
}

// Over HTTP/2 a websocket is a CONNECT with a path: it is judged as the GET that the backend gets.
func TestWebsocketOverHTTP2(t *testing.T) {
	t.Parallel()
	// Go's server takes extended CONNECT only where the operator has switched it on.
	g := start(t, setup{tls: true, env: []string{"GODEBUG=http2xconnect=1"}})
	s := g.signInBrowser(t, walletOf("alice"))
	own := []string{"Cookie: " + s.cookie, "Origin: " + g.origin}
	for _, c := range []struct {
		name, protocol, target string
		lines                  []string
		want                   string
	}{
		{"signed out", "websocket", "/ws", []string{"Origin: " + g.origin}, "401"},
		{"not allowed", "websocket", "/admin/ws", own, "403"},
		{"reading of the path", "websocket", "/public/..;/admin/ws", own, "403"},
		{"no sane path", "websocket", "/public/%00", own, "400"},
		{"foreign origin", "websocket", "/ws", []string{"Cookie: " + s.cookie, "Origin: https://evil.example"}, "403"},
		{"other protocol", "connect-udp", "/public/x", own, "400"},
		{"other protocol that looks alike", "websocket2", "/public/x", own, "400"},
	} {
		if _, status := g.connect(t, c.protocol, c.target, c.lines...); status != c.want {
			t.Errorf("%s: status %s, want %s", c.name, status, c.want)
		}
		g.backend.none(t)
	}
	stream, status := g.connect(t, "websocket", "/ws", append(own, "Remote-User: "+forged)...)
	if status != "200" || !stream.echoes() {
		t.Fatalf("the websocket does not pass: %s", status)
	}
	a := g.backend.one(t)
	if !strings.HasPrefix(a.line, "GET /ws ") || strings.Contains(a.raw, forged) || strings.Contains(a.raw, s.cookie) {
		t.Errorf("%q", a.raw)
	}
	g.wantIdentity(t, a, s.User)
	g.signOut(t, s.cookieLine())
	if !stream.endsWithin(patience(time.Second)) {
		t.Error("a second after sign-out the websocket is open")
	}
}
