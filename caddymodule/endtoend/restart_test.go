package endtoend

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// What was answered with success is on the disk: the machine may lose power the moment after.
func TestAcknowledgedSignOutSurvivesKill(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	for i := range load(2, 10) {
		browser, program := g.signInBrowser(t, walletOf("alice")), g.signIn(t, walletOf("alice"))
		stays, message := g.signIn(t, walletOf("bob")), ""
		var next signedIn
		g.post(t, "token/refresh", map[string]any{"refresh_token": program.RefreshToken}).into(t, 200, &next)
		message, _ = g.challenge(t, walletOf("carol"))
		g.signOut(t, browser.cookieLine())
		if i%2 == 0 {
			g.signOut(t, next.bearer())
		} else {
			g.signOut(t, program.bearer())
		}
		g.kill()
		g.boot()
		// The access tokens of ended sessions are not good again only because the process forgot: their lines are gone.
		for name, line := range map[string]string{"cookie": browser.cookieLine(), "bearer": next.bearer(), "first bearer": program.bearer()} {
			if a := g.get(t, "/reports/x", line); a.status != 401 {
				t.Errorf("%s: status %d after sign-out and restart, want 401", name, a.status)
			}
		}
		for _, token := range []string{program.RefreshToken, next.RefreshToken} {
			g.post(t, "token/refresh", map[string]any{"refresh_token": token}).wantProblem(t, 401, "invalid_grant")
		}
		g.backend.none(t)
		// The other one is still signed in, with keys and sessions as before, and the same user as before.
		g.get(t, "/reports/x", stays.bearer()).want(t, 200)
		g.wantIdentity(t, g.backend.one(t), stays.User)
		g.post(t, "token/refresh", map[string]any{"refresh_token": stays.RefreshToken}).want(t, 200)
		if again := g.signIn(t, walletOf("alice")); again.User.ID != program.User.ID {
			t.Errorf("alice was %s and is now %s", program.User.ID, again.User.ID)
		}
		// Challenges in memory are gone: they cannot count twice.
		g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": walletOf("carol").sign(message)}).
			wantProblem(t, 404, "challenge_not_found")
	}
}

// With `challenge_store sql` a challenge that was signed stays spent.
func TestSpentChallengeSurvivesKill(t *testing.T) {
	t.Parallel()
	g := start(t, setup{global: "challenge_store sql"})
	alice := walletOf("alice")
	spent, _ := g.challenge(t, alice)
	open, _ := g.challenge(t, alice)
	g.post(t, "challenge/sign", map[string]any{"challenge": spent, "signature": alice.sign(spent)}).want(t, 200)
	g.kill()
	g.boot()
	g.post(t, "challenge/sign", map[string]any{"challenge": spent, "signature": alice.sign(spent)}).wantProblem(t, 404, "challenge_not_found")
	g.post(t, "challenge/sign", map[string]any{"challenge": open, "signature": alice.sign(open)}).want(t, 200)
}

// retry sends until it is answered: on Linux a reload of Caddy itself drops connections that nobody has accepted yet.
func (g *gate) retry(t *testing.T, text string) answer {
	t.Helper()
	var a answer
	var err error
	if !eventually(time.Minute, func() bool { a, err = g.try(text); return err == nil }) {
		t.Fatal(err)
	}
	return a
}

// caddy reload loses no session, no challenge, no sign-out, and no websocket's bond to its session.
func TestReloadKeepsState(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	browser, program, gone := g.signInBrowser(t, walletOf("alice")), g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	for i := range load(3, 20) {
		message, _ := g.challenge(t, walletOf("carol"))
		spent, _ := g.challenge(t, walletOf("dave"))
		signed := map[string]any{"challenge": spent, "signature": walletOf("dave").sign(spent)}
		g.post(t, "challenge/sign", signed).want(t, 200)
		if i == 0 {
			g.signOut(t, gone.bearer())
		}
		g.setup.site = defaultRules + "\n\t\tallow anyone /opened/" + strconv.Itoa(i) + "/*"
		if status, body := g.reload(); status != 200 {
			t.Fatalf("reload: %d %s", status, body)
		}
		g.retry(t, request("GET", "/opened/"+strconv.Itoa(i)+"/x")).want(t, 200) // the new rules are in force
		g.get(t, "/reports/x", browser.cookieLine()).want(t, 200)
		g.get(t, "/reports/x", program.bearer()).want(t, 200)
		g.get(t, "/reports/x", gone.bearer()).want(t, 401)
		g.post(t, "challenge/sign", signed).wantProblem(t, 404, "challenge_not_found")
		g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": walletOf("carol").sign(message)}).want(t, 200)
	}
	conn, a := g.open(t, "/ws", browser.cookieLine(), "Origin: "+g.origin)
	a.want(t, 101)
	g.signOut(t, browser.cookieLine())
	if !endsWithin(t, conn, patience(time.Second)) {
		t.Error("a websocket outlives its session after reloads")
	}
}

// A rule that is added applies to the next request, on connections that are open already.
func TestReloadAppliesToOpenConnections(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if a, err := g.exchange(conn, request("GET", "/reports/x", s.bearer())); err != nil || a.status != 200 {
		t.Fatal(a.status, err)
	}
	g.setup.site = defaultRules + "\n\t\tdeny /reports/*"
	if status, body := g.reload(); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	g.backend.take()
	if a, err := g.exchange(conn, request("GET", "/reports/x", s.bearer())); err == nil && a.status != 403 {
		t.Errorf("status %d on the open connection, want 403", a.status)
	}
	g.backend.none(t)
}

// A configuration that cannot work is refused whole, the old one goes on with all it knows.
func TestFailingReloadLeavesTheOldConfiguration(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	message, _ := g.challenge(t, walletOf("bob"))
	file := filepath.Join(g.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := g.setup
	for name, bad := range map[string]setup{
		"unknown option":    {global: "registration open\nrate_limit off\nunknown 1"},
		"unknown rule":      {site: "allow nobody /x"},
		"store unreachable": {store: filepath.Join(file, "authgate.db")},
		"bad origin":        {site: "origin ftp://x"},
	} {
		g.setup = bad
		if status, body := g.reload(); status == 200 {
			t.Errorf("%s: the reload was taken: %s", name, body)
		}
		g.setup = good
		g.retry(t, request("GET", "/reports/x", s.bearer())).want(t, 200)
		g.get(t, "/reports/x").want(t, 401)
		g.get(t, "/auth/health/ready").want(t, 200)
	}
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": walletOf("bob").sign(message)}).want(t, 200)
	g.post(t, "token/refresh", map[string]any{"refresh_token": s.RefreshToken}).want(t, 200)
}
