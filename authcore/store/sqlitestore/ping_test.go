package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// A store that can be read and not written is not well: nobody can sign in. It says so, and is well again by itself.
func TestPingNeedsToWrite(t *testing.T) {
	s, path := openInside(t)
	health := s.Stores().Health
	if err := health.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		on   interface {
			ExecContext(context.Context, string, ...any) (sql.Result, error)
		}
		begin, end string
	}{
		{"another process holds the lock", other, "BEGIN IMMEDIATE", "ROLLBACK"},
		{"it may only be read", s.writes, "PRAGMA query_only = 1", "PRAGMA query_only = 0"},
	} {
		if _, err := c.on.ExecContext(t.Context(), c.begin); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stores().Users.User(t.Context(), "nobody"); !errors.Is(err, authcore.ErrUserNotFound) {
			t.Errorf("%s: reading: %v", c.name, err)
		}
		if err := health.Ping(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got error %v", c.name, err)
		}
		if err := s.ChallengeStores().Health.Ping(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: of challenges: got error %v", c.name, err)
		}
		if _, err := c.on.ExecContext(t.Context(), c.end); err != nil {
			t.Fatal(err)
		}
		if err := health.Ping(t.Context()); err != nil {
			t.Errorf("%s, over: %v", c.name, err)
		}
	}
}

// Whoever asks how a store does, as strangers may without end, makes the disk write nothing and changes nothing.
func TestPingWritesNothing(t *testing.T) {
	s, path := openInside(t)
	if err := s.Stores().Keys.AddKey(t.Context(), authcore.Key{ID: "k", PKCS8: []byte{1}}, ""); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	state := func() (version, size int64) {
		if err := other.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&version); err != nil {
			t.Fatal(err)
		}
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return version, log.Size()
	}
	version, size := state()
	for range 10 {
		if err := s.Stores().Health.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if v, n := state(); v != version || n != size {
		t.Errorf("the version went from %d to %d, the write-ahead log from %d to %d bytes", version, v, size, n)
	}
	// The measure works.
	if err := createUser(t.Context(), s, "alice"); err != nil {
		t.Fatal(err)
	}
	if v, n := state(); v == version || n == size {
		t.Error("a write is not noticed")
	}
}

// Somebody else who writes just now, as another instance on the file does all the time, is waited for.
func TestPingWaitsForOtherWriters(t *testing.T) {
	s, path := openInside(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	release(t, s, func() {
		asked++
		if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stores().Health.Ping(t.Context()); err != nil || asked != 1 {
		t.Errorf("got error %v after %d tries that met the lock", err, asked)
	}
}
