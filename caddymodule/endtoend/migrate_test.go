//go:build unix

package endtoend

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	storeservers "github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// The operator of one machine gets a second one: everything moves from SQLite into PostgreSQL, and from there back by way of
// a backup. Nobody has to sign in anew.
func TestMigrateToPostgresAndBack(t *testing.T) {
	t.Parallel()
	g := inhabit(t)
	// As a psql user would write it down, with the password in the environment.
	dsn, err := url.Parse(storeservers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := dsn.User.Password()
	env := "AUTHGATE_DB_PASSWORD=" + secret
	old := g.config()
	next := filepath.Join(g.dir, "Caddyfile.new")
	g.setup.accounts = fmt.Sprintf("postgres postgres://%s:{env.AUTHGATE_DB_PASSWORD}@%s%s?%s", dsn.User.Username(), dsn.Host, dsn.Path, dsn.RawQuery)
	if err := os.WriteFile(next, []byte(g.caddyfile()), 0o600); err != nil {
		t.Fatal(err)
	}
	migrate := []string{"authgate", "migrate", "--adapter", "caddyfile", "--from", old, "--to", next}

	g.wantCaddy(t, 1, "stop it first", migrate...)
	g.kill()
	g.wantCaddy(t, 1, "AUTHGATE_DB_PASSWORD", migrate...) // the environment is not that of Caddy
	g.setup.env = append(g.setup.env, env)
	g.wantCaddy(t, 1, "the same store", "authgate", "migrate", "--from", old, "--to", old)
	g.wantCaddy(t, 1, "write: caddy authgate migrate", "authgate", "migrate", "--from", old)
	g.wantCaddy(t, 0, "1 waiting mail", migrate...)
	g.wantCaddy(t, 1, "not empty", migrate...)
	g.boot()
	g.wantAll(t)

	file := filepath.Join(g.dir, "authgate.backup")
	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "backup", "--config", g.config(), file)
	g.wipe(t)
	g.setup.accounts = ""
	if err := os.WriteFile(g.config(), []byte(g.caddyfile()), 0o600); err != nil {
		t.Fatal(err)
	}
	g.wantCaddy(t, 0, "1 waiting mail", "authgate", "restore", "--config", g.config(), file)
	g.bootWithMail(t)
	g.wantAll(t)
	g.wantMail(t)
	if strings.Contains(g.output.String(), secret) {
		t.Error("the password of the database is in the log")
	}
}
