// Package endtoend tests the gateway as it runs in production: the built Caddy as a child process, real sockets on both
// sides, and a backend that records every byte that arrives.
//
// What is promised about requests is promised about what reaches the backend, and between the gateway's handler and the
// backend stands reverse_proxy, which drops headers named in Connection, forwards trailers and keeps the raw path. Tests
// of the handler alone cannot see that.
//
// AUTHGATE_BINARY names a Caddy that is built already. AUTHGATE_FULL=1 runs the loops under load at full size; without it
// the same loops run shorter.
package endtoend

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// binary is the Caddy under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	binary = os.Getenv("AUTHGATE_BINARY")
	if binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "authgate-endtoend-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "caddy")
	args := []string{"build", "-o", binary}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if raceEnabled {
		// The process under test is watched too; a race it reports fails the test that ran it.
		args, env = append(args, "-race"), append(os.Environ(), "CGO_ENABLED=1")
	}
	build := exec.Command("go", append(args, "github.com/caddy-authgate/authgate/caddymodule/cmd/caddy")...)
	build.Env = env
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// load is how often a loop under load runs: full where AUTHGATE_FULL is set, else short.
func load(short, full int) int {
	if os.Getenv("AUTHGATE_FULL") != "" {
		return full
	}
	return short
}

var ports struct {
	sync.Mutex
	next int
}

// freePort answers a port of 127.0.0.1 that is free for TCP and UDP, and below those that the system gives to outgoing
// connections, so that none of these takes it before Caddy does.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 12000 + os.Getpid()*37%18000
	}
	for range 2000 {
		port := ports.next
		if ports.next++; ports.next >= 31000 {
			ports.next = 12000
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		tcp.Close()
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		udp.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}
