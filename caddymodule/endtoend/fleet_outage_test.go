//go:build unix

package endtoend

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// outage is a way in which a store is there no more.
type outage struct {
	name       string
	begin, end func()
	// forgets is set where the store comes back empty, late where it does afterwards what it was asked before, though the
	// answer was 503.
	forgets, late bool
}

// eve is what everybody needs before an outage.
type eve struct {
	program, browser, leaves signedIn
	untouched, tried         string // challenges for carol
	passkey                  *passkeytest.Authenticator
	ceremony                 begun
}

const longChallenges = "wallet {\n challenge_ttl 10m\n }"

func (f *fleet) eve(t *testing.T, a *passkeytest.Authenticator) (e eve) {
	t.Helper()
	f.settle()
	g, other := f.gates[0], f.gates[len(f.gates)-1]
	e.program, e.browser, e.leaves = g.signIn(t, walletOf("alice")), other.signInBrowser(t, walletOf("bob")), g.signIn(t, walletOf("dave"))
	e.untouched, _ = g.challenge(t, walletOf("carol"))
	e.tried, _ = other.challenge(t, walletOf("carol"))
	e.passkey, e.ceremony = a, g.begin(t, "authentication/request", nothing())
	return e
}

// asked is a request that needs the store, and how it is answered without.
type asked struct {
	name, route string
	body        map[string]any
	lines       []string
}

// wantWithoutStore checks what is promised while a store is away: who is signed in goes on, on every gate, as do public
// routes, stripped as ever; what needs the store is refused, soon.
func (f *fleet) wantWithoutStore(t *testing.T, e eve, limit time.Duration, refused ...asked) {
	t.Helper()
	var all sync.WaitGroup
	for i, g := range f.gates {
		for _, r := range refused {
			all.Go(func() {
				body, err := json.Marshal(r.body)
				if err != nil {
					t.Error(err)
					return
				}
				began := time.Now()
				a, err := g.tryPost(r.route, string(body), r.lines...)
				if err != nil {
					t.Errorf("gate %d: %s: %v", i, r.name, err)
					return
				}
				g.wantRefused(t, r.name, a)
				if took := time.Since(began); took > patience(limit) {
					t.Errorf("gate %d: %s took %v", i, r.name, took)
				}
			})
		}
		began := time.Now()
		for _, line := range []string{e.program.bearer(), e.browser.cookieLine()} {
			g.get(t, "/reports/x", line).want(t, 200)
		}
		g.backend.take()
		g.get(t, "/public/x", "Remote-User: "+forged, "X-Kept: 1").want(t, 200)
		g.wantClean(t, "Remote-User", g.backend.one(t))
		g.get(t, "/reports/x").want(t, 401)
		if took := time.Since(began); took > patience(time.Second) {
			t.Errorf("gate %d: those who need no store wait %v", i, took)
		}
	}
	for _, g := range f.gates {
		all.Go(func() {
			if a, err := g.try(request("GET", "/auth/health/ready")); err != nil {
				t.Error(err)
			} else {
				g.wantRefused(t, "health/ready", a)
			}
		})
		g.get(t, "/auth/health/live").want(t, 200)
	}
	all.Wait()
}

// wantRecovered checks that everything works again within five seconds, nothing was spent for nothing, and what was
// refused can be done.
func (f *fleet) wantRecovered(t *testing.T, e eve, o outage) {
	t.Helper()
	g, other := f.gates[0], f.gates[len(f.gates)-1]
	for _, g := range f.gates {
		g.wantReady(t)
	}
	carol := walletOf("carol")
	if !o.forgets {
		other.finish(t, e.untouched, carol)
		other.post(t, "authentication/response", other.asserted(t, e.passkey, e.ceremony, nil)).want(t, 200)
	}
	// It was tried on both at once: at most one of them may have spent it, and then nobody is told otherwise.
	switch a := g.post(t, "challenge/sign", signed(e.tried, carol)); {
	case a.status == 404 && (o.forgets || o.late):
	case a.status != 200:
		t.Errorf("a challenge that an outage left unspent: %d %s", a.status, head(a.body))
	}
	g.post(t, "challenge/sign", signed(e.tried, carol)).wantProblem(t, 404, "challenge_not_found")
	other.signIn(t, walletOf("new "+o.name))
	next := g.refresh(t, e.program.RefreshToken)
	other.get(t, "/reports/x", next.bearer()).want(t, 200)
	// Who was told that the sign-out failed tries again.
	g.signOut(t, e.leaves.bearer())
	g.get(t, "/reports/x", e.leaves.bearer()).want(t, 401)
	other.wantOut(t, e.leaves.bearer())
	other.post(t, "token/refresh", map[string]any{"refresh_token": e.leaves.RefreshToken}).wantProblem(t, 401, "invalid_grant")
}

