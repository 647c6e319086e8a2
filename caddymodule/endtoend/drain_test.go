//go:build unix

package endtoend

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// terminate asks the process to end, as systemd and container engines do.
func (g *gate) terminate(t *testing.T) {
	t.Helper()
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// wantEnded waits for the end of the process, which must be a good one.
func (g *gate) wantEnded(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case <-g.ended:
	case <-time.After(patience(limit)):
		t.Fatal("the process does not end")
	}
	if code := g.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// draining is what an operator of several instances configures: how long balancers have to notice, and how long requests
// have to finish.
const draining = "shutdown_delay 2s\n\tgrace_period 10s"

// SIGTERM: health/ready says so at once while everything is still answered; then no more is accepted, and what is under
// way finishes, a slow backend's answer and sign-ins that wait to be hashed included.
func TestTerminateDrains(t *testing.T) {
	t.Parallel()
	h := variant{accounts: "sqlite", short: "sql", mail: true}.settle(t, func(s *setup) { s.top = draining })
	p := h.people(t, h.mail)
	var slow sync.WaitGroup
	for _, header := range []string{p.program.bearer(), p.browser.cookieLine()} {
		slow.Go(func() {
			l := h.line()
			defer l.hangUp()
			if err := l.want(200, nil, request("GET", "/reports/slow", header)); err != nil {
				t.Error("with the slow backend: ", err)
			}
		})
	}
	if !eventually(10*time.Second, func() bool { return h.upstream.waiting.Load() == 2 }) {
		t.Fatal("the slow requests do not arrive")
	}
	h.terminate(t)
	soon(t, "health/ready says that the process ends", func() bool {
		a, err := h.try(request("GET", "/auth/health/ready"))
		return err == nil && a.status == 503
	})
	// Balancers have not noticed yet. Many sign in at once, more than are hashed at once.
	var hashing sync.WaitGroup
	var signedIn atomic.Int64
	for range 6 {
		hashing.Go(func() {
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, p.email, passphrase)
			a, err := h.tryPost("password/sign-in", body)
			if err := a.right(200, nil, "password/sign-in", err); err != nil {
				t.Error(err)
				return
			}
			signedIn.Add(1)
		})
	}
	h.get(t, "/auth/health/live").want(t, 200)
	h.get(t, "/reports/x", p.program.bearer()).want(t, 200)
	hashing.Wait()
	if !eventually(patience(10*time.Second), func() bool {
		conn, err := h.dial()
		if err == nil {
			conn.Close()
		}
		return err != nil
	}) {
		t.Fatal("connections are still accepted")
	}
	select {
	case <-h.ended:
		t.Error("the process ended with requests under way")
	default:
	}
	close(h.upstream.release)
	slow.Wait()
	h.wantEnded(t, 10*time.Second)
	h.wantClosedWell(t)
	if n := signedIn.Load(); n != 6 {
		t.Errorf("%d of 6 signed in", n)
	}
	h.boot()
	h.get(t, "/reports/x", p.program.bearer()).want(t, 200)
	h.get(t, "/reports/x", p.browser.cookieLine()).want(t, 200)
}

// wantClosedWell checks that SQLite was closed: its log is merged and gone, and all is in order.
func (h *household) wantClosedWell(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(h.dir, "authgate.db-wal")); err == nil {
		t.Error("the database was not closed")
	}
	var state string
	if err := h.gate.database(t).QueryRow("PRAGMA integrity_check").Scan(&state); err != nil || state != "ok" {
		t.Errorf("database: %s, %v", state, err)
	}
}

// SIGTERM while the mail server takes its time: the mail on its way has some seconds; those that were claimed with it and
// not begun are given back, so that whoever runs next sends them at once and not when the lease is over.
func TestTerminateGivesMailsBack(t *testing.T) {
	t.Parallel()
	h := variant{accounts: "sqlite", short: "sql", mail: true}.settle(t)
	first := h.mail.slow()
	const n = 6
	for i := range n {
		h.post(t, "password/register", registration(fmt.Sprintf("user%d@example.net", i))).want(t, 202)
		if i == 0 && !eventually(20*time.Second, func() bool { return h.mail.held() == 1 }) {
			t.Fatal("no mail gets to the server")
		}
	}
	first() // the next batch is all the others
	release := h.mail.slow()
	if !eventually(20*time.Second, func() bool { return h.mail.held() == 1 && h.claimed(t) > 0 }) {
		t.Fatal("no batch is under way")
	}
	sent := len(h.mail.letters())
	h.terminate(t)
	h.wantEnded(t, 15*time.Second)
	if left, waiting := h.claimed(t), n-sent; left > 1 {
		t.Errorf("%d of %d mails are claimed by nobody, want at most that on its way", left, waiting)
	}
	h.wantClosedWell(t)
	release()
	h.boot()
	if !eventually(30*time.Second, func() bool { return len(h.mail.letters()) >= n-1 }) {
		t.Errorf("%d letters of %d", len(h.mail.letters()), n)
	}
}

