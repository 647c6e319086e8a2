//go:build unix

package endtoend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	storeservers "github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// kinds are the pairs of stores that several instances can share.
var kinds = map[string]plan{
	"PostgreSQL and Redis":      {},
	"PostgreSQL alone":          {short: "sql"},
	"one SQLite file":           {accounts: "sqlite", short: "sql"},
	"one SQLite file and Redis": {accounts: "sqlite"},
}

// Two processes that start at the same moment on empty stores are one gate: they make one key; whatever is begun on one
// ends on the other, once; what ends or is taken away on one is so on the other within a second.
func TestInstancesAreOneGate(t *testing.T) {
	t.Parallel()
	for name, p := range kinds {
		t.Run(name, func(t *testing.T) {
			p.setup.global = longChallenges
			f := startFleet(t, p)
			f.wantOneKey(t)
			f.wantSharedCeremonies(t)
			f.wantSharedRefresh(t)
			f.wantSignOutEverywhere(t)
			f.wantRoleTakenEverywhere(t)
		})
	}
}

// wantOneKey checks that all publish the same key, and believe what it signed.
func (f *fleet) wantOneKey(t *testing.T) {
	t.Helper()
	var published []string
	for _, g := range f.gates {
		var set struct{ Keys []json.RawMessage }
		a := g.get(t, "/auth/jwks.json")
		a.into(t, 200, &set)
		if len(set.Keys) != 1 {
			t.Errorf("%d keys after a first start", len(set.Keys))
		}
		published = append(published, a.body)
	}
	if published[0] != published[len(published)-1] {
		t.Errorf("the keys differ: %q", published)
	}
}

func (f *fleet) wantSharedCeremonies(t *testing.T) {
	t.Helper()
	g, other := f.gates[0], f.gates[1]
	carol := walletOf("carol")
	first := g.signIn(t, carol)
	other.get(t, "/reports/x", first.bearer()).want(t, 200)
	other.backend.take()
	for range load(2, 20) {
		message, _ := g.challenge(t, carol)
		statuses := make([]int, 20)
		body, err := json.Marshal(signed(message, carol))
		if err != nil {
			t.Fatal(err)
		}
		together(len(statuses), func(i int) {
			a, err := f.gates[i%2].tryPost("challenge/sign", string(body))
			if err != nil {
				t.Error(err)
			}
			statuses[i] = a.status
		})
		if count(statuses, 200) != 1 || count(statuses, 404) != len(statuses)-1 {
			t.Errorf("one challenge answered %v", statuses)
		}
	}
	var a passkeytest.Authenticator
	b := g.begin(t, "registration/request", map[string]any{"username": "erin"})
	var s, again signedIn
	other.post(t, "registration/response", other.created(t, &a, b, nil)).into(t, 200, &s)
	b = other.begin(t, "authentication/request", nothing())
	answer := g.asserted(t, &a, b, nil)
	g.post(t, "authentication/response", answer).into(t, 200, &again)
	if s.User.ID != again.User.ID {
		t.Errorf("user %s here, %s there", s.User.ID, again.User.ID)
	}
	other.post(t, "authentication/response", answer).wantProblem(t, 400, "challenge_not_found")

	// A first sign-in through both at once makes one account. F16
	ids := make([]string, 10)
	together(len(ids), func(i int) { ids[i] = f.gates[i%2].signIn(t, walletOf("new")).User.ID })
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("more than one account for a wallet: %v", ids)
		}
	}
}

func (f *fleet) wantSharedRefresh(t *testing.T) {
	t.Helper()
	s := f.gates[0].signIn(t, walletOf("alice"))
	next := make([]signedIn, 10)
	together(len(next), func(i int) { next[i] = f.gates[i%2].refresh(t, s.RefreshToken) })
	for _, n := range next {
		if n.RefreshToken != next[0].RefreshToken {
			t.Fatal("more than one successor of a refresh token")
		}
	}
	last := f.gates[1].refresh(t, next[0].RefreshToken)
	// Who comes with the first one after its successor was used has stolen it, or was stolen from: everybody is out.
	f.gates[0].post(t, "token/refresh", map[string]any{"refresh_token": s.RefreshToken}).wantProblem(t, 401, "invalid_grant")
	for _, g := range f.gates {
		g.wantOut(t, last.bearer())
	}
}