// suffer goes through an outage.
func (f *fleet) suffer(t *testing.T, a *passkeytest.Authenticator, o outage, limit time.Duration, refused func(eve) []asked) {
	t.Helper()
	e := f.eve(t, a)
	o.begin()
	ended := false
	defer func() {
		if !ended {
			o.end()
		}
	}()
	f.wantWithoutStore(t, e, limit, refused(e)...)
	o.end()
	ended = true
	f.wantRecovered(t, e, o)
	if t.Failed() {
		t.Logf("that was: %s", o.name)
	}
}

// withoutRedis is what needs the challenge store.
func withoutRedis(e eve) []asked {
	return []asked{
		{name: "challenge/create", route: "challenge/create", body: map[string]any{"address": walletOf("alice").address}}, // F4
		{name: "challenge/sign", route: "challenge/sign", body: signed(e.tried, walletOf("carol"))},                       // F5
		{name: "authentication/request", route: "authentication/request", body: nothing()},
		{name: "registration/request", route: "registration/request", body: map[string]any{"username": "erin"}},
		// It could not be told to the other instance. F8
		{name: "sign-out", route: "sign-out", body: nothing(), lines: []string{e.leaves.bearer()}},
	}
}

// withoutAccounts is what needs the store of accounts, beside a challenge store that works.
func withoutAccounts(e eve) []asked {
	return []asked{
		{name: "token/refresh", route: "token/refresh", body: map[string]any{"refresh_token": e.program.RefreshToken}}, // F7
		{name: "sign-out", route: "sign-out", body: nothing(), lines: []string{e.leaves.bearer()}},
	}
}

// F4, F5, F8, F10: Redis is cut off from the gates, by a network that says so, that says nothing, or that takes thirty
// seconds for each message.
func TestRedisCutOff(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	a := new(passkeytest.Authenticator)
	f.gates[0].register(t, a, "pat")
	heal := each(f.short, (*link).heal)
	for _, o := range []outage{
		{name: "reset", begin: each(f.short, (*link).cut), end: heal},
		{name: "silent", begin: each(f.short, (*link).hang), end: heal},
		{name: "slow", begin: each(f.short, func(l *link) { l.slow(30 * time.Second) }), end: heal},
	} {
		f.suffer(t, a, o, 2*time.Second, withoutRedis)
	}
}

// F5, F10, F12: the server of Redis is paused, full, read-only, has another password, dies and comes back empty.
func TestRedisFails(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	a := new(passkeytest.Authenticator)
	f.gates[0].register(t, a, "pat")
	r := f.redis
	kick := func() { r.Command("client", "kill", "type", "normal"); r.Command("client", "kill", "type", "pubsub") }
	for _, o := range []outage{
		{name: "paused", begin: r.Pause, end: r.Resume, late: true},
		{
			name: "read-only", begin: func() { r.Command("replicaof", "127.0.0.1", "1") },
			end: func() { r.Command("replicaof", "no", "one") },
		},
		{
			name: "another password",
			begin: func() {
				r.Command("config", "set", "requirepass", "secret")
				r.Password("secret")
				kick()
			},
			end: func() { r.Command("config", "set", "requirepass", ""); r.Password("x") },
		},
		{name: "killed", begin: r.Kill, end: r.Start, forgets: true},
	} {
		f.suffer(t, a, o, 2*time.Second, withoutRedis)
	}
}

