package endtoend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
			g := start(t, setup{store: db})
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
			if !eventually(5*time.Second, func() bool { return g.get(t, "/auth/health/ready").status == 200 }) {
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