func (f *fleet) wantSignOutEverywhere(t *testing.T) {
	t.Helper()
	g, other := f.gates[0], f.gates[1]
	s, stays := g.signInBrowser(t, walletOf("alice")), g.signInBrowser(t, walletOf("alice"))
	socket, a := other.open(t, "/ws", s.cookieLine(), "Origin: "+g.origin)
	a.want(t, 101)
	events := other.events(t, s.cookieLine())
	kept, a := other.open(t, "/ws", stays.cookieLine(), "Origin: "+g.origin)
	a.want(t, 101)
	began := time.Now()
	g.signOut(t, s.cookieLine())
	other.wantOut(t, s.cookieLine())
	if !endsWithin(t, socket, patience(time.Second)) || !endsWithin(t, events, patience(time.Second)) {
		t.Errorf("%v after the sign-out elsewhere a stream is open", time.Since(began))
	}
	if !echoes(t, kept) {
		t.Error("another session's websocket ended")
	}
	g.get(t, "/reports/x", stays.cookieLine()).want(t, 200)
}

// events opens a stream of events and waits for the first one.
func (g *gate) events(t *testing.T, lines ...string) net.Conn {
	t.Helper()
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	text := request("GET", eventsTarget, append(lines, "Accept: text/event-stream")...)
	if _, err := conn.Write([]byte(strings.ReplaceAll(text, "%HOST%", g.host))); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if _, err := resp.Body.Read(make([]byte, len(firstEvent))); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (f *fleet) wantRoleTakenEverywhere(t *testing.T) {
	t.Helper()
	g, other := f.gates[0], f.gates[1]
	s := g.signInBrowser(t, walletOf("boss"))
	admin := walletOf("admin")
	var asked struct{ ChallengeMessage string }
	g.post(t, "challenge/create", map[string]any{"address": admin.address}, s.cookieLine()).into(t, 200, &asked)
	body := signed(asked.ChallengeMessage, admin)
	body["session"] = "cookie"
	linked := g.post(t, "challenge/sign", body, s.cookieLine())
	linked.want(t, 200)
	s.cookie = linked.cookie().Name + "=" + linked.cookie().Value
	soon(t, "a role given on the other instance", func() bool { return other.get(t, "/admin/x", s.cookieLine()).status == 200 })
	socket, a := other.open(t, "/admin/ws", s.cookieLine(), "Origin: "+g.origin)
	a.want(t, 101)
	var list struct {
		Credentials []json.RawMessage `json:"credentials"`
	}
	g.get(t, "/auth/credentials", s.cookieLine()).into(t, 200, &list)
	for _, c := range list.Credentials {
		var id struct{ ID string }
		if err := json.Unmarshal(c, &id); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(c), admin.address) {
			g.send(t, request("DELETE", "/auth/credentials/"+id.ID, s.cookieLine())).want(t, 204)
		}
	}
	soon(t, "a role taken on the other instance", func() bool { return other.get(t, "/admin/x", s.cookieLine()).status == 403 })
	if !endsWithin(t, socket, patience(time.Second)) {
		t.Error("a websocket there outlives the role")
	}
	other.get(t, "/reports/x", s.cookieLine()).want(t, 200)
}

// Keys are shared. A further instance verifies at once what others signed, the others what it signs; one that makes the
// next key is heard of by all before anything is signed with it.
func TestKeysAreShared(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{gates: 3, short: "sql", idle: true})
	late := f.gates[2]
	f.gates = f.gates[:2]
	f.boot()
	s := f.gates[0].signIn(t, walletOf("alice"))
	late.boot()
	late.get(t, "/reports/x", s.bearer()).want(t, 200)
	f.gates[1].get(t, "/reports/x", late.signIn(t, walletOf("bob")).bearer()).want(t, 200)

	// As if a month had passed since the key was made: whoever starts now makes the next one.
	psql(t, f.database, "UPDATE signing_keys SET created = created - 31::bigint * 24 * 3600 * 1000000")
	late.kill()
	late.boot()
	late.wantReady(t)
	var set struct{ Keys []json.RawMessage }
	late.get(t, "/auth/jwks.json").into(t, 200, &set)
	if len(set.Keys) != 2 {
		t.Fatalf("%d keys after rotation, want the old and the new one", len(set.Keys))
	}
	// As if the time of overlap had passed too: the next instance to start signs with the new one, which the running ones
	// have not seen yet.
	psql(t, f.database, "UPDATE signing_keys SET created = created - 25::bigint * 3600 * 1000000")
	late.kill()
	late.boot()
	fresh := late.signIn(t, walletOf("carol"))
	if kid(t, fresh) == kid(t, s) {
		t.Fatal("the new key does not sign")
	}
	for _, g := range f.gates {
		// Nobody can make an instance read the keys more often than each three seconds.
		if !eventually(patience(3*time.Second), func() bool { return g.get(t, "/reports/x", fresh.bearer()).status == 200 }) {
			t.Error("a running instance does not hear of the new key")
		}
		g.get(t, "/reports/x", s.bearer()).want(t, 200)
	}
	late.get(t, "/reports/x", s.bearer()).want(t, 200) // the previous one is good until the last token of it has expired
}

