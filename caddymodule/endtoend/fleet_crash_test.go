//go:build unix

package endtoend

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// step is something that a gate does in several steps with its stores, and what must be so where it was interrupted.
type step struct {
	name   string
	hashes bool   // passwords, which takes time
	done   string // part of the message by which it is done, in lower case
	setUp  func(t *testing.T, f *fleet) *attempt
}

// attempt is one try of a step: its request to the first gate, and what must then be true at the other one. It is given
// the answer, nil where there was none.
type attempt struct {
	route string
	body  map[string]any
	lines []string
	after func(t *testing.T, got *answer)
}

// The steps. n makes accounts of their own.
func steps() []step {
	var n, address atomic.Int64
	// One address may have no more than some mails sent in an hour.
	from := func() string { i := address.Add(1); return fmt.Sprintf("X-Forwarded-For: 192.0.%d.%d", i/200, 1+i%200) }
	return []step{
		{"sign-in", false, "commit", func(t *testing.T, f *fleet) *attempt {
			other := f.gates[1]
			w := walletOf(fmt.Sprint("crash ", n.Add(1)))
			message, _ := f.gates[0].challenge(t, w)
			return &attempt{route: "challenge/sign", body: signed(message, w), after: func(t *testing.T, got *answer) {
				again := other.post(t, "challenge/sign", signed(message, w))
				// Unspent it may be where nobody was answered; then it is good, once.
				if again.status != 404 && (again.status != 200 || got != nil && got.status == 200) {
					t.Errorf("tried again: %d %s", again.status, head(again.body))
				}
				other.post(t, "challenge/sign", signed(message, w)).wantProblem(t, 404, "challenge_not_found")
				// No half account: it signs in, and is one.
				s := other.signIn(t, w)
				other.get(t, "/reports/x", s.bearer()).want(t, 200)
				if twin := other.signIn(t, w); twin.User.ID != s.User.ID {
					t.Errorf("a twin: %s and %s", twin.User.ID, s.User.ID)
				}
				if strings.Count(psqlIf(t, f, "SELECT count(*) FROM credentials WHERE key = '"+w.address+"'"), "1") != 1 {
					t.Error("not one credential of the wallet")
				}
			}}
		}},
		{"refresh", false, "update", func(t *testing.T, f *fleet) *attempt {
			other := f.gates[1]
			s := f.gates[0].signIn(t, walletOf(fmt.Sprint("crash ", n.Add(1))))
			return &attempt{
				route: "token/refresh", body: map[string]any{"refresh_token": s.RefreshToken},
				after: func(t *testing.T, got *answer) {
					// The same token answers again, with the same successor where there was one already.
					next := other.refresh(t, s.RefreshToken)
					if got != nil && got.status == 200 {
						var first signedIn
						got.into(t, 200, &first)
						if first.RefreshToken != next.RefreshToken {
							t.Error("a refresh token has two successors")
						}
					}
					other.get(t, "/reports/x", next.bearer()).want(t, 200)
					other.refresh(t, next.RefreshToken)
				},
			}
		}},
		{"sign-out", false, "commit", func(t *testing.T, f *fleet) *attempt {
			other := f.gates[1]
			s := f.gates[0].signIn(t, walletOf(fmt.Sprint("crash ", n.Add(1))))
			other.get(t, "/reports/x", s.bearer()).want(t, 200)
			return &attempt{route: "sign-out", lines: []string{s.bearer()}, after: func(t *testing.T, got *answer) {
				if got == nil || got.status != 204 {
					other.signOut(t, s.bearer())
				}
				other.wantOut(t, s.bearer())
				other.post(t, "token/refresh", map[string]any{"refresh_token": s.RefreshToken}).wantProblem(t, 401, "invalid_grant")
			}}
		}},
		{"activate", true, "commit", func(t *testing.T, f *fleet) *attempt {
			g, other := f.gates[0], f.gates[1]
			email := fmt.Sprintf("crash%d@example.net", n.Add(1))
			g.post(t, "password/register", registration(email), from()).want(t, 202)
			key := map[string]any{"key": g.confirmation(t, f.mail, email)}
			return &attempt{route: "password/activate", body: key, after: func(t *testing.T, got *answer) {
				a := other.post(t, "password/activate", key)
				if a.status != 404 && (a.status != 200 || got != nil && got.status == 200) {
					t.Errorf("tried again: %d %s", a.status, head(a.body))
				}
				other.post(t, "password/activate", key).wantProblem(t, 404, "registration_not_found")
				other.knock(t, email, passphrase).want(t, 200)
			}}
		}},
		{"register", true, "commit", func(t *testing.T, f *fleet) *attempt {
			other := f.gates[1]
			email := fmt.Sprintf("crash%d@example.net", n.Add(1))
			return &attempt{route: "password/register", body: registration(email), lines: []string{from()}, after: func(t *testing.T, got *answer) {
				if got == nil || got.status != 202 {
					other.post(t, "password/register", registration(email), from()).want(t, 202)
				}
				// Acknowledged: the mail comes. Where it was tried twice the last one counts.
				began := time.Now()
				ok := eventually(30*time.Second, func() bool {
					letters := f.mail.to(email)
					if len(letters) == 0 {
						if time.Since(began) > 3*time.Second {
							// It was claimed by a message of which the answer was lost: as if that claim were over.
							psqlIf(t, f, "UPDATE outbox SET due = 0")
						}
						return false
					}
					key := letters[len(letters)-1].key(t, other.origin+"/auth/activate")
					return other.post(t, "password/activate", map[string]any{"key": key}).status == 200
				})
				if !ok {
					t.Error("cannot be activated")
				}
				other.knock(t, email, passphrase).want(t, 200)
			}}
		}},
	}
}

