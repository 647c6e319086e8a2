package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// openSockets is how many websockets of signed-in users are open while other requests are measured.
const openSockets = 1000

// BenchmarkClients measures, as BenchmarkServer does and against the same plain Caddy, a request with a personal access
// token, and one of a browser while a thousand websockets of signed-in users are open. Each request is passed on with an
// assertion.
func BenchmarkClients(b *testing.B) {
	s := startServers(b, "")
	cookie, bearer := s.signIn(b, `,"session":"cookie"`), s.signIn(b, "")
	personal := s.personalToken(b, bearer)
	b.Run("personal-access-token", func(b *testing.B) {
		s.compare(b, programLines+"Authorization: Bearer "+personal, 200)
	})
	b.Run("personal-access-token-as-key", func(b *testing.B) {
		s.compare(b, programLines+"X-API-Key: "+personal, 200)
	})
	b.Run(fmt.Sprintf("cookie-beside-%d-websockets", openSockets), func(b *testing.B) {
		for range openSockets {
			s.openSocket(b, cookie)
		}
		s.compare(b, browserLines+"Cookie: theme=dark; "+cookie, 200)
	})
}

// personalToken makes one for who has just signed in.
func (s *servers) personalToken(b *testing.B, bearer string) string {
	b.Helper()
	r, err := http.NewRequest("POST", "http://"+s.gated+"/auth/tokens", strings.NewReader(`{"name":"benchmark"}`))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var made struct{ Token string }
	if err != nil || json.Unmarshal(body, &made) != nil || made.Token == "" {
		b.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	return made.Token
}

// openSocket opens a websocket that says nothing more.
func (s *servers) openSocket(b *testing.B, cookie string) {
	b.Helper()
	conn, err := net.Dial("tcp", s.gated)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	lines := append([]string{"Host: " + s.gated, "Cookie: " + cookie, "Origin: http://" + s.gated}, websocketLines...)
	if _, err := io.WriteString(conn, message("GET /reports/ws HTTP/1.1", lines, "")); err != nil {
		b.Fatal(err)
	}
	var first [12]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil || !bytes.Equal(first[:], []byte("HTTP/1.1 101")) {
		b.Fatalf("%q %v", first, err)
	}
}