func kid(t *testing.T, s signedIn) any {
	t.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(s.AccessToken, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Header["kid"]
}

// Requests that begin or finish a sign-in are counted for all instances together.
func TestRateLimitIsShared(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: "rate_limit 6 1m"}})
	var statuses []int
	for i := range 8 {
		statuses = append(statuses, f.gates[i%2].post(t, "challenge/create", map[string]any{"address": walletOf("alice").address}).status)
	}
	if count(statuses, 200) != 6 || count(statuses, 429) != 2 {
		t.Errorf("six requests a minute through two instances: %v", statuses)
	}
}

// F11: the primary of Redis dies and its replica takes its place. In between 503; then nothing that was spent is good
// again, what was open is, and instances hear each other.
func TestRedisFailover(t *testing.T) {
	t.Parallel()
	set := storeservers.RedisSentinel(t)
	f := startFleet(t, plan{setup: setup{
		global: fmt.Sprintf("%s\nchallenge_store redis redis://%s {\n sentinel %s\n }", longChallenges, set.Addr, set.Master),
	}})
	g, other := f.gates[0], f.gates[1]
	carol := walletOf("carol")
	spent, _ := g.challenge(t, carol)
	other.finish(t, spent, carol)
	out := g.signIn(t, walletOf("dave"))
	g.signOut(t, out.bearer())
	e := f.eve(t, new(passkeytest.Authenticator))
	set.Primary.Kill()
	body := `{"address":"` + carol.address + `"}`
	began := time.Now()
	for refused := false; ; {
		a, err := g.tryPost("challenge/create", body)
		if err != nil {
			t.Fatal(err)
		}
		g.get(t, "/reports/x", e.program.bearer()).want(t, 200)
		if a.status == 200 && (refused || time.Since(began) > 3*time.Second) {
			break
		}
		if a.status != 200 {
			refused = true
			g.wantRefused(t, "during the failover", a)
		}
		if time.Since(began) > patience(10*time.Second) {
			t.Fatal("no end of the failover")
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, g := range f.gates {
		g.wantReady(t)
		g.post(t, "challenge/sign", signed(spent, carol)).wantProblem(t, 404, "challenge_not_found")
		g.get(t, "/reports/x", out.bearer()).want(t, 401)
	}
	other.finish(t, e.untouched, carol)
	g.signOut(t, e.leaves.bearer())
	other.wantOut(t, e.leaves.bearer())
}

// F12: Redis comes back empty. Who was signed out stays so on every instance, on one that starts then too.
func TestRedisComesBackEmpty(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{gates: 3, idle: true, setup: setup{global: longChallenges}})
	late := f.gates[2]
	f.gates = f.gates[:2]
	f.boot()
	g, other := f.gates[0], f.gates[1]
	out, stays := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	open, _ := g.challenge(t, walletOf("carol"))
	g.signOut(t, out.bearer())
	other.wantOut(t, out.bearer())
	f.redis.Kill()
	f.redis.Start()
	late.boot()
	for i, g := range []*gate{g, other, late} {
		g.wantReady(t)
		g.get(t, "/reports/x", out.bearer()).want(t, 401)
		g.get(t, "/reports/x", stays.bearer()).want(t, 200)
		g.post(t, "token/refresh", map[string]any{"refresh_token": out.RefreshToken}).wantProblem(t, 401, "invalid_grant")
		g.post(t, "challenge/sign", signed(open, walletOf("carol"))).wantProblem(t, 404, "challenge_not_found")
		s := g.signIn(t, walletOf("wallet "+strconv.Itoa(i)))
		g.signOut(t, s.bearer())
	}
	f.redis.Command("flushall")
	g.signOut(t, stays.bearer())
	other.wantOut(t, stays.bearer())
	late.wantOut(t, stays.bearer())
}
