//go:build unix

package endtoend

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	storeservers "github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// The two configurations between which reloads go to and fro: who may see /flip/.
const (
	flipOpen   = defaultRules + "\n\t\tallow anyone /flip/*"
	flipClosed = defaultRules + "\n\t\tdeny /flip/*"
)

// household is a gate in front of a backend of its own, with everything that it keeps things in.
type household struct {
	*gate
	upstream *upstream
	mail     *mailServer
	redis    *storeservers.RedisServer
	database *sql.DB // of PostgreSQL, past the gate
}

// variant is what a household keeps things in.
type variant struct {
	name, accounts, short string
	mail                  bool
	reloads               int
}

var variants = []variant{
	{name: "sqlite, memory", accounts: "sqlite", short: "memory", reloads: 50},
	{name: "sqlite, redis, mail", accounts: "sqlite", short: "redis", mail: true, reloads: load(15, 50)},
	{name: "postgres, sql, mail", accounts: "postgres", short: "sql", mail: true, reloads: load(15, 50)},
}

// settle is a household in this variant, running. The changes are made before it starts.
func (v variant) settle(t *testing.T, changes ...func(*setup)) *household {
	t.Helper()
	h := &household{upstream: startUpstream(t)}
	s := setup{site: flipOpen}
	if v.mail {
		h.mail = startMailServer(t)
		mailed := h.mail.mailed("")
		s.global, s.env = mailed.global, mailed.env
	}
	if v.accounts == "postgres" {
		dsn := storeservers.Postgres(t)
		s.accounts = fmt.Sprintf("postgres %q", dsn)
		h.database = openPostgres(t, dsn)
	}
	switch v.short {
	case "redis":
		h.redis = storeservers.Redis(t)
		s.global += "\nchallenge_store redis " + h.redis.URL()
	default:
		s.global += "\nchallenge_store " + v.short
	}
	// Without keep-alive to the backend: Caddy leaves connections that were in use at a reload idle for two minutes.
	s.routes = "reverse_proxy " + h.upstream.address + " {\n transport http {\n keepalive off\n }\n }"
	for _, change := range changes {
		change(&s)
	}
	h.gate = start(t, s)
	h.wantReady(t)
	return h
}

func openPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// postgresConnections counts those of gates to the database, as its server does.
func postgresConnections(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authgate' AND datname = current_database()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// redisConnections counts those of gates, as the server does: all but the one that asks.
func redisConnections(s *storeservers.RedisServer) int {
	return strings.Count(s.Command("CLIENT", "LIST"), " laddr=") - 1
}

// footprint measures what the process holds.
func (h *household) footprint(t *testing.T) footprint {
	t.Helper()
	f := footprint{"goroutines": h.goroutines(t)}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.process.Process.Pid))
	if err != nil {
		t.Skip("open files cannot be counted here: ", err)
	}
	f["open files"] = len(entries)
	if h.redis != nil {
		f["connections to Redis"] = redisConnections(h.redis)
	}
	if h.database != nil {
		f["connections to PostgreSQL"] = postgresConnections(t, h.database)
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap?gc=1&debug=1", h.admin))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(readAll(t, resp), "# HeapAlloc = ")
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	f[heapBytes] = n
	return f
}

// settled measures when nothing shrinks any more. A reload first ends what is idle only, as connections to the backend.
func (h *household) settled(t *testing.T) footprint {
	t.Helper()
	h.mustReload(t)
	least := h.footprint(t)
	for unchanged := 0; unchanged < 5; time.Sleep(50 * time.Millisecond) {
		unchanged++
		for what, n := range h.footprint(t) {
			if n < least[what] && (what != heapBytes || n < least[what]*98/100) {
				unchanged = 0
			}
			least[what] = min(least[what], n)
		}
	}
	return least
}

// wantNoMore checks that the process comes back to what it held before.
func (h *household) wantNoMore(t *testing.T, before footprint) {
	t.Helper()
	h.mustReload(t)
	var now footprint
	if !eventually(patience(3*time.Second), func() bool { now = h.footprint(t); return len(now.beyond(before)) == 0 }) {
		t.Errorf("left behind: %q", now.beyond(before))
	}
	t.Logf("held before: %v, after: %v", before, now)
}

func (g *gate) mustReload(t *testing.T) {
	t.Helper()
	if status, body := g.reload(); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
}

// Caddy is reloaded again and again while everybody is busy: not one request fails by it, the new rules hold from the next
// request on, over every connection, nobody is let in wrongly, a stream goes on, and nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			h := v.settle(t)
			p := h.people(t, h.mail)
			streaming := h.signIn(t, walletOf("streaming"))
			stream := h.openEvents(t, streaming.bearer())
			reload := func(n int) {
				tr := startTraffic(&p, h.line, 0)
				for i := range n {
					h.flip(t, i%2 == 1)
				}
				tr.stop(t)
			}
			reload(10)
			before := h.settled(t)
			reload(v.reloads)
			h.wantNoMore(t, before)

			if endsWithin(t, stream, 100*time.Millisecond) {
				t.Error("a stream does not outlive reloads that allow it")
			}
			h.signOut(t, streaming.bearer())
			if !endsWithin(t, stream, patience(time.Second)) {
				t.Error("a stream from before the reloads outlives its session")
			}
		})
	}
}

