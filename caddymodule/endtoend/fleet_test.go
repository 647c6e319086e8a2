//go:build unix

package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	storeservers "github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// plan is a fleet to be started.
type plan struct {
	gates    int    // default 2
	accounts string // "postgres" (default), "own postgres" for a server that is paused or stopped, or "sqlite": one file
	short    string // "redis" (default) or "sql"
	mail     bool
	setup    setup // of all gates
	redis    []string
	postgres []string
	idle     bool // the processes are not started
}

// fleet is gates that are one: on the same stores, under one origin. Between each of them and each store is a link of its
// own.
type fleet struct {
	t        *testing.T
	gates    []*gate
	accounts []*link // of each gate, to PostgreSQL
	short    []*link // of each gate, to Redis
	redis    *storeservers.RedisServer
	postgres *storeservers.PostgresServer
	database string // URL of the database, past the links
	mail     *mailServer
	born     int64 // Unix seconds
}

func startFleet(t *testing.T, p plan) *fleet {
	t.Helper()
	if p.gates == 0 {
		p.gates = 2
	}
	f := &fleet{t: t}
	if p.mail {
		f.mail = startMailServer(t)
		mailed := f.mail.mailed(p.setup.global)
		p.setup.global, p.setup.env = mailed.global, append(p.setup.env, mailed.env...)
	}
	file := filepath.Join(t.TempDir(), "authgate.db")
	switch p.accounts {
	case "", "postgres":
		f.database = storeservers.Postgres(t)
	case "own postgres":
		f.postgres = storeservers.OwnPostgres(t, p.postgres...)
		f.database = f.postgres.Database()
	}
	if p.short != "sql" {
		f.redis = storeservers.Redis(t, p.redis...)
	}
	origin := fmt.Sprint("http://localhost:", freePort(t))
	for range p.gates {
		s := p.setup
		s.origin = origin
		if s.accounts == "" && f.database == "" {
			s.accounts = "sqlite " + file
		} else if s.accounts == "" {
			dsn, err := url.Parse(f.database)
			if err != nil {
				t.Fatal(err)
			}
			l := newLink(t, dsn.Host)
			dsn.Host = l.address
			f.accounts, s.accounts = append(f.accounts, l), fmt.Sprintf("postgres %q", dsn)
		}
		switch {
		case strings.Contains(s.global, "challenge_store"):
		case f.redis != nil:
			l := newLink(t, f.redis.Addr)
			f.short = append(f.short, l)
			s.global += "\nchallenge_store redis redis://" + l.address
		default:
			s.global += "\nchallenge_store sql"
		}
		f.gates = append(f.gates, prepare(t, s))
	}
	if !p.idle {
		f.boot()
	}
	return f
}

// boot starts all processes at the same moment and waits until they are ready.
func (f *fleet) boot() {
	f.t.Helper()
	for _, g := range f.gates {
		g.launch()
	}
	for _, g := range f.gates {
		g.await()
		g.wantReady(f.t)
	}
	f.born = time.Now().Unix()
}

// settle waits until access tokens are issued in a second after that in which the processes began. Of older ones a process
// cannot know which of their sessions have ended, so it looks each of them up once.
func (f *fleet) settle() {
	eventually(2*time.Second, func() bool { return time.Now().Unix() > f.born })
}

// wantReady waits until the gate is ready, for as long as a recovery may take.
func (g *gate) wantReady(t *testing.T) {
	t.Helper()
	began := time.Now()
	if !eventually(patience(5*time.Second), func() bool {
		a, err := g.try(request("GET", "/auth/health/ready"))
		return err == nil && a.status == 200
	}) {
		t.Fatalf("not ready after %v", time.Since(began))
	}
}

// link carries connections to a server, until a test interferes.
type link struct {
	address string
	target  string

	happening sync.Mutex // what a trip makes happen, or its end; before mu

	mu      sync.Mutex
	trips   int
	state   linkState
	delay   time.Duration
	changed chan struct{} // closed when state or delay change
	pairs   map[*pair]struct{}
	tripped func(*pair, []byte) bool // see trip
}

type linkState int

const (
	linkOpen linkState = iota
	linkCut            // connections are reset
	linkHung           // nothing arrives, on old connections and on new ones, and nobody is told
)

// pair is one connection through a link.
type pair struct {
	client, server net.Conn
	armed          func() // called instead of passing on the next answer
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: ln.Addr().String(), target: target, changed: make(chan struct{}), pairs: make(map[*pair]struct{})}
	t.Cleanup(func() { ln.Close(); l.cut() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			go l.carry(client)
		}
	}()
	return l
}

func (l *link) carry(client net.Conn) {
	p := &pair{client: client}
	defer reset(client)
	l.mu.Lock()
	if l.state == linkCut {
		l.mu.Unlock()
		return
	}
	l.pairs[p] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pairs, p)
		l.mu.Unlock()
	}()
	if !l.pass() {
		return
	}
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer reset(server)
	l.mu.Lock()
	p.server = server
	_, open := l.pairs[p]
	l.mu.Unlock()
	if !open {
		return
	}
	go func() {
		defer reset(client)
		defer reset(server)
		l.pump(client, server, func([]byte) bool {
			l.mu.Lock()
			armed := p.armed
			p.armed = nil
			l.mu.Unlock()
			if armed != nil {
				armed()
			}
			return armed == nil
		})
	}()
	l.pump(server, client, func(b []byte) bool {
		l.mu.Lock()
		tripped := l.tripped
		l.mu.Unlock()
		return tripped == nil || tripped(p, b)
	})
}