// psqlIf is psql where the accounts are in PostgreSQL, else what a count of one would be.
func psqlIf(t *testing.T, f *fleet, statement string) string {
	t.Helper()
	if f.database == "" {
		return "1"
	}
	return psql(t, f.database, statement)
}

func (f *fleet) try(t *testing.T, a *attempt) *answer {
	t.Helper()
	body := "{}"
	if a.body != nil {
		text, err := json.Marshal(a.body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	got, err := f.gates[0].tryPost(a.route, body, a.lines...)
	if err != nil {
		return nil
	}
	return &got
}

// links are those of the first gate.
func (f *fleet) links() []*link {
	var all []*link
	for _, links := range [][]*link{f.accounts, f.short} {
		if len(links) > 0 {
			all = append(all, links[0])
		}
	}
	return all
}

// crashPlan is of a fleet that knows clients apart by what a proxy says.
func crashPlan(short string) plan {
	return plan{mail: true, short: short, setup: setup{top: "servers {\n trusted_proxies static 127.0.0.1\n }"}}
}

// F15, F23: the connection to a store breaks at each message of each step, before the store has heard it and, worse, when
// it has done it and its answer is lost. The answer is success or 503, and either way the other instance finds nothing done
// by half, nothing done twice, and nothing lost that was acknowledged.
func TestConnectionBreaksAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"redis", "sql"} {
		t.Run("challenges in "+short, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, crashPlan(short))
			for _, s := range steps() {
				if s.hashes && short == "redis" && load(0, 1) == 0 {
					continue
				}
				for _, l := range f.links() {
					f.breakAt(t, s, l)
				}
			}
		})
	}
}

func (f *fleet) breakAt(t *testing.T, s step, l *link) {
	t.Helper()
	// How many messages it takes. Some of them may be others': what is done in the background asks the store too.
	a := s.setUp(t, f)
	count := l.trip(0, "", false, nil)
	got := f.try(t, a)
	l.untrip()
	a.after(t, got)
	all := count()
	breaks := min(load(3, 20), all)
	if s.hashes {
		breaks = min(load(1, 10), all)
	}
	refused := 0
	defer func() { t.Logf("%s: broke at %d of %d messages, 503 came of %d", s.name, 2*breaks, all, refused) }()
	for i := range breaks {
		n := all - i*all/breaks // the last one first: by it things are done
		for _, answered := range []bool{false, true} {
			a := s.setUp(t, f)
			l.trip(n, "", answered, func() {})
			got := f.try(t, a)
			l.untrip()
			where := fmt.Sprintf("%s, message %d of %d, answered %v", s.name, n, all, answered)
			if got == nil {
				t.Fatalf("%s: no answer", where)
			}
			if got.status >= 300 {
				refused++
				f.gates[0].wantRefused(t, where, *got)
			}
			a.after(t, got)
			if t.Failed() {
				t.Fatal(where)
			}
		}
	}
}

// F23: the process is killed (kill -9) at a message of each step, before the store has heard it or when it has done it.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, hashes := range map[string]bool{"with passwords": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, crashPlan("sql"))
			for _, s := range steps() {
				if s.hashes != hashes {
					continue
				}
				// The other messages of a step are broken at by TestConnectionBreaksAtEveryStep.
				for n := range load(1, 12) {
					if !hashes || n > 0 {
						f.killAt(t, s, 3+n, "", false)
					}
					f.killAt(t, s, 1+n, s.done, false)
					f.killAt(t, s, 1+n, s.done, true)
				}
			}
		})
	}
}