// flip reloads to the other configuration and looks whether it holds: on a connection that is in use, on one that was
// opened before and has not carried anything yet, and on a new one.
func (h *household) flip(t *testing.T, open bool) {
	t.Helper()
	used, unused, fresh := h.line(), h.line(), h.line()
	lines := map[string]*line{"used": used, "unused": unused, "new": fresh}
	defer func() {
		for _, l := range lines {
			l.hangUp()
		}
	}()
	if err := used.want(200, nil, request("GET", "/public/x")); err != nil {
		t.Error(err)
	}
	if err := unused.connect(); err != nil {
		t.Error(err)
	}
	want := 403
	if h.setup.site = flipClosed; open {
		h.setup.site, want = flipOpen, 200
	}
	h.mustReload(t)
	for name, l := range lines {
		if err := l.want(want, nil, request("GET", "/flip/x")); err != nil {
			t.Errorf("%s connection: %v", name, err)
		}
	}
}

// Browsers open connections before they need them. One that was opened under the old configuration and carries its first
// request after the reload was acknowledged is judged by the new one.
func TestReloadAppliesToConnectionsNotUsedYet(t *testing.T) {
	t.Parallel()
	h := variants[0].settle(t)
	for range load(3, 20) {
		h.setup.site = flipOpen
		h.mustReload(t)
		var lines []*line
		for range 10 {
			l := h.line()
			if err := l.connect(); err != nil {
				t.Fatal(err)
			}
			defer l.hangUp()
			lines = append(lines, l)
		}
		h.get(t, "/flip/x").want(t, 200) // so that they are accepted
		h.setup.site = flipClosed
		h.mustReload(t)
		for _, l := range lines {
			a, _, err := l.once(request("GET", "/flip/x"))
			switch {
			case err != nil: // dropped by Caddy or, while it shuts down the old server, by net/http
			case a.status != 403:
				t.Errorf("status %d after the reload, want 403: %s", a.status, a.body)
			}
		}
	}
}

// Requests that are under way in the old configuration finish with the stores that they began with, also where the new one
// has others; those close then.
func TestReloadToOtherStoresLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"memory", "sql", "redis"} {
		t.Run(short, func(t *testing.T) {
			t.Parallel()
			h := variant{accounts: "sqlite", short: short}.settle(t)
			old := filepath.Join(h.dir, "authgate.db")
			slow, body := h.line(), `{"address":"`+walletOf("alice").address+`"}`
			if err := slow.connect(); err != nil {
				t.Fatal(err)
			}
			defer slow.hangUp()
			text := requestBody("POST", "/auth/challenge/create", body, "Content-Type: application/json", "Expect: 100-continue")
			if _, err := io.WriteString(slow.conn, strings.ReplaceAll(strings.TrimSuffix(text, body), "%HOST%", h.host)); err != nil {
				t.Fatal(err)
			}
			// The gateway asks for the body, so the request is in its hands.
			if l, err := slow.in.ReadString('\n'); err != nil || !strings.HasPrefix(l, "HTTP/1.1 100 ") {
				t.Fatal(l, err)
			}
			if _, err := slow.in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			h.setup.store = filepath.Join(h.dir, "other.db")
			h.mustReload(t)
			if !h.holds(t, old) {
				t.Error("a store is closed that a request uses")
			}
			a, _, err := slow.once(body)
			if err != nil || a.status != 200 {
				t.Errorf("the request under way: %d %s %v", a.status, head(a.body), err)
			}
			soon(t, "the old store is closed", func() bool { return !h.holds(t, old) })
			h.signIn(t, walletOf("bob"))
		})
	}
}

// holds reports whether the process has the file open.
func (g *gate) holds(t *testing.T, file string) bool {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", g.process.Process.Pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Skip("open files cannot be listed here: ", err)
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		to, _ := os.Readlink(filepath.Join(folder, e.Name()))
		return to == file
	})
}