// claimed counts the mails that are due only later.
func (h *household) claimed(t *testing.T) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.dir, "authgate.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM outbox WHERE due > ?", time.Now().Add(time.Second).UnixMicro()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// balancer spreads requests over the gates that say that they are ready. It sends a request again only where it could not
// connect.
type balancer struct {
	gates []*gate
	ready []atomic.Bool
	next  atomic.Uint64
	proxy *httputil.ReverseProxy
}

func startBalancer(t *testing.T, f *fleet) *balancer {
	t.Helper()
	b := &balancer{gates: f.gates, ready: make([]atomic.Bool, len(f.gates))}
	b.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host },
		Transport:     b,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			t.Errorf("balancer: %s %s: %v", r.Method, r.URL.Path, err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	origin, err := url.Parse(f.gates[0].origin)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+origin.Port())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b.proxy}
	over := make(chan struct{})
	var looking sync.WaitGroup
	for i, g := range b.gates {
		looking.Go(func() { b.look(g, &b.ready[i], over) })
	}
	t.Cleanup(func() { server.Close(); close(over); looking.Wait() })
	go func() { _ = server.Serve(listener) }()
	return b
}

// look asks a gate again and again whether it is ready.
func (b *balancer) look(g *gate, ready *atomic.Bool, over chan struct{}) {
	for {
		a, err := g.try(request("GET", "/auth/health/ready"))
		ready.Store(err == nil && a.status == 200)
		select {
		case <-over:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	var last error
	for range 4 * len(b.gates) {
		i := int(b.next.Add(1) % uint64(len(b.gates)))
		if !b.ready[i].Load() {
			last = fmt.Errorf("no gate is ready")
			continue
		}
		conn, err := b.gates[i].dial() // a connection for each request: refused is refused before anything was sent
		if err != nil {
			last = err
			continue
		}
		one := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		return one.RoundTrip(r)
	}
	return nil, last
}

// Two instances behind a balancer are restarted, one after the other, again and again while everybody is busy: no request
// fails, nobody is signed out, and who began to sign in on one instance ends on the other, or on the one that came back.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	for _, stores := range []plan{{accounts: "sqlite", short: "sql"}, {accounts: "postgres", short: "redis"}} {
		t.Run(stores.accounts+", "+stores.short, func(t *testing.T) {
			t.Parallel()
			up := startUpstream(t)
			stores.setup = setup{top: draining, routes: "reverse_proxy " + up.address, global: longChallenges}
			f := startFleet(t, stores)
			b := startBalancer(t, f)
			origin := strings.TrimPrefix(f.gates[0].origin, "http://")
			client := func() *line {
				return &line{dial: func() (net.Conn, error) { return net.Dial("tcp", strings.Replace(origin, "localhost", "127.0.0.1", 1)) }, host: origin}
			}
			all := func() bool {
				return !slices.ContainsFunc([]int{0, 1}, func(i int) bool { return !b.ready[i].Load() })
			}
			if !eventually(10*time.Second, all) {
				t.Fatal("the balancer finds no gates")
			}
			p := f.gates[0].people(t, nil)
			before := p
			tr := startTraffic(&p, client, patience(time.Second))
			for i := range load(2, 6) {
				g, other := f.gates[i%2], f.gates[(i+1)%2]
				here, _ := g.challenge(t, walletOf("here"))
				back, _ := g.challenge(t, walletOf("back"))
				there, _ := other.challenge(t, walletOf("there"))
				g.terminate(t)
				g.wantEnded(t, 15*time.Second)
				other.finish(t, here, walletOf("here"))
				g.boot()
				g.wantReady(t)
				g.finish(t, there, walletOf("there"))
				g.finish(t, back, walletOf("back"))
				for _, g := range f.gates {
					g.post(t, "challenge/sign", signed(here, walletOf("here"))).wantProblem(t, 404, "challenge_not_found")
				}
				if !eventually(10*time.Second, all) {
					t.Fatal("the balancer does not take the instance back")
				}
			}
			tr.stop(t)
			for _, g := range f.gates {
				g.get(t, "/reports/x", before.program.bearer()).want(t, 200)
				g.get(t, "/reports/x", before.browser.cookieLine()).want(t, 200)
				g.refresh(t, before.program.RefreshToken)
			}
		})
	}
}