// F10, F17: Redis is full and may throw nothing away. Nobody can begin to sign in; who has begun can end it, and a
// sign-out, whose notice cannot be kept, is not acknowledged until it can.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}, redis: []string{"--maxmemory-policy", "noeviction"}})
	e := f.eve(t, new(passkeytest.Authenticator))
	f.redis.Command("config", "set", "maxmemory", "1")
	for _, g := range f.gates {
		g.wantRefused(t, "challenge/create", g.post(t, "challenge/create", map[string]any{"address": walletOf("alice").address}))
		g.wantRefused(t, "sign-out", g.send(t, requestBody("POST", "/auth/sign-out", "", e.leaves.bearer())))
		g.get(t, "/reports/x", e.program.bearer()).want(t, 200)
		g.get(t, "/public/x").want(t, 200)
	}
	// The browser forgets its cookie all the same: whoever sits there next is not signed in. F8
	refused := f.gates[0].send(t, requestBody("POST", "/auth/sign-out", "", e.browser.cookieLine()))
	f.gates[0].wantRefused(t, "sign-out of a browser", refused)
	if c := refused.cookie(); c == nil || c.MaxAge >= 0 {
		t.Errorf("the cookie stays: %v", c)
	}
	f.gates[1].finish(t, e.untouched, walletOf("carol"))
	f.redis.Command("config", "set", "maxmemory", "0")
	for _, g := range f.gates {
		g.wantReady(t)
	}
	f.gates[1].signOut(t, e.leaves.bearer())
	f.gates[0].wantOut(t, e.leaves.bearer())
	f.gates[1].signIn(t, walletOf("erin"))
}

// F7, F13, F14: PostgreSQL is cut off from the gates.
func TestPostgresCutOff(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	a := new(passkeytest.Authenticator)
	f.gates[0].register(t, a, "pat")
	heal := each(f.accounts, (*link).heal)
	for _, o := range []outage{
		// A challenge is taken out of Redis before the account is looked for, so it is spent; see TestSpentIsSpent.
		{name: "reset", begin: each(f.accounts, (*link).cut), end: heal},
		{name: "silent", begin: each(f.accounts, (*link).hang), end: heal},
	} {
		f.suffer(t, a, o, 6*time.Second, withoutAccounts)
	}
}