// pump copies until it fails or may says no.
func (l *link) pump(to io.Writer, from io.Reader, may func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !l.pass() || !may(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until something may go on, and reports false where it must not.
func (l *link) pass() bool {
	for {
		l.mu.Lock()
		state, delay, changed := l.state, l.delay, l.changed
		l.mu.Unlock()
		switch state {
		case linkCut:
			return false
		case linkHung:
			<-changed
			continue
		}
		if delay == 0 {
			return true
		}
		select {
		case <-time.After(delay):
			return true
		case <-changed:
		}
	}
}

func (l *link) set(state linkState, delay time.Duration, drop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.delay = state, delay
	close(l.changed)
	l.changed = make(chan struct{})
	if drop {
		for p := range l.pairs {
			reset(p.client)
			if p.server != nil {
				reset(p.server)
			}
			delete(l.pairs, p)
		}
	}
}

func (l *link) cut()                 { l.set(linkCut, 0, true) }
func (l *link) hang()                { l.set(linkHung, 0, false) }
func (l *link) slow(d time.Duration) { l.set(linkOpen, d, false) }

// heal lets everything pass again; connections from before are gone, with what was under way on them.
func (l *link) heal() { l.set(linkOpen, 0, true) }

// open answers how many connections there are.
func (l *link) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pairs)
}

// trip has f called once, at the n-th message (from one) that the gate sends from now on and that has part in it. Before
// that message is passed on, which it then is not; or, where answered is set, when the server has done it and answers,
// which the gate then does not hear. The connection is reset after f. What comes back counts the messages until now.
func (l *link) trip(n int, part string, answered bool, f func()) (count func() int) {
	seen := 0
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trips++
	trip, happen := l.trips, f
	// What is armed by a message of others would happen when their answer comes, long after somebody waits for it.
	f = func() {
		l.happening.Lock()
		defer l.happening.Unlock()
		l.mu.Lock()
		now := l.trips == trip && l.tripped != nil
		l.mu.Unlock()
		if now {
			happen()
		}
	}
	l.tripped = func(p *pair, b []byte) bool {
		if !bytes.Contains(bytes.ToLower(b), []byte(part)) {
			return true
		}
		l.mu.Lock()
		seen++
		hit := seen == n
		if hit && answered {
			p.armed = f
		}
		l.mu.Unlock()
		if hit && !answered {
			f()
			return false
		}
		return true
	}
	return func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return seen
	}
}

// untrip ends a trip. What it made happen has happened then, or never does.
func (l *link) untrip() {
	l.happening.Lock()
	defer l.happening.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tripped = nil
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func each(links []*link, do func(*link)) func() {
	return func() {
		for _, l := range links {
			do(l)
		}
	}
}

// freeze stops a PostgreSQL server with all its processes, as a machine that hangs does; thaw lets it go on.
func freeze(t *testing.T, pid int) { signalTree(t, pid, syscall.SIGSTOP) }
func thaw(t *testing.T, pid int)   { signalTree(t, pid, syscall.SIGCONT) }

func signalTree(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	// The parent first, so that no child is born meanwhile.
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Skip("processes cannot be listed here: ", err)
	}
	for _, child := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, sig) // it may just have ended
		}
	}
}

// wantRefused checks the answer where a store is needed and cannot be had: 503, when to try again, not to be stored, and
// nothing of the inside.
func (g *gate) wantRefused(t *testing.T, what string, a answer) {
	t.Helper()
	if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s: status %d, Retry-After %q, Cache-Control %q; want 503, when to try again, no-store: %s",
			what, a.status, a.header.Get("Retry-After"), a.header.Get("Cache-Control"), head(a.body))
	}
	for _, inside := range []string{"redis", "postgres", "sqlite", "127.0.0.1", "dial", "EOF", "timeout", "pgx", "SQLSTATE"} {
		if strings.Contains(a.body, inside) {
			t.Errorf("%s: the answer tells of the inside: %s", what, a.body)
		}
	}
}

// soon waits until something holds that must hold within a second.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	began := time.Now()
	if !eventually(patience(time.Second), ok) {
		t.Errorf("after %v not yet: %s", time.Since(began), what)
	}
}

// wantOut waits until a gate lets a sign-in in no more, which must be so within a second.
func (g *gate) wantOut(t *testing.T, line string) {
	t.Helper()
	soon(t, "signed out on the other instance", func() bool { return g.get(t, "/reports/x", line).status == 401 })
}

// tryPost is post for goroutines.
func (g *gate) tryPost(route, body string, lines ...string) (answer, error) {
	return g.try(requestBody("POST", "/auth/"+route, body, append(lines, "Content-Type: application/json")...))
}

// signed is the body that answers a message.
func signed(message string, w wallet) map[string]any {
	return map[string]any{"challenge": message, "signature": w.sign(message)}
}

// finish signs a message in for a program.
func (g *gate) finish(t *testing.T, message string, w wallet) (s signedIn) {
	t.Helper()
	g.post(t, "challenge/sign", signed(message, w)).into(t, 200, &s)
	return s
}

// refresh answers the next pair of tokens.
func (g *gate) refresh(t *testing.T, token string) (s signedIn) {
	t.Helper()
	g.post(t, "token/refresh", map[string]any{"refresh_token": token}).into(t, 200, &s)
	return s
}

// goroutines answers how many there are in the process.
func (g *gate) goroutines(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/goroutine?debug=1", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(readAll(t, resp), "goroutine profile: total %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// ownerOf answers whose a file is, as chown takes it.
func ownerOf(info os.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}

// psql runs a statement in a database, past the gates.
func psql(t *testing.T, database, statement string) string {
	t.Helper()
	out, err := exec.Command("psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return strings.TrimSpace(string(out))
}
