//go:build unix

package postgresstore_test

import (
	"context"
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

func open(t testing.TB, cfg postgresstore.Config) *postgresstore.Store {
	t.Helper()
	s, err := postgresstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// direct answers a connection to the database beside the stores.
func direct(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// do runs a statement beside the stores.
func do(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatal(err)
	}
}

const empty = `TRUNCATE users, usernames, user_names, user_roles, credentials, sessions, signing_keys, challenges, attempts, confirmations, outbox, invites, personal_access_tokens, events, event_chain;
	DELETE FROM notices WHERE id < (SELECT max(id) FROM notices)`

// Two handles on one database, as two instances have: every race of the suite is run over both.
func TestStore(t *testing.T) {
	dsn := servers.Postgres(t) + "&synchronous_commit=off" // this suite loses no power
	a, b, db := open(t, postgresstore.Config{DSN: dsn}), open(t, postgresstore.Config{DSN: dsn}), direct(t, dsn)
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		do(t, db, empty)
		return storetest.Subject{
			Stores: a.Stores(), ChallengeStores: a.ChallengeStores(),
			Peer: &storetest.Subject{Stores: b.Stores(), ChallengeStores: b.ChallengeStores()},
		}
	})
}