func (f *fleet) killAt(t *testing.T, s step, n int, part string, answered bool) {
	t.Helper()
	g := f.gates[0]
	a := s.setUp(t, f)
	died := make(chan struct{})
	f.accounts[0].trip(n, part, answered, func() { defer close(died); g.kill() })
	got := f.try(t, a)
	f.accounts[0].untrip()
	where := fmt.Sprintf("%s killed at %q %d, answered %v", s.name, part, n, answered)
	a.after(t, got)
	select {
	case <-died:
		g.boot()
		g.wantReady(t)
	default:
		if part != "" && n == 1 {
			t.Error("it was not killed")
		}
	}
	if t.Failed() {
		t.Fatal(where)
	}
}

// F20: the instance that took a registration is killed before the mail server is there. Another one sends the mail, and
// its link is good there.
func TestAnotherInstanceSendsTheMail(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	mailed := s.mailed("")
	f := startFleet(t, plan{setup: setup{global: mailed.global, env: mailed.env}})
	g, other := f.gates[0], f.gates[1]
	began := time.Now()
	g.post(t, "password/register", registration("alice@example.net")).want(t, 202)
	if took := time.Since(began); took > patience(2*time.Second) {
		t.Errorf("a mail server that is down delays a registration by %v", took)
	}
	g.kill()
	s.start()
	// As if the pause after a failure were over.
	psql(t, f.database, "UPDATE outbox SET due = 0")
	key := other.confirmation(t, s, "alice@example.net")
	other.post(t, "password/activate", map[string]any{"key": key}).want(t, 200)
}

// keepAlive is a client that stays on its connection, and goes to the other gate where that one is gone: what a balancer
// does.
type keepAlive struct {
	gates []*gate
	at    int
	conn  net.Conn
}

func (k *keepAlive) ask(text string) (answer, error) {
	var last error
	for range 2 * len(k.gates) {
		if k.conn == nil {
			conn, err := k.gates[k.at].dial()
			if err != nil {
				last, k.at = err, (k.at+1)%len(k.gates)
				continue
			}
			k.conn = conn
		}
		a, err := k.gates[k.at].exchange(k.conn, text)
		if err == nil {
			if strings.EqualFold(a.header.Get("Connection"), "close") {
				k.conn.Close()
				k.conn = nil
			}
			return a, nil
		}
		k.conn.Close()
		last, k.conn, k.at = err, nil, (k.at+1)%len(k.gates)
	}
	return answer{}, last
}

// load keeps clients asking until stop, and counts the answers that are not 200.
func (f *fleet) load(t *testing.T, clients int, text string) (stop func() (asked int)) {
	t.Helper()
	var end atomic.Bool
	var asked atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			k := &keepAlive{gates: f.gates, at: i % len(f.gates)}
			for !end.Load() {
				a, err := k.ask(text)
				if err != nil || a.status != 200 {
					t.Errorf("under load: %d %v %s", a.status, err, head(a.body))
					return
				}
				asked.Add(1)
			}
			if k.conn != nil {
				k.conn.Close()
			}
		})
	}
	return func() int { end.Store(true); all.Wait(); return int(asked.Load()) }
}

// F24: one instance after the other is replaced (SIGTERM, start) under load and behind a balancer. No request fails, what
// was begun on the one that goes is ended on the other, and a websocket on it ends rather than hangs.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	s := f.gates[0].signIn(t, walletOf("alice"))
	stop := f.load(t, 4, request("GET", "/reports/x", s.bearer()))
	for range load(1, 5) {
		for i, g := range f.gates {
			other := f.gates[1-i]
			w := walletOf(fmt.Sprint("ceremony ", i))
			message, _ := g.challenge(t, w)
			socket, a := g.open(t, "/ws", s.bearer())
			a.want(t, 101)
			if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			other.finish(t, message, w)
			if !endsWithin(t, socket, patience(3*time.Second)) {
				t.Error("a websocket hangs on an instance that goes")
			}
			select {
			case <-g.ended:
			case <-time.After(patience(5 * time.Second)):
				t.Fatal("does not end")
			}
			if code := g.process.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			g.boot()
			g.wantReady(t)
		}
	}
	if asked := stop(); asked < 20 {
		t.Errorf("%d requests are no load", asked)
	}
}

