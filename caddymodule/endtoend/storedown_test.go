package endtoend

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// A first start without its store begins closed and opens by itself.
func TestStartWithoutStore(t *testing.T) {
	t.Parallel()
	for name, obstacle := range map[string]func(db string) error{
		"a folder is in the place of the file": func(db string) error { return os.MkdirAll(filepath.Join(db, "x"), 0o700) },
		"a file is in the place of the folder": func(db string) error { return os.WriteFile(filepath.Dir(db), nil, 0o600) },
		"the file is no database": func(db string) error {
			if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
				return err
			}
			return os.WriteFile(db, []byte(strings.Repeat("no database ", 1000)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "store")
			db := filepath.Join(folder, "authgate.db")
			if err := obstacle(db); err != nil {
				t.Fatal(err)
			}
			g := prepare(t, setup{store: db})
			g.launch()
			g.await()
			for _, target := range []string{"/reports/x", "/admin/x"} {
				for _, lines := range [][]string{nil, {"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, {"Authorization: Bearer x"}, {"Cookie: authgate=x.y"}} {
					g.wantUnavailable(t, g.get(t, target, lines...))
				}
			}
			g.wantUnavailable(t, g.get(t, "/auth/health/ready"))
			g.wantUnavailable(t, g.post(t, "challenge/create", map[string]any{"address": walletOf("alice").address}))
			g.wantUnavailable(t, g.get(t, "/auth/jwks.json"))
			g.backend.none(t)
			g.get(t, "/public/x", "Remote-User: "+forged, "X-Kept: 1").want(t, 200)
			g.wantClean(t, "Remote-User", g.backend.one(t))

			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if !eventually(time.Minute, func() bool { return g.get(t, "/auth/health/ready").status == 200 }) {
				t.Fatal("five seconds after the store is back the gateway is closed")
			}
			s := g.signIn(t, walletOf("alice"))
			g.get(t, "/reports/x", s.bearer()).want(t, 200)
		})
	}
}

func (g *gate) wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 and when to try again: %s", a.status, a.header.Get("Retry-After"), head(a.body))
	}
	a.wantNoStore(t)
	if strings.Contains(a.body, "sqlite") || strings.Contains(a.body, "authgate.db") || strings.Contains(a.body, "no such file") {
		t.Errorf("the answer tells of the inside: %s", a.body)
	}
}

// A store that cannot take writes now refuses what needs one, honestly: no sign-in that is not kept, no sign-out that is not
// done, no token spent for nothing. Who is signed in goes on, and when the store is back everything works as it was.
func TestStoreThatCannotWrite(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	alice := walletOf("alice")
	program, browser := g.signIn(t, alice), g.signInBrowser(t, alice)
	message, _ := g.challenge(t, alice)

	db, err := sql.Open("sqlite", filepath.Join(g.dir, "authgate.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	var blocked sync.WaitGroup // each waits for the lock as long as the gateway does
	blocked.Go(func() {
		g.wantUnavailable(t, g.post(t, "token/refresh", map[string]any{"refresh_token": program.RefreshToken}))
	})
	blocked.Go(func() {
		g.wantUnavailable(t, g.send(t, requestBody("POST", "/auth/sign-out", "", program.bearer())))
	})
	blocked.Go(func() {
		g.wantUnavailable(t, g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": alice.sign(message)}))
	})
	blocked.Go(func() { g.wantUnavailable(t, g.get(t, "/auth/health/ready")) })
	blocked.Go(func() {
		if g.operatorSaysReady(t) {
			t.Error("to the operator it is ready")
		}
	})
	for _, line := range []string{program.bearer(), browser.cookieLine()} {
		g.get(t, "/reports/x", line).want(t, 200)
	}
	g.get(t, "/public/x").want(t, 200)
	g.get(t, "/auth/health/live").want(t, 200)
	blocked.Wait()
	if _, err := lock.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	g.wantReady(t)
	if !g.operatorSaysReady(t) {
		t.Error("to the operator it is not ready again")
	}

	var next signedIn
	g.post(t, "token/refresh", map[string]any{"refresh_token": program.RefreshToken}).into(t, 200, &next)
	g.get(t, "/reports/x", next.bearer()).want(t, 200)
	g.signIn(t, alice)
	g.signOut(t, next.bearer())
	g.get(t, "/reports/x", next.bearer()).want(t, 401)
}

// operatorSaysReady reports what "caddy authgate status" is told.
func (g *gate) operatorSaysReady(t *testing.T) bool {
	t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d%s", g.admin, command.StatusPath), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Error(err)
		return false
	}
	defer resp.Body.Close()
	var status command.Status
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil || resp.StatusCode != 200 {
		t.Errorf("status: %d, %v", resp.StatusCode, err)
	}
	return status.Ready
}
