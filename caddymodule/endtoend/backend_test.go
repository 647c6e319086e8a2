package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// backend is a server that records the bytes of every request and judges nothing: it takes any method, target and header.
type backend struct {
	address string

	mu     sync.Mutex
	got    []arrival
	header string              // further header lines of every response, each ended by CRLF
	watch  func(arrival) error // called for every request, in the connection's goroutine
	broken []error             // what watch found
}

// arrival is one request as it arrived.
type arrival struct {
	raw    string   // everything, body and trailers included
	line   string   // request line
	fields []string // header lines
	rest   string   // body and trailers, with their framing
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{address: ln.Addr().String()}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go b.serve(conn)
		}
	}()
	return b
}

func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		a, err := read(in)
		if err != nil {
			return
		}
		b.mu.Lock()
		b.got = append(b.got, a)
		header := b.header
		if b.watch != nil {
			if err := b.watch(a); err != nil {
				b.broken = append(b.broken, err)
			}
		}
		b.mu.Unlock()
		if strings.EqualFold(strings.Join(a.values("Upgrade"), ","), "websocket") {
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Accept: %s\r\n%s\r\n", websocketAccept, header)
			_, _ = io.Copy(conn, in) // an echo
			return
		}
		if a.target() == eventsTarget {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+firstEvent)
			_, _ = io.Copy(io.Discard, in) // until the gateway hangs up
			return
		}
		body := "backend"
		if strings.HasPrefix(a.line, "HEAD ") {
			body = ""
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n%s\r\n%s", header, body)
	}
}

// read reads one request: up to the empty line, then a body by Content-Length or chunks.
func read(in *bufio.Reader) (arrival, error) {
	var a arrival
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return a, err
		}
		a.raw += line
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			rest, err := a.readBody(in)
			a.rest = rest
			a.raw += rest
			return a, err
		case a.line == "":
			a.line = line
		default:
			a.fields = append(a.fields, line)
		}
	}
}

func (a arrival) readBody(in *bufio.Reader) (string, error) {
	if strings.EqualFold(strings.Join(a.values("Transfer-Encoding"), ","), "chunked") {
		return readChunks(in)
	}
	n, _ := strconv.Atoi(strings.Join(a.values("Content-Length"), ","))
	body := make([]byte, n)
	_, err := io.ReadFull(in, body)
	return string(body), err
}

func readChunks(in *bufio.Reader) (string, error) {
	var all strings.Builder
	for trailers := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return all.String(), err
		}
		all.WriteString(line)
		text := strings.TrimSpace(line)
		if trailers {
			if text == "" {
				return all.String(), nil
			}
			continue
		}
		size, err := strconv.ParseInt(text, 16, 32)
		if err != nil {
			return all.String(), err
		}
		if trailers = size == 0; !trailers {
			chunk := make([]byte, size+2)
			if _, err := io.ReadFull(in, chunk); err != nil {
				return all.String(), err
			}
			all.Write(chunk)
		}
	}
}

// values answers the values of every header line with this name, compared without case.
func (a arrival) values(name string) []string {
	var vs []string
	for _, f := range a.fields {
		if n, v, ok := strings.Cut(f, ":"); ok && strings.EqualFold(n, name) {
			vs = append(vs, textproto.TrimString(v))
		}
	}
	return vs
}

// target is the request target, byte for byte.
func (a arrival) target() string {
	_, rest, _ := strings.Cut(a.line, " ")
	target, _, _ := strings.Cut(rest, " HTTP/")
	return target
}

// take answers what arrived since the last call.
func (b *backend) take() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

// one takes what arrived and fails the test where it is not exactly one request.
func (b *backend) one(t *testing.T) arrival {
	t.Helper()
	got := b.take()
	if len(got) != 1 {
		t.Fatalf("%d requests reached the backend, want 1: %q", len(got), got)
	}
	return got[0]
}

// none fails the test where anything arrived.
func (b *backend) none(t *testing.T) {
	t.Helper()
	if got := b.take(); len(got) != 0 {
		t.Errorf("reached the backend: %q", got[0].raw)
	}
}
