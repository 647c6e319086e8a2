package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// told writes down what a listener is told, in words.
type told chan string

func (l told) Heard(n authcore.Notice) { l <- n.Subject }
func (l told) Missed()                 { l <- "missed" }
func (l told) Connected(is bool)       { l <- fmt.Sprint("connected ", is) }

// is demands what is told next.
func (l told) is(t *testing.T, want ...string) {
	t.Helper()
	for _, next := range want {
		select {
		case got := <-l:
			if got != next {
				t.Fatalf("told %q, want %q", got, next)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not told %q", next)
		}
	}
}

func listen(t *testing.T, s *sqlitestore.Store) told {
	t.Helper()
	l := make(told, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Stores().Notices.Listen(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

func notify(t *testing.T, s *sqlitestore.Store, subject string) {
	t.Helper()
	if err := s.Stores().Notices.Notify(t.Context(), authcore.Notice{Kind: authcore.NoticeSessionEnded, Subject: subject}); err != nil {
		t.Fatal(err)
	}
}

// The database cannot be read for a while: what was sent meanwhile is told, in order, and nothing is said to be missed.
func TestNoticesSentWhileCutOffAreHeard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a, b := open(t, path), open(t, path)
	l := listen(t, a)
	l.is(t, "connected true")
	notify(t, b, "one")
	l.is(t, "one")
	alter(t, path, `ALTER TABLE notices RENAME TO away`)
	l.is(t, "connected false")
	alter(t, path, `INSERT INTO away (kind, subject, created) VALUES ('session_ended', 'two', 0), ('session_ended', 'three', 0)`)
	alter(t, path, `ALTER TABLE away RENAME TO notices`)
	l.is(t, "two", "three", "connected true")
	notify(t, b, "four")
	l.is(t, "four")
}

// An instance was cut off for so long that notices it was not told are swept: it is told that it missed some, and goes on.
func TestSweptNoticesAreMissed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a, b := open(t, path), open(t, path)
	l := listen(t, a)
	l.is(t, "connected true")
	notify(t, b, "one")
	l.is(t, "one")
	alter(t, path, `ALTER TABLE notices RENAME TO away`)
	l.is(t, "connected false")
	alter(t, path, `INSERT INTO away (kind, subject, created) VALUES ('session_ended', 'two', 0), ('session_ended', 'three', 0);
		DELETE FROM away WHERE subject IN ('one', 'two'); ALTER TABLE away RENAME TO notices`)
	l.is(t, "missed", "three", "connected true")
	notify(t, b, "four")
	l.is(t, "four")
}

// An older state of the database was restored beneath a running instance: the ids begin again where they were.
func TestRestoredDatabaseIsMissed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a := open(t, path)
	l := listen(t, a)
	l.is(t, "connected true")
	notify(t, a, "one")
	notify(t, a, "two")
	l.is(t, "one", "two")
	alter(t, path, `DELETE FROM notices WHERE subject <> ''; UPDATE sqlite_sequence SET seq = 1 WHERE name = 'notices'`)
	l.is(t, "missed")
	notify(t, a, "three")
	l.is(t, "three")
}

// It could not be read when listening began: what was sent since is missed.
func TestNoticesBeforeTheFirstLookAreMissed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a := open(t, path)
	alter(t, path, `ALTER TABLE notices RENAME TO away`)
	l := listen(t, a)
	time.AfterFunc(100*time.Millisecond, func() { alter(t, path, `ALTER TABLE away RENAME TO notices`) })
	l.is(t, "missed", "connected true")
}

// Old notices go, so that the table stays small; the newest stays, since others read on from it.
func TestOldNoticesAreSwept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	a := open(t, path)
	l := listen(t, a)
	l.is(t, "connected true")
	for i := range 3 {
		notify(t, a, fmt.Sprint(i))
	}
	l.is(t, "0", "1", "2")
	sweep := func(now time.Time, want int) {
		t.Helper()
		if _, err := a.Stores().Sessions.DeleteExpiredSessions(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if got := count(t, path, "notices"); got != want {
			t.Errorf("%d notices are left, want %d", got, want)
		}
	}
	sweep(time.Now().Add(59*time.Minute), 3) // that of the migration is old
	sweep(time.Now().Add(61*time.Minute), 1)
	notify(t, a, "3")
	l.is(t, "3")
	sweep(time.Now().Add(61*time.Minute), 1)
	notify(t, a, "4")
	l.is(t, "4")
}

func count(t *testing.T, path, table string) (n int) {
	t.Helper()
	db := raw(t, path)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
