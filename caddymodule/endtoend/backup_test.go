package endtoend

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// inhabited is a gate with accounts of every kind, and what they have of it.
type inhabited struct {
	*gate
	mails            *mailServer
	browser, program signedIn
	alice            string // signs in with the passphrase
	waiting          string // has registered and waits for the mail
}

func inhabit(t *testing.T) *inhabited {
	t.Helper()
	mails := startMailServer(t)
	g := &inhabited{gate: start(t, mails.mailed("")), mails: mails, alice: "alice@example.net", waiting: "dave@example.net"}
	g.enrol(t, mails, g.alice)
	g.browser, g.program = g.signInBrowser(t, walletOf("bob")), g.signIn(t, walletOf("carol"))
	// Spent once, so that the store knows a successor.
	var next signedIn
	g.post(t, "token/refresh", map[string]any{"refresh_token": g.program.RefreshToken}).into(t, 200, &next)
	g.program.RefreshToken = next.RefreshToken
	mails.stop()
	g.post(t, "password/register", registration(g.waiting)).want(t, 202)
	return g
}

// wantAll checks that everybody is who they were and goes on where they were.
func (g *inhabited) wantAll(t *testing.T) {
	t.Helper()
	g.backend.take()
	for _, line := range []string{g.browser.cookieLine(), g.program.bearer()} { // signed with a key from before
		g.get(t, "/reports/x", line).want(t, 200)
	}
	var session struct{ User userBody }
	g.get(t, "/auth/session", g.browser.cookieLine()).into(t, 200, &session)
	if session.User.ID != g.browser.User.ID {
		t.Errorf("bob was %s and is %s", g.browser.User.ID, session.User.ID)
	}
	var next signedIn
	g.post(t, "token/refresh", map[string]any{"refresh_token": g.program.RefreshToken}).into(t, 200, &next)
	if next.User.ID != g.program.User.ID {
		t.Errorf("carol was %s and is %s", g.program.User.ID, next.User.ID)
	}
	g.get(t, "/reports/x", next.bearer()).want(t, 200)
	g.program = next
	g.knock(t, g.alice, passphrase).want(t, 200)
	if again := g.signIn(t, walletOf("bob")); again.User.ID != g.browser.User.ID {
		t.Errorf("bob was %s and signs in as %s", g.browser.User.ID, again.User.ID)
	}
}

// bootWithMail starts Caddy, and the mail server too. The mail that waits was tried in vain, and is to be tried again only when
// the test is over, so its time is put forward.
func (g *inhabited) bootWithMail(t *testing.T) {
	t.Helper()
	if _, err := g.database(t).ExecContext(t.Context(), `UPDATE outbox SET due = 0`); err != nil {
		t.Fatal(err)
	}
	g.mails.start()
	g.boot()
}

// wantMail checks that the mail which waited has come, once, and that its key is good.
func (g *inhabited) wantMail(t *testing.T) {
	t.Helper()
	key := g.confirmation(t, g.mails, g.waiting)
	var in signedIn
	g.post(t, "password/activate", map[string]any{"key": key}).into(t, 200, &in)
	if n := len(g.mails.to(g.waiting)); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

func (g *gate) config() string { return filepath.Join(g.dir, "Caddyfile") }

// wantCaddy runs a command and wants this exit code, and this on the standard output or the standard error of it.
func (g *gate) wantCaddy(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	out, errs, got := g.caddy(t, args...)
	if got != code || !strings.Contains(out+errs, says) {
		t.Fatalf("%q: exit code %d, want %d and %q:\n%s%s", args, got, code, says, out, errs)
	}
}

func (g *gate) wipe(t *testing.T) {
	t.Helper()
	g.kill()
	files, err := filepath.Glob(filepath.Join(g.dir, "authgate.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// The machine burns down. What was backed up while people signed in is put onto a new one, and everybody goes on: signed
// in as they were, with the cookies and tokens they have.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	g := inhabit(t)
	admin, file := fmt.Sprintf("127.0.0.1:%d", g.admin), filepath.Join(g.dir, "authgate.backup")

	var acknowledged sync.Map // who was told to have an account before the backup began, by name
	var begun, stop atomic.Bool
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			for n := 0; !stop.Load(); n++ {
				name := fmt.Sprint("crowd ", i, " ", n)
				if s := g.signIn(t, walletOf(name)); !begun.Load() {
					acknowledged.Store(name, s.User.ID)
				}
			}
		})
	}
	some := func() int {
		n := 0
		acknowledged.Range(func(any, any) bool { n++; return true })
		return n
	}
	if !eventually(30*time.Second, func() bool { return some() > 20 }) {
		t.Fatal("nobody signs in")
	}
	begun.Store(true)
	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "backup", "--address", admin, file)
	stop.Store(true)
	load.Wait()

	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v: others could read the private keys", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(g.dir, ".*.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g.wantCaddy(t, 1, "--force", "authgate", "backup", "--address", admin, file)
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, first) {
		t.Fatal("a backup was overwritten", err)
	}
	g.wantCaddy(t, 1, "stop it first", "authgate", "restore", "--config", g.config(), file)

	g.kill()
	g.wantCaddy(t, 1, "not empty", "authgate", "restore", "--config", g.config(), file)
	// Without Caddy, by the configuration.
	direct := filepath.Join(g.dir, "direct.backup")
	g.wantCaddy(t, 3, "cannot reach Caddy", "authgate", "backup", "--address", admin, direct)
	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "backup", "--config", g.config(), direct)
	if err := os.WriteFile(direct, first[:len(first)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "backup", "--force", "--config", g.config(), direct)
	g.wipe(t)
	g.wantCaddy(t, 1, "there is no such store", "authgate", "backup", "--config", g.config(), filepath.Join(g.dir, "none.backup"))

	// The copy broke off: nothing happens.
	cut := filepath.Join(g.dir, "cut.backup")
	if err := os.WriteFile(cut, first[:len(first)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	g.wantCaddy(t, 1, "cut off", "authgate", "restore", "--config", g.config(), cut)
	if _, err := os.Stat(filepath.Join(g.dir, "authgate.db")); !os.IsNotExist(err) {
		t.Fatal("a broken backup made a store", err)
	}

	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "restore", "--config", g.config(), file)
	g.bootWithMail(t)
	g.wantAll(t)
	acknowledged.Range(func(name, id any) bool {
		if s := g.signIn(t, walletOf(name.(string))); s.User.ID != id {
			t.Errorf("%s was %s and is %s", name, id, s.User.ID)
		}
		return true
	})
	g.wantMail(t)
}

// A backup through a pipe, to be encrypted on the way.
func TestBackupThroughAPipe(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	bob := g.signIn(t, walletOf("bob"))
	out, errs, code := g.caddy(t, "authgate", "backup", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin), "-")
	if code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	file := filepath.Join(g.dir, "piped.backup")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	g.wipe(t)
	g.wantCaddy(t, 0, "1 user,", "authgate", "restore", "--config", g.config(), file)
	g.boot()
	g.get(t, "/reports/x", bob.bearer()).want(t, 200)
	// Nothing of what passed by is in the log.
	if strings.Contains(g.output.String(), bob.RefreshToken) || strings.Contains(g.output.String(), "\x1f\x8b") {
		t.Error("the backup is in the log")
	}
}
