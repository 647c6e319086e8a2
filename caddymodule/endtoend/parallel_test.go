package endtoend

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// together runs f n times at the same moment and waits for all.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() { ready.Done(); <-begin; f(i) })
	}
	ready.Wait()
	close(begin)
	done.Wait()
}

// A signed challenge that somebody saw on its way is sent many times at once: it counts once, in every challenge store.
func TestChallengeCountsOnce(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "sql"} {
		t.Run(store, func(t *testing.T) {
			g := start(t, setup{global: "challenge_store " + store})
			alice := walletOf("alice")
			g.signIn(t, alice)
			for range load(2, 20) {
				message, _ := g.challenge(t, alice)
				in := map[string]any{"challenge": message, "signature": alice.sign(message)}
				statuses := make([]int, 50)
				together(len(statuses), func(i int) { statuses[i] = g.post(t, "challenge/sign", in).status })
				if n := count(statuses, 200); n != 1 || count(statuses, 404) != len(statuses)-1 {
					t.Errorf("one challenge answered %v", statuses)
				}
			}
		})
	}
}

// A challenge is spent by a failed try, too: there is one guess.
func TestChallengeIsSpentByAFailedTry(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice, eve := walletOf("alice"), walletOf("eve")
	for name, signature := range map[string]string{
		"by another key": "eve", "zeros": "0x" + strings.Repeat("00", 65), "high s, v 99": "0x" + strings.Repeat("ff", 65),
	} {
		message, _ := g.challenge(t, alice)
		if signature == "eve" {
			signature = eve.sign(message)
		}
		g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": signature}).wantProblem(t, 400, "")
		if a := g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": alice.sign(message)}); a.status != 404 {
			t.Errorf("%s: a second try answers %d, want 404", name, a.status)
		}
	}
}

// A first sign-in from many tabs at once makes one account.
func TestOneAccountForAWallet(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	ids := make([]string, 20)
	together(len(ids), func(i int) { ids[i] = g.signIn(t, walletOf("new")).User.ID })
	slices.Sort(ids)
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("%d accounts for one wallet", len(got))
	}
}

// Twenty tabs refresh with the same token at once: one lineage, nobody signed out.
func TestRefreshHasOneSuccessor(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	for range load(3, 20) {
		next := make([]signedIn, 20)
		together(len(next), func(i int) {
			g.post(t, "token/refresh", map[string]any{"refresh_token": s.RefreshToken}).into(t, 200, &next[i])
		})
		successors := map[string]bool{}
		for _, n := range next {
			successors[n.RefreshToken] = true
		}
		if len(successors) != 1 {
			t.Fatalf("%d successors: %q", len(successors), slices.Collect(maps.Keys(successors)))
		}
		s = next[0]
		g.get(t, "/reports/x", s.bearer()).want(t, 200)
	}
}

// A stolen refresh token that its owner has used, and whose successor was used, ends the family: the thief and the owner
// cannot both go on.
func TestOldRefreshTokenEndsTheFamily(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	first, other := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("alice"))
	var second, third signedIn
	g.post(t, "token/refresh", map[string]any{"refresh_token": first.RefreshToken}).into(t, 200, &second)
	g.post(t, "token/refresh", map[string]any{"refresh_token": second.RefreshToken}).into(t, 200, &third)
	g.post(t, "token/refresh", map[string]any{"refresh_token": first.RefreshToken}).wantProblem(t, 401, "invalid_grant")
	g.post(t, "token/refresh", map[string]any{"refresh_token": third.RefreshToken}).wantProblem(t, 401, "invalid_grant")
	g.get(t, "/reports/x", third.bearer()).want(t, 401)
	g.get(t, "/reports/x", other.bearer()).want(t, 200) // the user's other devices are not concerned
}