// F5, F7, F13, F14, F17: everything is in PostgreSQL, which hangs with all its processes, may only be read, has
// another password, is killed.
func TestPostgresFails(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{accounts: "own postgres", short: "sql", setup: setup{global: longChallenges}})
	a := new(passkeytest.Authenticator)
	f.gates[0].register(t, a, "pat")
	p := f.postgres
	name := f.database[strings.LastIndexByte(f.database, '/')+1 : strings.IndexByte(f.database, '?')]
	kick := func() {
		p.Query("", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	}
	all := func(e eve) []asked { return append(withoutRedis(e), withoutAccounts(e)...) }
	for _, o := range []outage{
		{name: "hangs", begin: func() { freeze(t, p.PID()) }, end: func() { thaw(t, p.PID()) }, late: true},
		{
			name: "read-only",
			begin: func() {
				p.Query("", "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
				kick()
			},
			end: func() { p.Query("", "ALTER DATABASE "+name+" RESET default_transaction_read_only") },
		},
		{
			name: "no connections",
			begin: func() {
				p.Query("", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
				kick()
			},
			end: func() { p.Query("", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true") },
		},
		{name: "killed", begin: p.Kill, end: p.Start},
	} {
		f.suffer(t, a, o, 6*time.Second, all)
	}
}

// PostgreSQL only reads, as a standby does that the address leads to since the failover. What needs a write is refused, and
// health/ready says so, or the balancer would go on sending people to sign in there; requests go on, and once it writes
// everything works again without a restart.
func TestPostgresThatOnlyReads(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{accounts: "own postgres"})
	e := f.eve(t, new(passkeytest.Authenticator))
	readOnly := func(on string) {
		f.postgres.Query("", "ALTER SYSTEM SET default_transaction_read_only = "+on)
		f.postgres.Query("", "SELECT pg_reload_conf()")
	}
	readOnly("on")
	for i, g := range f.gates {
		if !eventually(time.Minute, func() bool { return g.get(t, "/auth/health/ready").status == 503 }) {
			t.Errorf("gate %d says that it is ready", i)
		}
		g.wantRefused(t, "ready", g.get(t, "/auth/health/ready"))
		if g.operatorSaysReady(t) {
			t.Errorf("gate %d tells the operator that it is ready", i)
		}
		w := walletOf(fmt.Sprint("new ", i))
		var a answer
		if !eventually(time.Minute, func() bool { // the server tells its processes one by one
			message, _ := g.challenge(t, w)
			a = g.post(t, "challenge/sign", signed(message, w))
			return a.status != 200
		}) {
			t.Errorf("gate %d signs people in", i)
		}
		g.wantRefused(t, "challenge/sign", a)
		g.get(t, "/auth/health/live").want(t, 200)
		g.get(t, "/reports/x", e.program.bearer()).want(t, 200)
		g.get(t, "/reports/x", e.browser.cookieLine()).want(t, 200)
	}
	readOnly("off")
	for i, g := range f.gates {
		g.wantReady(t)
		g.signIn(t, walletOf(fmt.Sprint("new ", i)))
	}
}

// F17: the disk of PostgreSQL is full. What needs a write is refused, requests go on, and once there is room everything
// works again without a restart.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has the right to make a small disk")
	}
	f := startFleet(t, plan{accounts: "own postgres", setup: setup{global: longChallenges}, idle: true})
	p := f.postgres
	disk := filepath.Join(p.Dir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be made here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	var owner string
	if info, err := os.Stat(filepath.Join(p.Dir(), "data")); err != nil {
		t.Fatal(err)
	} else {
		owner = ownerOf(info)
	}
	if out, err := exec.Command("chown", owner, disk).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	name := f.database[strings.LastIndexByte(f.database, '/')+1 : strings.IndexByte(f.database, '?')]
	p.Query("", "CREATE TABLESPACE small LOCATION '"+disk+"'")
	p.Query("", "ALTER DATABASE "+name+" SET TABLESPACE small")
	f.boot()
	e := f.eve(t, new(passkeytest.Authenticator))
	filler := filepath.Join(disk, "filler")
	_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k").Run() // until it is full
	// Pages that have room take some rows yet.
	g, other := f.gates[0], f.gates[1]
	full := eventually(15*time.Second, func() bool {
		w := walletOf(fmt.Sprint("many ", time.Now().UnixNano()))
		message, _ := g.challenge(t, w)
		a := g.post(t, "challenge/sign", signed(message, w))
		if a.status == 200 {
			return false
		}
		g.wantRefused(t, "challenge/sign", a)
		return true
	})
	if !full {
		t.Fatal("the disk does not get full")
	}
	for _, g := range f.gates {
		g.wantReady(t) // it writes nothing, so it cannot tell: the room is to be watched, see the README
		g.get(t, "/reports/x", e.program.bearer()).want(t, 200)
		g.get(t, "/reports/x", e.browser.cookieLine()).want(t, 200)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, g := range f.gates {
		g.wantReady(t)
	}
	other.finish(t, e.untouched, walletOf("carol"))
	g.refresh(t, e.program.RefreshToken)
	g.signOut(t, e.leaves.bearer())
	other.wantOut(t, e.leaves.bearer())
}

// F13: the challenge is taken out before the account is looked for. Where that cannot be had then, the try counts as one:
// 503, and the challenge is spent.
func TestChallengeTriedWithoutAccountsIsNeverCountedTwice(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	e := f.eve(t, new(passkeytest.Authenticator))
	each(f.accounts, (*link).cut)()
	for _, g := range f.gates {
		if a := g.post(t, "challenge/sign", signed(e.tried, walletOf("carol"))); a.status != 503 && a.status != 404 {
			t.Errorf("%d %s", a.status, head(a.body))
		}
	}
	each(f.accounts, (*link).heal)()
	f.gates[0].wantReady(t)
	f.gates[0].post(t, "challenge/sign", signed(e.tried, walletOf("carol"))).wantProblem(t, 404, "challenge_not_found")
	f.gates[0].finish(t, e.untouched, walletOf("carol"))
}

// F6, F13: sign-in with a password while Redis, which counts the tries, is away, or PostgreSQL: refused, the right one as
// the wrong one. What was counted before counts on.
func TestOutagesResetNoCount(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{mail: true})
	const alice = "alice@example.net"
	g, other := f.gates[0], f.gates[1]
	g.enrol(t, f.mail, alice)
	for i := range 3 {
		f.gates[i%2].knock(t, alice, "not the password").wantProblem(t, 401, "invalid_credentials")
	}
	each(f.short, (*link).hang)()
	for _, g := range f.gates {
		var all sync.WaitGroup
		for _, password := range []string{passphrase, "not the password"} {
			all.Go(func() {
				a, err := g.tryPost("password/sign-in", fmt.Sprintf(`{"email":%q,"password":%q}`, alice, password))
				if err != nil {
					t.Error(err)
					return
				}
				g.wantRefused(t, "password/sign-in", a)
			})
		}
		all.Wait()
	}
	each(f.short, (*link).heal)()
	each(f.accounts, (*link).cut)()
	g.wantRefused(t, "password/sign-in", g.knock(t, alice, passphrase))
	other.wantRefused(t, "password/register", other.post(t, "password/register", registration("bob@example.net")))
	g.wantRefused(t, "password/forgot", g.post(t, "password/forgot", map[string]any{"email": alice}))
	each(f.accounts, (*link).heal)()
	for _, g := range f.gates {
		g.wantReady(t)
	}
	other.knock(t, alice, "not the password").want(t, 401)
	g.knock(t, alice, "not the password").want(t, 401)
	other.knock(t, alice, passphrase).wantProblem(t, 401, "invalid_credentials")
	if n := len(f.mail.to("bob@example.net")); n != 0 {
		t.Errorf("%d mails of registrations that were refused", n)
	}
	// Refused, not counted: it can be done now.
	g.post(t, "password/register", registration("bob@example.net")).want(t, 202)
	other.post(t, "password/activate", map[string]any{"key": other.confirmation(t, f.mail, "bob@example.net")}).want(t, 200)
}

// F14: without the store of accounts a sign-in goes on for as long as its access token, and then it is not ended but
// refused for now: no redirect to a sign-in that could not be done, and no cookie that is taken away.
func TestSignedInUntilTheAccessTokenExpires(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: "session {\n access_token 5s\n }"}})
	g := f.gates[0]
	f.settle()
	browser := g.signInBrowser(t, walletOf("alice"))
	expires := expiry(t, browser)
	each(f.accounts, (*link).cut)()
	for {
		began := time.Now()
		a := g.get(t, "/reports/x", browser.cookieLine(), "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		if a.status != 200 {
			g.wantRefused(t, "a page", a)
			if c := a.cookie(); c != nil {
				t.Errorf("the cookie is replaced: %v", c)
			}
			if time.Now().Before(expires) {
				t.Errorf("refused %v before the access token expires", time.Until(expires))
			}
			break
		}
		if !began.Before(expires) {
			t.Fatal("goes on after the access token has expired")
		}
		time.Sleep(50 * time.Millisecond)
	}
	each(f.accounts, (*link).heal)()
	g.wantReady(t)
	g.get(t, "/reports/x", browser.cookieLine()).want(t, 200)
}

