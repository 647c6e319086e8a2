package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

func openInside(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func createUser(ctx context.Context, s *Store, name string) error {
	return s.Stores().Users.CreateUser(ctx, authcore.User{ID: name, Username: name, Name: string(make([]byte, 4096))},
		authcore.Credential{ID: name, UserID: name, Key: name})
}

// The promises of the package doc hang on these.
func TestSettings(t *testing.T) {
	s, _ := openInside(t)
	for _, c := range []struct {
		db      *sql.DB
		setting string
		want    string
	}{
		{s.writes, "journal_mode", "wal"},
		{s.writes, "synchronous", "2"}, // FULL: the log is synced before a commit is acknowledged
		{s.writes, "foreign_keys", "1"},
		{s.writes, "busy_timeout", lockWait},
		{s.reads, "busy_timeout", lockWait},
		{s.reads, "query_only", "1"},
		{s.writes, "application_id", fmt.Sprint(applicationID)},
	} {
		var got string
		if err := c.db.QueryRowContext(t.Context(), "PRAGMA "+c.setting).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s is %s, %v; want %s", c.setting, got, err, c.want)
		}
	}
	if n := s.writes.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write", n)
	}
}

// A transaction that takes the lock only when it comes to write may find that somebody else wrote since it read, and what it
// decided is void.
func TestTransactionsLockAtOnce(t *testing.T) {
	s, path := openInside(t)
	tx, err := s.writes.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err == nil || !dialect().Again(err) {
		t.Fatalf("got error %v while another transaction is open", err)
	}
}

// A store that is down must not say that a user, or a session, is not there: it says that it cannot tell.
func TestClosedIsUnavailable(t *testing.T) {
	s, _ := openInside(t)
	if err := createUser(t.Context(), s, "alice"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, user := s.Stores().Users.User(t.Context(), "alice")
	_, session := s.Stores().Sessions.Session(t.Context(), "x")
	_, challenge := s.ChallengeStores().Challenges.ConsumeChallenge(t.Context(), [32]byte{}, authcore.Binding{}, time.Time{})
	for _, err := range []error{user, session, challenge, createUser(t.Context(), s, "bob"), s.Stores().Health.Ping(t.Context())} {
		if !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("got error %v", err)
		}
	}
}

// Another process holds the lock for long: whoever waits is told within the time they have, and nothing is changed; when
// the lock is free, all goes on by itself.
func TestLockedByAnotherProcess(t *testing.T) {
	s, path := openInside(t)
	if err := createUser(t.Context(), s, "alice"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	// SQLite alone would wait for lockWait, each time; the quickest of a few is less, however busy the machine is.
	best := time.Hour
	for n := 0; n < 20 && best > 400*time.Millisecond; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		begun := time.Now()
		err = createUser(ctx, s, "bob")
		cancel()
		if !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got error %v", err)
		}
		best = min(best, time.Since(begun))
	}
	if best > 400*time.Millisecond {
		t.Fatalf("it took %v", best)
	}
	// Reading goes on meanwhile.
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stores().Users.User(t.Context(), "bob"); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Fatalf("got error %v", err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := createUser(t.Context(), s, "bob"); err != nil {
		t.Fatal(err)
	}
}

// The lock is held for longer than SQLite itself waits: the statement is tried again.
func TestRetriesWhenLocked(t *testing.T) {
	s, path := openInside(t)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	asked := 0
	release(t, s, func() {
		asked++
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	})
	if err := createUser(t.Context(), s, "alice"); err != nil {
		t.Fatal(err)
	}
	if asked != 1 {
		t.Fatalf("asked %d times", asked)
	}
}

// release calls free when the store is asked whether to try again what met a lock, for which SQLite does not wait.
func release(t *testing.T, s *Store, free func()) {
	t.Helper()
	if _, err := s.writes.ExecContext(t.Context(), "PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	d := dialect()
	again := d.Again
	d.Again = func(err error) bool {
		yes := again(err)
		if yes {
			free()
		}
		return yes
	}
	s.store = sqlstore.New(sqlstore.Config{DB: s.writes, Reads: s.reads, Dialect: d})
}

// The disk is full: what needs room is refused, what reads goes on, and when there is room again all goes on by itself.
func TestDiskFull(t *testing.T) {
	s, _ := openInside(t)
	if err := createUser(t.Context(), s, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = createUser(t.Context(), s, fmt.Sprint("user-", i))
	}
	if !errors.Is(err, authcore.ErrUnavailable) {
		t.Fatalf("got error %v", err)
	}
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stores().Health.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := createUser(t.Context(), s, "bob"); err != nil {
		t.Fatal(err)
	}
}

// A writer that is stuck, on a disk that hangs say, keeps nobody waiting without end.
func TestWaitForTheWriterEnds(t *testing.T) {
	t.Parallel()
	s, _ := openInside(t)
	stuck, err := s.writes.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stuck.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	for what, do := range map[string]func() error{
		"a statement":   func() error { return s.Stores().Sessions.EndSession(ctx, "s") },
		"a transaction": func() error { return s.Stores().Transactions.Transact(ctx, func(authcore.Stores) error { return nil }) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if err := do(); !errors.Is(err, authcore.ErrUnavailable) || ctx.Err() != nil {
				t.Error(err)
			}
		})
	}
}
