package endtoend

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answer is a response of the gate.
type answer struct {
	status int
	header http.Header
	body   string
	raw    string // the bytes as they came
}

// hostLine in a request stands for the gate's own Host line.
const hostLine = "Host: %HOST%"

// request writes an HTTP/1.1 request without body; lines are header lines after Host.
func request(method, target string, lines ...string) string {
	return message(method+" "+target+" HTTP/1.1", append([]string{hostLine}, lines...), "")
}

// requestBody is request with a body and its Content-Length.
func requestBody(method, target, body string, lines ...string) string {
	lines = append([]string{hostLine, "Content-Length: " + strconv.Itoa(len(body))}, lines...)
	return message(method+" "+target+" HTTP/1.1", lines, body)
}

func message(line string, lines []string, body string) string {
	return line + "\r\n" + strings.Join(append(lines, "", ""), "\r\n") + body
}

func (g *gate) dial() (net.Conn, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port))
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if g.setup.tls {
		// The certificate is of an authority that Caddy made a second ago.
		return tls.DialWithDialer(dialer, "tcp", address, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	}
	return dialer.Dial("tcp", address)
}

// try sends the bytes over a connection of their own and reads one response.
func (g *gate) try(text string) (answer, error) {
	conn, err := g.dial()
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	return g.exchange(conn, text)
}

func (g *gate) exchange(conn net.Conn, text string) (answer, error) {
	// Long, since the machine may have much else to do; only what hangs for good is to fail by it.
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return answer{}, err
	}
	// A server may refuse, and stop reading, before it has read everything: its answer counts, not this error.
	_, writeErr := io.WriteString(conn, strings.ReplaceAll(text, "%HOST%", g.host))
	var raw bytes.Buffer
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), &http.Request{Method: method})
	if err != nil {
		return answer{}, fmt.Errorf("read response: %w (write: %v)", err, writeErr)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return answer{status: resp.StatusCode, header: resp.Header, raw: raw.String()}, nil
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), raw.String()}, err
}

// send is try for requests that are always answered.
func (g *gate) send(t *testing.T, text string) answer {
	t.Helper()
	a, err := g.try(text)
	if err != nil {
		t.Fatalf("%q: %v", head(text), err)
	}
	return a
}

// post sends v as JSON to an own route.
func (g *gate) post(t *testing.T, route string, v any, lines ...string) answer {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return g.send(t, requestBody("POST", "/auth/"+route, string(body), append(lines, "Content-Type: application/json")...))
}

func (g *gate) get(t *testing.T, target string, lines ...string) answer {
	t.Helper()
	return g.send(t, request("GET", target, lines...))
}

// into decodes the body, after checking the status.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	a.want(t, status)
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
}

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, head(a.body))
	}
}

// wantProblem checks an error of the gateway's own: RFC 9457, the code, never stored.
func (a answer) wantProblem(t *testing.T, status int, code string) {
	t.Helper()
	a.want(t, status)
	if ct := a.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/problem+json") {
		t.Errorf("Content-Type %q, want application/problem+json", ct)
	}
	a.wantNoStore(t)
	var p struct {
		Code   string
		Status int
		Title  string
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	if code != "" && p.Code != code {
		t.Errorf("code %q, want %q", p.Code, code)
	}
	if p.Status != 0 && p.Status != status {
		t.Errorf("status member %d, want %d", p.Status, status)
	}
}

func (a answer) wantNoStore(t *testing.T) {
	t.Helper()
	if cc := a.header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		t.Errorf("Cache-Control %q, want no-store", cc)
	}
}

// cookie answers the gateway's cookie of the response, nil where it sets none.
func (a answer) cookie() *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == "authgate" || c.Name == "__Host-authgate" || c.Name == "__Secure-authgate" {
			return c
		}
	}
	return nil
}

func head(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