// expiry is when the access token in the cookie expires.
func expiry(t *testing.T, s signedIn) time.Time {
	t.Helper()
	parts := strings.Split(s.cookie, ".") // the secret, then the three of the token
	if len(parts) != 4 {
		t.Fatalf("%d parts of a cookie", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[2])
	var claims struct{ Exp int64 }
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil || claims.Exp == 0 {
		t.Fatal(claims, err)
	}
	return time.Unix(claims.Exp, 0)
}

// F9, F29: one instance does not see Redis, the other does. What ends there is heard of here within the access token's
// lifetime, or at once where the rule is strict; strict rules refuse while the store of accounts cannot say. Once they see
// each other both say the same.
func TestOneInstanceIsCutOff(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{site: defaultRules + "\n\t\tallow signed_in /strict/* {\n\t\t\trevocation strict\n\t\t}"}})
	f.settle()
	g, cut := f.gates[0], f.gates[1]
	s, stays := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	cut.get(t, "/reports/x", s.bearer()).want(t, 200)
	conn, a := cut.open(t, "/ws", s.bearer())
	a.want(t, 101)
	f.short[1].hang()
	g.signOut(t, s.bearer())
	g.get(t, "/reports/x", s.bearer()).want(t, 401)
	cut.get(t, "/strict/x", s.bearer()).want(t, 401)
	cut.get(t, "/strict/x", stays.bearer()).want(t, 200)
	f.accounts[1].cut()
	cut.wantRefused(t, "a strict rule", cut.get(t, "/strict/x", stays.bearer()))
	cut.get(t, "/reports/x", stays.bearer()).want(t, 200)
	f.accounts[1].heal()
	// A sign-out here is not acknowledged, since it cannot be told there.
	cut.wantRefused(t, "sign-out", cut.send(t, requestBody("POST", "/auth/sign-out", "", stays.bearer())))
	g.get(t, "/reports/x", stays.bearer()).want(t, 200)
	f.short[1].heal()
	began := time.Now()
	if !eventually(patience(5*time.Second), func() bool { return cut.get(t, "/reports/x", s.bearer()).status == 401 }) {
		t.Errorf("%v after it is back it does not know what ended meanwhile", time.Since(began))
	}
	if !endsWithin(t, conn, patience(time.Second)) {
		t.Error("a websocket there outlives its session")
	}
	cut.wantReady(t)
	cut.signOut(t, stays.bearer())
	g.wantOut(t, stays.bearer())
}

