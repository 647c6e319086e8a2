package endtoend

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkServer measures what authgate adds to a whole Caddy: a process with two sites that differ only in one having
// authgate, both before the same backend in a process of its own, under load over loopback.
//
// The same requests go to both sites in rounds, in turns, so that whatever else the machine does hits both. Figures are
// lower quartiles over the rounds, since what disturbs a round only ever adds to it. "throughput-ratio" is that of the
// time they took; "cpu" is user and system time of Caddy's process. On a noisy machine the latter is the steadier figure.
func BenchmarkServer(b *testing.B) {
	s := startServers(b, "")
	cookie, bearer := s.signIn(b, `,"session":"cookie"`), s.signIn(b, "")
	for _, c := range []struct {
		name   string
		lines  string
		status int
	}{
		{"cookie", browserLines + "Cookie: theme=dark; " + cookie, 200},
		{"bearer", programLines + "Authorization: Bearer " + bearer, 200},
		// What refusing costs, against passing the same request on.
		{"refused-navigation", strings.TrimSuffix(browserLines, "\r\n"), 302},
		{"refused-program", strings.TrimSuffix(programLines, "\r\n"), 401},
	} {
		b.Run(c.name, func(b *testing.B) {
			s.compare(b, c.lines, c.status)
		})
	}
}

const (
	browserLines = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nReferer: http://localhost/reports\r\n" +
		"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n"
	programLines = "User-Agent: example/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
)

// The sizes of a comparison. A round has the garbage of some collections in it.
const (
	benchConns  = 8
	benchRound  = 1600 // requests
	benchRounds = 80   // on each site; AUTHGATE_BENCH_ROUNDS says otherwise, where it is only to be seen that it works
)

func rounds(b *testing.B) int {
	b.Helper()
	said := os.Getenv("AUTHGATE_BENCH_ROUNDS")
	if said == "" {
		return benchRounds
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < 1 {
		b.Fatalf("AUTHGATE_BENCH_ROUNDS is %q: write a number", said)
	}
	return n
}

func (s *servers) compare(b *testing.B, lines string, status int) {
	sides := [2]side{{round: s.load(b, s.plain, lines, 200)}, {round: s.load(b, s.gated, lines, status)}}
	for i := range sides {
		sides[i].round(b)
	}
	for b.Loop() {
		for i := range 2 * rounds(b) {
			d := &sides[(i+i/2)%2] // A B B A
			took, cpu := d.round(b)
			d.took, d.cpu = append(d.took, took), append(d.cpu, cpu)
		}
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / benchRound / 1000 }
	plain, gated := quartile(sides[0].cpu), quartile(sides[1].cpu)
	b.ReportMetric(0, "ns/op") // it would be that of all rounds
	b.ReportMetric(float64(quartile(sides[0].took))/float64(quartile(sides[1].took)), "throughput-ratio")
	b.ReportMetric(each(plain), "cpu-without-µs/op")
	b.ReportMetric(each(gated), "cpu-with-µs/op")
	b.ReportMetric(each(gated-plain), "cpu-added-µs/op")
}

// side is one of the two that are compared: how it does a round, and what each round took.
type side struct {
	round     func(*testing.B) (took, cpu time.Duration)
	took, cpu []time.Duration
}

// quartile is the duration that a quarter of d does not exceed.
func quartile(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/4]
}

// load answers a function that sends a round of requests over connections that stay open, and tells how long it took and
// how much CPU time Caddy spent.
func (s *servers) load(b *testing.B, address, lines string, status int) func(*testing.B) (took, cpu time.Duration) {
	b.Helper()
	text := []byte("GET /reports/2026/q3?page=2 HTTP/1.1\r\nHost: " + address + "\r\n" + lines + "\r\n\r\n")
	var conns [benchConns]*keptConn
	for i := range conns {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		conns[i] = &keptConn{conn, bufio.NewReader(conn)}
	}
	return func(b *testing.B) (time.Duration, time.Duration) {
		cpu, start := s.cpu(b), time.Now()
		done := make(chan error, benchConns)
		for _, c := range conns {
			go func() {
				var err error
				for i := 0; i < benchRound/benchConns && err == nil; i++ {
					err = c.ask(text, status)
				}
				done <- err
			}()
		}
		var errs []error
		for range conns {
			errs = append(errs, <-done)
		}
		took := time.Since(start)
		if err := errors.Join(errs...); err != nil {
			b.Fatal(err)
		}
		return took, s.cpu(b) - cpu
	}
}

