//go:build unix

package postgresstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// Many instances start at once where there is no schema yet.
func TestManyOpenAnEmptyDatabaseAtOnce(t *testing.T) {
	dsn := servers.Postgres(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			s, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := addUser(t.Context(), s.Stores(), fmt.Sprint("u", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s := open(t, postgresstore.Config{DSN: dsn})
	for i := range 6 {
		if _, err := s.Stores().Users.User(t.Context(), fmt.Sprint("u", i)); err != nil {
			t.Error(err)
		}
	}
}

// Another instance is migrating, which may take long: this one waits for it, as long as it may, and does nothing beside it.
func TestWaitsForWhoMigrates(t *testing.T) {
	dsn := servers.Postgres(t)
	db := direct(t, dsn)
	migrates, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer migrates.Close()
	if _, err := migrates.ExecContext(t.Context(), `SELECT pg_advisory_lock(x'41476d696772'::bigint)`); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := postgresstore.Open(soon, postgresstore.Config{DSN: dsn}); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v", err)
	}
	var tables int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_tables WHERE tablename = 'users'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
	if _, err := migrates.ExecContext(t.Context(), `SELECT pg_advisory_unlock(x'41476d696772'::bigint)`); err != nil {
		t.Fatal(err)
	}
	open(t, postgresstore.Config{DSN: dsn})
	// Where there is nothing to do, nobody waits.
	if _, err := migrates.ExecContext(t.Context(), `SELECT pg_advisory_lock(x'41476d696772'::bigint)`); err != nil {
		t.Fatal(err)
	}
	open(t, postgresstore.Config{DSN: dsn})
}

// While one instance after the other is replaced, the first of the new release has migrated and the others are still old:
// they work on, what they have prepared included, and may be started again.
func TestNewerSchemaThatOnlyAddsIsUsed(t *testing.T) {
	dsn := servers.Postgres(t)
	s, db := open(t, postgresstore.Config{DSN: dsn}), direct(t, dsn)
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	do(t, db, `INSERT INTO migrations (version_id, is_applied) VALUES (9000, true);
		ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
		ALTER TABLE sessions ADD COLUMN device TEXT;
		CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY)`)
	for i, s := range []*postgresstore.Store{s, open(t, postgresstore.Config{DSN: dsn})} {
		if err := addUser(t.Context(), s.Stores(), fmt.Sprint("bob", i)); err != nil {
			t.Error(err)
		}
		if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
			t.Error(err)
		}
	}
}

// The program is taken back to an older release, whose statements would misread what the newer one has written.
func TestNewerSchemaThatChangesIsRefused(t *testing.T) {
	dsn := servers.Postgres(t)
	open(t, postgresstore.Config{DSN: dsn})
	do(t, direct(t, dsn), `INSERT INTO migrations (version_id, is_applied) VALUES (9000, true); UPDATE compatibility SET usable_from = 8999`)
	_, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: dsn})
	if !errors.Is(err, sqlstore.ErrNewerSchema) || errors.Is(err, authcore.ErrUnavailable) || !strings.Contains(err.Error(), "8999") {
		t.Fatalf("got error %v", err)
	}
}

// Two gates that know nothing of each other share a database, each in a schema of its own.
func TestSchemasAreApart(t *testing.T) {
	dsn := servers.Postgres(t)
	db := direct(t, dsn)
	do(t, db, `CREATE SCHEMA one; CREATE SCHEMA two`)
	one, two := open(t, postgresstore.Config{DSN: dsn + "&search_path=one"}), open(t, postgresstore.Config{DSN: dsn + "&search_path=two"})
	if err := addUser(t.Context(), one.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Stores().Users.User(t.Context(), "alice"); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Errorf("got error %v", err)
	}
	a, err := postgresstore.Config{DSN: dsn + "&search_path=one"}.Where()
	b, otherwise := postgresstore.Config{DSN: dsn + "&search_path=two"}.Where()
	if err != nil || otherwise != nil || a == b {
		t.Errorf("%s, %v; %s, %v", a, err, b, otherwise)
	}
}

// The database cannot keep what is to be kept, or cannot be written to: said when it is opened, not when somebody signs in.
func TestUnsuitableDatabasesAreRefused(t *testing.T) {
	dsn := servers.Postgres(t)
	db := direct(t, dsn)
	do(t, db, `CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`)
	do(t, db, `CREATE DATABASE replica`)
	do(t, db, `ALTER DATABASE replica SET default_transaction_read_only = on`)
	at := func(name string) string {
		server, _, _ := strings.Cut(strings.TrimPrefix(dsn, "postgres://"), "/")
		return "postgres://" + server + "/" + name + "?sslmode=disable"
	}
	if _, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: at("ascii")}); err == nil || !strings.Contains(err.Error(), "UTF8") {
		t.Errorf("got error %v", err)
	}
	if _, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: at("replica")}); !errors.Is(err, authcore.ErrUnavailable) || !strings.Contains(err.Error(), "read only") {
		t.Errorf("got error %v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ dsn, want, where string }{
		{"postgres://a:b@db.example.com/gate?sslmode=disable", "", "a@db.example.com:5432/gate"},
		{"postgres://a:b@one:1,two:2/gate?sslmode=require", "", "a@one:1,two:2/gate"},
		{"host=/run/postgresql user=a dbname=gate", "", "a@/run/postgresql:5432/gate"},
		{"", "missing", ""},
		{"postgres://a:b@db.example.com/gate?sslmode=never", "sslmode", ""},
		{"mysql://a:b@db.example.com/gate", "postgres://", ""},
	} {
		cfg := postgresstore.Config{DSN: c.dsn}
		err := cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v", c.dsn, err)
		}
		where, _ := cfg.Where()
		if where != c.where {
			t.Errorf("%s: it is %q", c.dsn, where)
		}
	}
}