// A store that the new configuration does not name is closed once it is unused, as its server sees; one that it names too
// stays open.
func TestReloadClosesStoresOfBefore(t *testing.T) {
	t.Parallel()
	h := variant{accounts: "postgres", short: "redis"}.settle(t)
	h.signIn(t, walletOf("alice"))
	first, second := h.redis, storeservers.Redis(t)
	if n := redisConnections(first); n == 0 {
		t.Fatal("no connections to Redis are seen")
	}
	h.setup.global = "challenge_store redis " + second.URL()
	h.mustReload(t)
	h.signIn(t, walletOf("alice"))
	soon(t, "the first Redis is left", func() bool { return redisConnections(first) == 0 })
	if redisConnections(second) == 0 || postgresConnections(t, h.database) == 0 {
		t.Error("no connections to the stores in use")
	}

	dsn := storeservers.Postgres(t)
	other := openPostgres(t, dsn)
	h.setup.accounts = fmt.Sprintf("postgres %q", dsn)
	h.mustReload(t)
	h.signIn(t, walletOf("alice"))
	soon(t, "the first database is left", func() bool { return postgresConnections(t, h.database) == 0 })
	// The same database with other limits is opened anew, and not kept twice.
	h.setup.accounts = fmt.Sprintf("postgres %q {\n max_open 2\n }", dsn)
	h.mustReload(t)
	h.signIn(t, walletOf("alice"))
	soon(t, "at most two connections, and one that listens where no Redis does", func() bool {
		n := postgresConnections(t, other)
		return 0 < n && n <= 3
	})
}

// A configuration that cannot work is refused, whatever is wrong with it and whenever that is found, while everybody is
// busy: nobody meets it for a moment, and nothing of it is left behind.
func TestFailingReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	h := variants[1].settle(t)
	p := h.people(t, h.mail)
	good := h.setup
	obstacle := filepath.Join(h.dir, "obstacle")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	otherRedis := strings.ReplaceAll(good.global, h.redis.URL(), fmt.Sprint("redis://127.0.0.1:", freePort(t)))
	bad := []struct {
		name, say string
		change    func(*setup)
		json      func(string) string // of the adapted configuration
	}{
		{name: "rule", say: "flip", json: func(s string) string { return strings.ReplaceAll(s, `"/flip/*"`, `"flip"`) }},
		{name: "SQLite", say: "store", change: func(s *setup) { s.store = filepath.Join(obstacle, "authgate.db") }},
		{name: "Redis", say: "store", change: func(s *setup) { s.global = otherRedis }},
		{name: "PostgreSQL", say: "store", change: func(s *setup) {
			s.accounts = fmt.Sprintf("postgres postgres://nobody@127.0.0.1:%d/x", freePort(t))
		}},
		// Found by the app of the servers when it starts, one of which may already answer then; so with the rules as they are.
		{name: "address", say: "192.0.2.1", change: func(s *setup) {
			s.site, s.routes = flipOpen, s.routes+"\n}\nhttp://localhost:1 {\n bind 192.0.2.1\n respond x"
		}},
	}
	refuse := func(n int) {
		tr := startTraffic(&p, h.line, 0)
		for i := range n {
			b := bad[i%len(bad)]
			// Nobody may be judged by these rules.
			h.setup.site = strings.ReplaceAll(flipClosed, "/public/*", "/other/*")
			if b.change != nil {
				b.change(&h.setup)
			}
			text := h.adapted(t)
			if b.json != nil {
				text = b.json(text)
			}
			resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/load", h.admin), "application/json", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if body := readAll(t, resp); resp.StatusCode == 200 || !strings.Contains(body, b.say) {
				t.Errorf("%s: %d %s, want an error that says %q", b.name, resp.StatusCode, body, b.say)
			}
			h.setup = good
			if err := h.line().want(200, nil, request("GET", "/flip/x")); err != nil {
				t.Errorf("after %s: %v", b.name, err)
			}
		}
		tr.stop(t)
	}
	refuse(len(bad))
	before := h.settled(t)
	refuse(20)
	h.wantNoMore(t, before)
}

// While a reload waits for a store that hangs, nobody meets what it is about to be refused for.
func TestReloadToStoreThatHangs(t *testing.T) {
	t.Parallel()
	h := variants[0].settle(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := h.people(t, nil)
	good := h.setup
	tr := startTraffic(&p, h.line, 0)
	for range load(5, 20) { // the apps of a configuration start in any order
		h.setup.site = strings.ReplaceAll(flipClosed, "/public/*", "/other/*")
		h.setup.global = "challenge_store redis redis://" + silent.Addr().String()
		if status, body := h.reload(); status == 200 || !strings.Contains(body, "store") {
			t.Errorf("%d %s, want an error that names the store", status, body)
		}
		h.setup = good
	}
	tr.stop(t)
	h.signIn(t, walletOf("erin"))
}

// adapted is the gate's present configuration in JSON.
func (g *gate) adapted(t *testing.T) string {
	t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/adapt", g.admin), "text/caddyfile", strings.NewReader(g.caddyfile()))
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Result json.RawMessage }
	if body := readAll(t, resp); resp.StatusCode != 200 || json.Unmarshal([]byte(body), &a) != nil {
		t.Fatalf("adapt: %d %s", resp.StatusCode, body)
	}
	return string(a.Result)
}
