package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// A password may have any character in it, and is taken as it is wherever its placeholder stands.
func TestPostgresPlaceholders(t *testing.T) {
	const secret = `p@ss:/?#[ ]'\%41é`
	t.Setenv("TEST_PG_PASSWORD", secret)
	t.Setenv("TEST_PG_HOST", "db.example.com")
	t.Setenv("TEST_PG_DSN", "postgres://a:b@one,two/gate?sslmode=require")
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("host=db.example.com user=a dbname=gate sslmode=disable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dsn, name string }{
		{"postgres://a:{env.TEST_PG_PASSWORD}@{env.TEST_PG_HOST}:6432/gate?sslmode=require", "postgres a@db.example.com:6432/gate"},
		{"postgresql://{env.TEST_PG_PASSWORD}:b@db.example.com/gate?sslmode=require", "postgres " + secret + "@db.example.com:5432/gate"},
		{"host=db.example.com user=a dbname=gate password={env.TEST_PG_PASSWORD} port=6432 sslmode=require", "postgres a@db.example.com:6432/gate"},
		{"host=db.example.com user='{env.TEST_PG_PASSWORD}' dbname=gate sslmode=require", "postgres " + secret + "@db.example.com:5432/gate"},
		{"{env.TEST_PG_DSN}", "postgres a@one:5432,two:5432/gate"},
		{"{file." + file + "}", "postgres a@db.example.com:5432/gate"},
	} {
		s := &PostgresStore{DSN: c.dsn}
		if err := s.Provision(caddy.Context{}); err != nil {
			t.Errorf("%s: %v", c.dsn, err)
		} else if s.StoreName() != c.name {
			t.Errorf("%s: it is %q, want %q", c.dsn, s.StoreName(), c.name)
		}
		if strings.Contains(c.dsn, "password=") || strings.Contains(c.dsn, ":{") {
			if got := parsedPassword(t, s.config.DSN); got != secret {
				t.Errorf("%s: the password is %q", c.dsn, got)
			}
		}
	}
}

func parsedPassword(t *testing.T, dsn string) string {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config.Password
}

// What is wrong is said without the password.
func TestPostgresProvisionRefuses(t *testing.T) {
	t.Setenv("TEST_PG_PASSWORD", "s3cr3t")
	for dsn, want := range map[string]string{
		"":                                       "dsn: missing",
		"{env.TEST_PG_NOT_SET}":                  "TEST_PG_NOT_SET",
		"postgres://a:{env.TEST_PG_NOT_SET}@h/d": "TEST_PG_NOT_SET",
		"postgres://a:{env.TEST_PG_PASSWORD}@h:port/d":              "cannot be understood",
		"postgres://a:{env.TEST_PG_PASSWORD}@h/d?sslmode=sometimes": "sslmode",
	} {
		err := (&PostgresStore{DSN: dsn}).Provision(caddy.Context{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got error %v", dsn, err)
		}
	}
}

// The password is changed, or the number of connections: it is the same store, and the connections are new ones.
func TestPostgresAccess(t *testing.T) {
	made := func(s PostgresStore) *PostgresStore {
		if err := s.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		return &s
	}
	first := made(PostgresStore{DSN: "postgres://a:s3cr3t@localhost/d"})
	for _, c := range []struct {
		name          string
		other         PostgresStore
		store, access bool // the same
	}{
		{"nothing", PostgresStore{DSN: "postgres://a:s3cr3t@localhost/d"}, true, true},
		{"password", PostgresStore{DSN: "postgres://a:s3cr3t2@localhost/d"}, true, false},
		{"connections", PostgresStore{DSN: "postgres://a:s3cr3t@localhost/d", MaxOpen: 3}, true, false},
		{"database", PostgresStore{DSN: "postgres://a:s3cr3t@localhost/e"}, false, false},
		{"schema", PostgresStore{DSN: "postgres://a:s3cr3t@localhost/d?search_path=e"}, false, false},
	} {
		s := made(c.other)
		if (s.StoreName() == first.StoreName()) != c.store || (s.StoreAccess() == first.StoreAccess()) != c.access {
			t.Errorf("%s: %s %s, before %s %s", c.name, s.StoreName(), s.StoreAccess(), first.StoreName(), first.StoreAccess())
		}
		if strings.Contains(s.StoreName()+s.StoreAccess(), "s3cr3t") {
			t.Error(s.StoreName())
		}
	}
}