// An expired access token whose session lives is renewed in the same request; many at once renew once, and what is on its
// way with the old cookie stays good.
func TestExpiredAccessTokenIsRenewed(t *testing.T) {
	t.Parallel()
	const life = 5 * time.Second
	g := start(t, setup{global: "session {\n access_token 5s\n }"})
	s, program := g.signInBrowser(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	if !eventually(time.Minute, func() bool { return g.get(t, "/reports/x", program.bearer()).status == 401 }) {
		t.Fatal("an access token of five seconds is good after a minute")
	}
	g.backend.take()
	answers := make([]answer, 40)
	began := time.Now()
	together(len(answers), func(i int) { answers[i] = g.get(t, "/reports/x", s.cookieLine()) })
	most := 1 + int(time.Since(began)/(life-time.Second)) // a machine may take so long for them that the new token expires, too
	renewed := map[string]bool{}
	for _, a := range answers {
		a.want(t, 200)
		if c := a.cookie(); c != nil {
			renewed[c.Value] = true
			a.wantNoStore(t)
		}
	}
	if len(renewed) == 0 || len(renewed) > most {
		t.Errorf("%d renewed cookies for one session, want %d", len(renewed), most)
	}
	for _, a := range g.backend.take() {
		g.wantIdentity(t, a, s.User)
	}
	for value := range renewed {
		next := signedIn{cookie: "authgate=" + value}
		g.get(t, "/reports/x", next.cookieLine()).want(t, 200)
		g.signOut(t, next.cookieLine())
		g.get(t, "/reports/x", s.cookieLine()).want(t, 401)
		g.get(t, "/reports/x", next.cookieLine()).want(t, 401)
		break
	}
	g.post(t, "token/refresh", map[string]any{"refresh_token": program.RefreshToken}).want(t, 200)
}

// Under load nobody gets another's identity: what the backend is told is what the token says, in every request.
func TestNoCrossTalk(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.backend.watch = func(a arrival) error {
		want := strings.TrimPrefix(a.target(), "/of/")
		for _, name := range []string{"Remote-User", "X-Authgate-Wallet", "X-WEBAUTH-USER"} {
			if got := a.values(name); !slices.Equal(got, []string{want}) {
				return fmt.Errorf("%s: %q at a request of %s", name, got, want)
			}
		}
		return nil
	}
	users, rounds := load(40, 200), load(5, 50)
	// It is the requests that are to cross; the sign-ins before wait for the disk, one after the other.
	atDoor := make(chan struct{}, 8)
	together(users, func(i int) {
		w := walletOf("user " + strconv.Itoa(i))
		line := func() string {
			atDoor <- struct{}{}
			defer func() { <-atDoor }()
			if i%2 == 0 {
				return g.signIn(t, w).bearer()
			}
			return g.signInBrowser(t, w).cookieLine()
		}()
		conn, err := g.dial()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for range rounds {
			a, err := g.exchange(conn, request("GET", "/of/"+w.address, line))
			if err != nil || a.status != http.StatusOK {
				t.Errorf("%s: status %d, %v", w.address, a.status, err)
				return
			}
		}
	})
	g.backend.mu.Lock()
	defer g.backend.mu.Unlock()
	for _, err := range g.backend.broken {
		t.Error(err)
	}
	if len(g.backend.got) != users*rounds {
		t.Errorf("%d requests arrived, want %d", len(g.backend.got), users*rounds)
	}
}

// Who floods the sign-in is told when to come back; who is signed in goes on, and a made-up client address does not help.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{global: "rate_limit 6 1m"})
	s := g.signIn(t, walletOf("alice")) // two of the six
	refused := 0
	for i := range 10 {
		a := g.post(t, "challenge/create", map[string]any{}, "X-Forwarded-For: 192.0.2."+strconv.Itoa(i), "Forwarded: for=192.0.2."+strconv.Itoa(i))
		if a.status == 200 {
			continue
		}
		a.wantProblem(t, 429, "too_many_requests")
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
			t.Errorf("Retry-After %q, want 1 to 60 seconds", a.header.Get("Retry-After"))
		}
		refused++
	}
	if refused != 6 {
		t.Errorf("%d of 12 requests refused, want 6", refused)
	}
	g.post(t, "challenge/sign", map[string]any{"challenge": "x", "signature": "0x00"}).wantProblem(t, 429, "too_many_requests")
	g.get(t, "/reports/x", s.bearer()).want(t, 200)
	g.get(t, "/auth/session", s.bearer()).want(t, 200)
	g.signOut(t, s.bearer())
}

func count(statuses []int, want int) int {
	n := 0
	for _, s := range statuses {
		if s == want {
			n++
		}
	}
	return n
}