// F25: reloads during ceremonies and under load: nothing fails, nothing is forgotten, and nothing is left behind.
func TestReloadsOfAFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	g, other := f.gates[0], f.gates[1]
	s := g.signIn(t, walletOf("alice"))
	var goroutines, connections int
	rounds := load(6, 50)
	// Without keep-alive to the backend: Caddy leaves connections that were in use at a reload idle for two minutes.
	g.setup.routes = "reverse_proxy " + g.backend.address + " {\n\t\ttransport http {\n\t\t\tkeepalive off\n\t\t}\n\t}"
	stop := f.load(t, 2, request("GET", "/reports/x", s.bearer()))
	for i := range rounds {
		w := walletOf(fmt.Sprint("ceremony ", i))
		here, _ := g.challenge(t, w)
		there, _ := other.challenge(t, w)
		gone := other.signIn(t, w)
		g.setup.site = defaultRules + fmt.Sprintf("\n\t\tallow anyone /opened/%d/*", i)
		if status, body := g.reload(); status != 200 {
			t.Fatalf("reload: %d %s", status, body)
		}
		g.retry(t, request("GET", fmt.Sprintf("/opened/%d/x", i))).want(t, 200)
		other.finish(t, here, w)
		g.finish(t, there, w)
		other.signOut(t, gone.bearer())
		g.wantOut(t, gone.bearer()) // it hears on after a reload
		if i == 1 {
			goroutines, connections = g.goroutines(t), f.accounts[0].open()+f.short[0].open()
		}
	}
	stop()
	if !eventually(10*time.Second, func() bool {
		return g.goroutines(t) <= goroutines+15 && f.accounts[0].open()+f.short[0].open() <= connections+8
	}) {
		t.Errorf("after %d reloads %d goroutines, after two %d; connections %d and %d", rounds, g.goroutines(t), goroutines,
			f.accounts[0].open()+f.short[0].open(), connections)
	}
}

// F26: the process has no file descriptors left. Nobody gets in by that, it does not fall, and works on once it has.
func TestNoFileDescriptorsLeft(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{gates: 1})
	g := f.gates[0]
	s := g.signIn(t, walletOf("alice"))
	limit := func(n string) {
		t.Helper()
		if out, err := exec.Command("prlimit", fmt.Sprintf("--pid=%d", g.process.Process.Pid), "--nofile="+n+":").CombinedOutput(); err != nil {
			t.Skipf("prlimit: %v %s", err, out)
		}
	}
	// Connections that are there already go on; each of their requests would need more.
	kept := &keepAlive{gates: f.gates}
	if a, err := kept.ask(request("GET", "/reports/x", s.bearer())); err != nil || a.status != 200 {
		t.Fatal(a.status, err)
	}
	each(append(f.accounts, f.short...), (*link).heal)() // so that stores must be connected to anew
	limit("5")
	for _, ask := range []struct{ text, may string }{
		{requestBody("POST", "/auth/challenge/create", `{}`, "Content-Type: application/json"), "200 503"},
		{requestBody("POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, s.RefreshToken), "Content-Type: application/json"), "503"},
		{requestBody("POST", "/auth/sign-out", "", s.bearer()), "503"},
		{request("GET", "/reports/x"), "401"},
		{request("GET", "/reports/x", s.bearer()), "200 502 503"}, // allowed; the way to the backend may need one
		{request("GET", "/admin/x", s.bearer()), "403"},
	} {
		a, err := kept.ask(ask.text)
		if err != nil || !slices.Contains(strings.Fields(ask.may), fmt.Sprint(a.status)) {
			t.Errorf("%.40q: %d, want %s: %v %s", ask.text, a.status, ask.may, err, head(a.body))
		}
	}
	limit("4096")
	g.wantReady(t)
	g.refresh(t, s.RefreshToken)
	g.signOut(t, s.bearer())
	if strings.Contains(g.output.String(), "panic") {
		t.Error("there was a panic")
	}
}

// F27: a panic in the work on one request is that request's: an error, nothing at the backend, and everybody else works.
func TestPanicIsOfOneRequest(t *testing.T) {
	t.Parallel()
	if os.Getenv("AUTHGATE_BINARY") != "" {
		t.Skip("a binary that is built already has no mistakes for tests in it")
	}
	g := start(t, setup{top: "metrics", global: "challenge_store panicking"})
	if !eventually(time.Minute, func() bool { return g.get(t, "/reports/x").status == 401 }) { // its store is open
		t.Fatal("it does not open")
	}
	a, err := g.try(requestBody("POST", "/auth/challenge/create", `{}`, "Content-Type: application/json"))
	if err != nil || a.status != http.StatusInternalServerError {
		t.Errorf("%d %v; want 500", a.status, err)
	}
	g.get(t, "/reports/x").want(t, 401)
	g.get(t, "/public/x").want(t, 200)
	if len(g.backend.take()) != 1 {
		t.Error("more than the public request reached the backend")
	}
	if !strings.Contains(g.output.String(), "panic") || !strings.Contains(g.metrics(t), `decision_seconds_count{outcome="panic"} 1`) {
		t.Error("the log or the metrics do not tell of it")
	}
}
