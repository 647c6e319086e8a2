// Package endtoend tests the gateway as it runs in production: the built Caddy as a child process, real sockets on both
// sides, and a backend that records every byte that arrives.
//
// What is promised about requests is promised about what reaches the backend, and between the gateway's handler and the
// backend stands reverse_proxy, which drops headers named in Connection, forwards trailers and keeps the raw path. Tests
// of the handler alone cannot see that.
//
// The Caddy under test is this test binary itself, started again as cmd/caddy is: so `go test` knows what it is made of, and
// builds it with the race detector where it is asked to. AUTHGATE_BINARY names another one that is built already.
// AUTHGATE_FULL=1 runs the loops under load at full size; without it the same loops run shorter.
package endtoend

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddy-authgate/authgate/caddymodule"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// binary is the Caddy under test.
var binary string

// asCaddy is set in the environment of child processes.
const asCaddy = "AUTHGATE_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	if os.Getenv(asBackend) != "" {
		os.Exit(serveBenchmark())
	}
	var err error
	if binary = os.Getenv("AUTHGATE_BINARY"); binary == "" {
		binary, err = os.Executable()
	}
	if err == nil {
		_, err = os.Stat(binary) // also tells the cache of test results that they depend on it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
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
func freePort(t testing.TB) int {
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