// F10: two hundred failed calls leave no goroutine and no connection behind.
func TestFailedCallsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{gates: 1})
	g := f.gates[0]
	token := g.signIn(t, walletOf("alice")).RefreshToken
	for range 5 {
		g.signIn(t, walletOf("alice"))
	}
	goroutines, connections := g.goroutines(t), f.accounts[0].open()+f.short[0].open()
	round := func() {
		together(20, func(int) {
			if a, err := g.tryPost("challenge/create", "{}"); err != nil || a.status != 503 {
				t.Errorf("%d %v", a.status, err)
			}
			if a, err := g.tryPost("token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token)); err != nil || a.status != 503 {
				t.Errorf("%d %v", a.status, err)
			}
		})
	}
	for range 2 {
		each([]*link{f.accounts[0], f.short[0]}, (*link).cut)()
		round()
		round()
		each([]*link{f.accounts[0], f.short[0]}, (*link).heal)()
	}
	each([]*link{f.accounts[0], f.short[0]}, (*link).hang)()
	round()
	if n := f.accounts[0].open() + f.short[0].open(); n > 120 {
		t.Errorf("%d connections to stores that do not answer", n)
	}
	each([]*link{f.accounts[0], f.short[0]}, (*link).heal)()
	g.wantReady(t)
	g.refresh(t, token)
	var gs, cs int
	if !eventually(10*time.Second, func() bool {
		gs, cs = g.goroutines(t), f.accounts[0].open()+f.short[0].open()
		return gs <= goroutines+20 && cs <= connections+20
	}) {
		t.Errorf("%d goroutines, %d before; %d connections, %d before", gs, goroutines, cs, connections)
	}
}