// keptConn is an HTTP client that costs so little that it is not what is measured.
type keptConn struct {
	net.Conn
	in *bufio.Reader
}

func (c *keptConn) ask(text []byte, status int) error {
	if _, err := c.Write(text); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if got, err := strconv.Atoi(string(line[9:12])); err != nil || got != status {
		return fmt.Errorf("answered %q, want %d", line, status)
	}
	size := 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := c.in.Discard(size)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
}

// servers are a Caddy with two sites, and the backend of both.
type servers struct {
	plain, gated string // addresses
	caddy        *exec.Cmd
}

// startServers starts them; global are further lines of the app's block.
func startServers(b *testing.B, global string, env ...string) *servers {
	b.Helper()
	s := &servers{plain: freeAddress(b), gated: freeAddress(b)}

	self := exec.Command(os.Args[0])
	self.Env = append(os.Environ(), asBackend+"=1")
	self.Stderr = os.Stderr
	out, err := self.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	run(b, self)
	backend, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}

	dir := b.TempDir()
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	authgate {
		store sqlite %s
		registration open
		rate_limit off
		session {
			access_token 1h
		}
		%s
	}
}
http://%s {
	reverse_proxy %s
}
http://%s {
	authgate {
		allow role admin /admin/*
		allow anyone /public/*
		allow signed_in /reports/*
	}
	reverse_proxy %[4]s
}
`, filepath.Join(dir, "authgate.db"), global, s.plain, strings.TrimSpace(backend), s.gated)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	s.caddy = exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	s.caddy.Env = append(append(os.Environ(), asCaddy+"=1", "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir), env...)
	log := new(output)
	s.caddy.Stdout, s.caddy.Stderr = log, log
	run(b, s.caddy)
	if !eventually(30*time.Second, func() bool {
		resp, err := http.Get("http://" + s.gated + "/auth/health/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}) {
		b.Fatalf("Caddy does not answer: %s", log)
	}
	return s
}

// run starts a process that ends with the benchmark.
func run(b *testing.B, p *exec.Cmd) {
	b.Helper()
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
}

func freeAddress(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// signIn answers a cookie or an access token; more holds further members of the request.
func (s *servers) signIn(b *testing.B, more string) string {
	b.Helper()
	post := func(route, body string, answer any) http.Header {
		b.Helper()
		resp, err := http.Post("http://"+s.gated+"/auth/"+route, "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s: %d %s %v", route, resp.StatusCode, text, err)
		}
		if err := json.Unmarshal(text, answer); err != nil {
			b.Fatal(err)
		}
		return resp.Header
	}
	alice := walletOf("alice")
	var asked struct{ ChallengeMessage string }
	post("challenge/create", fmt.Sprintf(`{"address":%q}`, alice.address), &asked)
	var tokens signedIn
	header := post("challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":%q%s}`,
		asked.ChallengeMessage, alice.sign(asked.ChallengeMessage), more), &tokens)
	if cookie, _, ok := strings.Cut(header.Get("Set-Cookie"), ";"); ok {
		return cookie
	}
	return tokens.AccessToken
}

// cpu is the user and system time that Caddy's process has spent. The kernel tells it of each thread in nanoseconds
// (Documentation/scheduler/sched-stats.rst) where proc(5) has steps of 10 ms only; Go keeps its threads.
func (s *servers) cpu(b *testing.B) time.Duration {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.caddy.Process.Pid))
	if err != nil || len(threads) == 0 {
		b.Skip("this needs a Linux that counts CPU time by thread")
	}
	var spent time.Duration
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			b.Fatal(err)
		}
		first, _, _ := strings.Cut(string(stat), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		spent += time.Duration(ns)
	}
	return spent
}

// asBackend is set in the environment of the process that is the backend of a benchmark.
const asBackend = "AUTHGATE_TEST_AS_BACKEND"

// serveBenchmark is a backend that answers everything alike and costs little. It tells its address on standard output.
func serveBenchmark() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(ln.Addr())
	body := strings.Repeat("All is well. ", 80)
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + websocketAccept + "\r\n\r\n"
	for {
		conn, err := ln.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() {
			defer conn.Close()
			in, socket := bufio.NewReader(conn), false
			for {
				line, err := in.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) > 2 {
					socket = socket || bytes.HasPrefix(line, []byte("Upgrade: websocket"))
					continue
				}
				if socket {
					if _, err := io.WriteString(conn, switching); err == nil {
						_, _ = io.Copy(io.Discard, in)
					}
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}
