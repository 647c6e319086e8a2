//go:build unix

package postgresstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// patience is how long something may take on a busy machine.
const patience = time.Minute

// listener writes down what it is told.
type listener struct {
	heard     chan string
	connected chan bool
	missed    chan struct{}
}

func (l *listener) Heard(n authcore.Notice) { l.heard <- n.Subject }
func (l *listener) Missed()                 { l.missed <- struct{}{} }
func (l *listener) Connected(is bool)       { l.connected <- is }

func listen(t *testing.T, s *postgresstore.Store) *listener {
	t.Helper()
	l := &listener{make(chan string, 10_000), make(chan bool, 1000), make(chan struct{}, 1000)}
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

func (l *listener) is(t *testing.T, want bool) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case got := <-l.connected:
			if got == want {
				return
			}
		case <-late:
			t.Fatalf("never told that connected is %v", want)
		}
	}
}

// hears waits until it has heard this; what it heard before that was told twice, or is of no interest.
func (l *listener) hears(t *testing.T, want string) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case got := <-l.heard:
			if got == want {
				return
			}
		case <-late:
			t.Fatalf("never heard %q", want)
		}
	}
}

func notify(t *testing.T, s *postgresstore.Store, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		if err := s.Stores().Notices.Notify(t.Context(), authcore.Notice{Kind: authcore.NoticeSessionEnded, Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
}

// An instance is cut off for a while: a sign-out that was told meanwhile is heard when it is back.
func TestNoticesSentWhileCutOffAreHeard(t *testing.T) {
	server := servers.OwnPostgres(t)
	dsn := server.Database()
	a, b, db := open(t, postgresstore.Config{DSN: dsn}), open(t, postgresstore.Config{DSN: dsn}), direct(t, dsn)
	l := listen(t, a)
	l.is(t, true)
	notify(t, b, "first")
	l.hears(t, "first")
	for round := range 3 {
		// The server lets nobody of theirs in any more, and sends home who is in.
		do(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR wait_event = 'ClientRead' AND application_name = 'authgate'`)
		for i := range 20 {
			do(t, db, `INSERT INTO notices (kind, subject, created) VALUES ('session_ended', $1, 0)`, fmt.Sprint(round, " ", i))
		}
		for i := range 20 {
			l.hears(t, fmt.Sprint(round, " ", i))
		}
	}
	if len(l.missed) != 0 {
		t.Error("told to have missed something")
	}
}

// A notice that was begun earlier is committed later than another one: an instance that has read the later one must not go
// on from there.
func TestNoticesAreOrderedAsTheyAreCommitted(t *testing.T) {
	dsn := servers.Postgres(t)
	a, b := open(t, postgresstore.Config{DSN: dsn}), open(t, postgresstore.Config{DSN: dsn})
	l := listen(t, a)
	l.is(t, true)
	later := make(chan error, 1)
	err := a.Stores().Transactions.Transact(t.Context(), func(s authcore.Stores) error {
		if err := s.Notices.Notify(t.Context(), authcore.Notice{Subject: "earlier"}); err != nil {
			return err
		}
		go func() {
			later <- b.Stores().Notices.Notify(context.WithoutCancel(t.Context()), authcore.Notice{Subject: "later"})
		}()
		select {
		case err := <-later: // it did not wait
			later <- err
			l.hears(t, "later")
		case <-time.After(300 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l.hears(t, "earlier")
	if err := <-later; err != nil {
		t.Fatal(err)
	}
	l.hears(t, "later")
}

// Nothing depends on announcements: a pooler in between may swallow them.
func TestNoticesThatAreNotAnnouncedAreHeard(t *testing.T) {
	dsn := servers.Postgres(t)
	a, db := open(t, postgresstore.Config{DSN: dsn}), direct(t, dsn)
	l := listen(t, a)
	l.is(t, true)
	do(t, db, `INSERT INTO notices (kind, subject, created) VALUES ('session_ended', 'silent', 0)`)
	l.hears(t, "silent")
}

// A sign-out holds everywhere within a second; it takes far less.
func TestNoticesArriveAtOnce(t *testing.T) {
	dsn := servers.Postgres(t)
	a, b := open(t, postgresstore.Config{DSN: dsn}), open(t, postgresstore.Config{DSN: dsn})
	l := listen(t, a)
	l.is(t, true)
	best := time.Hour
	for i := range 10 {
		began := time.Now()
		notify(t, b, fmt.Sprint(i))
		l.hears(t, fmt.Sprint(i))
		best = min(best, time.Since(began))
	}
	t.Log(best)
	if best > 500*time.Millisecond { // those that are only found by looking take that long on average
		t.Errorf("the fastest took %v", best)
	}
}

func TestClosedStoreHearsNothing(t *testing.T) {
	dsn := servers.Postgres(t)
	a, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	db := direct(t, dsn)
	l := listen(t, a)
	l.is(t, true)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	l.is(t, false)
	var left int
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authgate' AND datname = current_database()`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
	}
	t.Fatalf("%d connections are left", left)
}
