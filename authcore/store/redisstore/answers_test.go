//go:build unix

package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// pretender answers as a server does until it is told what to answer to everything that follows its greeting.
type pretender struct {
	net.Listener
	answer atomic.Value // string; empty: nothing, and the connection stays; "close": the connection ends
	first  atomic.Value // string, the answer to the first command; empty: as to the others
	got    atomic.Int64 // commands that were no greeting
}

func pretend(t *testing.T) *pretender {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pretender{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *pretender) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		answer, told := p.answer.Load().(string)
		switch name := strings.ToLower(command[0]); {
		case name == "hello":
			answer = "*2\r\n$5\r\nproto\r\n:2\r\n"
		case name == "cluster": // all slots are here
			at := p.Addr().(*net.TCPAddr)
			answer = fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$1\r\nx\r\n", at.Port)
		case told:
			if first, _ := p.first.Load().(string); p.got.Add(1) == 1 && first != "" {
				answer = first
			}
		case name == "info":
			answer = "$0\r\n\r\n"
		default:
			answer = ":0\r\n"
		}
		if answer == "close" {
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil || n == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	command := make([]string, n)
	for i := range command {
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

// Whatever a server answers that is no answer to the question is no verdict: not that a challenge is unknown, not that
// it is good, not that nothing was counted. And no question is put a second time that may have been answered: the second
// answer would be that the challenge is spent, or count the try twice.
func TestAnswersThatAreNone(t *testing.T) {
	for _, answer := range []string{
		"-LOADING Redis is loading the dataset in memory\r\n",
		"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
		"-NOAUTH Authentication required.\r\n",
		"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
		"-NOPERM this user has no permissions to run the command\r\n",
		"-MOVED 3999 127.0.0.1:1\r\n",
		"-ASK 3999 127.0.0.1:1\r\n",
		"-CLUSTERDOWN The cluster is down\r\n",
		"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
		"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
		"-MISCONF Redis is configured to save RDB snapshots, but it is unable to persist on disk.\r\n",
		"-NOREPLICAS Not enough good replicas to write.\r\n",
		"-BUSY Redis is busy running a script.\r\n",
		"-ERR max number of clients reached\r\n",
		"-ERR unknown command\r\n",
		"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
		"?garbage\r\n",
		"$5\r\nab",
		"*2\r\n:7\r\n",
		"close",
		"",
	} {
		t.Run(strings.TrimSpace(answer), func(t *testing.T) {
			t.Parallel()
			p := pretend(t)
			for name := range operations(nil) {
				p.answer = atomic.Value{}
				s := open(t, Config{URLs: []string{"redis://" + p.Addr().String()}, Timeout: patience})
				if _, err := s.nodeOf(s.one).count(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				p.answer.Store(answer)
				p.got.Store(0)
				s.timeout = 600 * time.Millisecond // for the call, not for opening
				began := time.Now()
				err := operations(s)[name](t.Context())
				if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, authcore.ErrChallengeNotFound) || errors.Is(err, authcore.ErrConflict) {
					t.Errorf("%s: got %v", name, err)
				}
				if took := time.Since(began); took > patience/2 {
					t.Errorf("%s took %v", name, took)
				}
				if n := p.got.Load(); n > 1 {
					t.Errorf("%s was asked %d times", name, n)
				}
			}
		})
	}
}

// A server says that it did nothing, because it is a primary no more. Its successor is asked, once, over another connection.
func TestSuccessorIsAsked(t *testing.T) {
	p := pretend(t)
	s := open(t, Config{URLs: []string{"redis://" + p.Addr().String()}})
	p.first.Store("-READONLY You can't write against a read only replica.\r\n")
	p.answer.Store("+OK\r\n")
	create(t, s, "a")
	if n := p.got.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	p.first.Store("")
	p.answer.Store("-READONLY You can't write against a read only replica.\r\n")
	if err := operations(s)["create"](t.Context()); !errors.Is(err, authcore.ErrUnavailable) || p.got.Load() != 4 {
		t.Errorf("got %v, asked %d times", err, p.got.Load())
	}
}

// Somebody sends requests and breaks them off. That says nothing of the server, and nobody else may be refused for it.
func TestCallersWhoGiveUp(t *testing.T) {
	p := pretend(t)
	s := open(t, Config{URLs: []string{"redis://" + p.Addr().String()}})
	p.answer.Store("")
	for range 3 * breakAfter {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	p.answer.Store(":0\r\n")
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A server of a Cluster points to another one, which does what it is asked and dies before it says so. What it is asked
// is not put to it again.
func TestRedirectedOnce(t *testing.T) {
	for name := range operations(nil) {
		first, second := pretend(t), pretend(t)
		s := open(t, Config{URLs: []string{"redis://" + first.Addr().String()}, Cluster: true})
		first.answer.Store(fmt.Sprintf("-MOVED 1 %s\r\n", second.Addr()))
		second.answer.Store("close")
		if name == "consume" || name == "notify" { // these ask for replicas first
			n, err := s.node(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			n.known = time.Now()
		}
		if err := operations(s)[name](t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := second.got.Load(); n != 1 {
			t.Errorf("%s was asked %d times", name, n)
		}
	}
}

// What is stored under a key of this store is not what this store puts there.
func TestStoredByOthers(t *testing.T) {
	for _, stored := range []string{"", "x", "\x01", "\x02" + strings.Repeat("\x00", 20), "\x01\x00\x00\x00\x00\x00\x00\x00\x00\xff"} {
		t.Run(fmt.Sprintf("%q", stored), func(t *testing.T) {
			p := pretend(t)
			s := open(t, Config{URLs: []string{"redis://" + p.Addr().String()}})
			if _, err := s.nodeOf(s.one).count(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			p.answer.Store(fmt.Sprintf("$%d\r\n%s\r\n", len(stored), stored))
			consume(t, s, "a", authcore.ErrUnavailable)
			for _, name := range []string{"count", "lockout", "attempts"} {
				if err := operations(s)[name](t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
					t.Errorf("%s: got %v", name, err)
				}
			}
		})
	}
}
