//go:build unix

package postgresstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// A server that only reads, as one that is a standby since the failover, is not well: nobody can sign in. The store says so,
// and is well again by itself.
func TestPingOfServerThatOnlyReads(t *testing.T) {
	server := servers.OwnPostgres(t)
	s := open(t, postgresstore.Config{DSN: server.Database()})
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	readOnly := func(on string, wait func() bool) {
		t.Helper()
		server.Query("", "ALTER SYSTEM SET default_transaction_read_only = "+on)
		server.Query("", "SELECT pg_reload_conf()")
		// Its processes are told one by one.
		for end := time.Now().Add(time.Minute); !wait(); {
			if time.Now().After(end) {
				t.Fatal("read only is not ", on)
			}
		}
	}
	adds := func() bool {
		return !errors.Is(addUser(t.Context(), s.Stores(), "bob"), authcore.ErrUnavailable)
	}
	readOnly("on", func() bool { return !adds() })
	for what, err := range map[string]error{
		"ping": s.Stores().Health.Ping(t.Context()), "ping challenges": s.ChallengeStores().Health.Ping(t.Context()),
	} {
		if !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got error %v", what, err)
		}
	}
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Errorf("reading: %v", err)
	}
	readOnly("off", adds)
	if err := s.Stores().Health.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever asks how a store does, as strangers may without end, makes no transaction that the server would have to write.
func TestPingWritesNothing(t *testing.T) {
	server := servers.OwnPostgres(t, "-c", "autovacuum=off") // nobody else writes
	s := open(t, postgresstore.Config{DSN: server.Database()})
	if err := s.Stores().Keys.AddKey(t.Context(), authcore.Key{ID: "k", PKCS8: []byte{1}}, ""); err != nil {
		t.Fatal(err)
	}
	next := func() string { return server.Query("", "SELECT txid_snapshot_xmax(txid_current_snapshot())") }
	before := next()
	for range 10 {
		if err := s.Stores().Health.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := next(); after != before {
		t.Errorf("the next transaction that writes was %s and is %s", before, after)
	}
	// The measure works.
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	if next() == before {
		t.Error("a write is not noticed")
	}
}

// Connections that broke since they were used, all of them after a failover, do not make a store that works look down.
func TestPingOnBrokenConnections(t *testing.T) {
	dsn := servers.Postgres(t)
	s, db := open(t, postgresstore.Config{DSN: dsn, MaxOpen: 1}), direct(t, dsn)
	for range 3 {
		do(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err := s.Stores().Health.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
