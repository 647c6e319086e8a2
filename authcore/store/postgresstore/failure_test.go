//go:build unix

package postgresstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

var (
	noon    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	binding = authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com"}
)

func challengeID(name string) [32]byte { return authcore.HashSecret(name) }

func addUser(ctx context.Context, s authcore.Stores, name string) error {
	return s.Users.CreateUser(ctx, authcore.User{ID: name, Username: name},
		authcore.Credential{ID: name, UserID: name, Kind: authcore.Wallet, Key: name})
}

// operations does one of each kind and answers their errors.
func operations(ctx context.Context, s *postgresstore.Store) map[string]error {
	accounts, short := s.Stores(), s.ChallengeStores()
	errs := map[string]error{"ping": accounts.Health.Ping(ctx)}
	_, errs["user"] = accounts.Users.User(ctx, "alice")
	errs["update session"] = accounts.Sessions.UpdateSession(ctx, authcore.Session{ID: "none"})
	_, errs["consume challenge"] = short.Challenges.ConsumeChallenge(ctx, challengeID("none"), binding, noon)
	_, errs["count"] = short.Attempts.CountAttempt(ctx, "key", time.Hour, noon)
	errs["transact"] = accounts.Transactions.Transact(ctx, func(s authcore.Stores) error {
		_, err := s.Users.User(ctx, "alice")
		return err
	})
	return errs
}

// working demands that the store does everything again, within the time that it may take.
func working(t *testing.T, s *postgresstore.Store, limit time.Duration) {
	t.Helper()
	var errs map[string]error
	for end := time.Now().Add(limit); time.Now().Before(end); {
		errs = operations(t.Context(), s)
		all := true
		for _, err := range errs {
			all = all && !errors.Is(err, authcore.ErrUnavailable)
		}
		if all {
			return
		}
	}
	t.Fatalf("after %v: %v", limit, errs)
}

// failing demands that every operation says so, in time.
func failing(t *testing.T, s *postgresstore.Store, limit time.Duration) {
	t.Helper()
	began := time.Now()
	for what, err := range operations(t.Context(), s) {
		if !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got error %v", what, err)
		}
	}
	if took := time.Since(began); took > limit {
		t.Errorf("it took %v", took)
	}
}

// signal sends a signal to all processes of a server.
func signal(t *testing.T, server *servers.PostgresServer, which syscall.Signal) {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", server.PID()))
	if err != nil {
		t.Skip("the processes of a server cannot be told:", err)
	}
	for _, child := range append(strings.Fields(string(children)), strconv.Itoa(server.PID())) {
		pid, err := strconv.Atoi(child)
		if err == nil {
			err = syscall.Kill(pid, which)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// The server hangs: its connections are open and nothing comes. Nobody waits for it without end, and when it goes on so
// does everything.
func TestPausedServer(t *testing.T) {
	server := servers.OwnPostgres(t)
	s := open(t, postgresstore.Config{DSN: server.Database(), Timeout: time.Second})
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	l := listen(t, s)
	l.is(t, true)
	signal(t, server, syscall.SIGSTOP)
	failing(t, s, 2*patience)
	l.is(t, false)
	signal(t, server, syscall.SIGCONT)
	working(t, s, patience)
	l.is(t, true)
}

// The server is stopped, and started again.
func TestStoppedServer(t *testing.T) {
	server := servers.OwnPostgres(t)
	dsn := server.Database()
	s := open(t, postgresstore.Config{DSN: dsn, Timeout: 2 * time.Second})
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	l := listen(t, s)
	l.is(t, true)
	for _, how := range []struct {
		name string
		end  func()
	}{{"stopped", server.Stop}, {"killed", server.Kill}} {
		how.end()
		l.is(t, false)
		failing(t, s, 2*patience)
		began := time.Now()
		_, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: dsn})
		if !errors.Is(err, authcore.ErrUnavailable) || time.Since(began) > patience {
			t.Errorf("open, %s: %v after %v", how.name, err, time.Since(began))
		}
		server.Start()
		working(t, s, patience)
		l.is(t, true)
		if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
			t.Errorf("%s: %v", how.name, err)
		}
		if err := s.Stores().Notices.Notify(t.Context(), authcore.Notice{Subject: how.name}); err != nil {
			t.Error(err)
		}
		l.hears(t, how.name)
	}
}

// An address at which nobody answers takes the time that connecting may take, and no more.
func TestServerThatTakesConnectionsAndSaysNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	began := time.Now()
	_, err = postgresstore.Open(ctx, postgresstore.Config{DSN: "postgres://a:secret@" + silent.Addr().String() + "/d?sslmode=disable&connect_timeout=1"})
	if !errors.Is(err, authcore.ErrUnavailable) || time.Since(began) > patience {
		t.Fatalf("got error %v after %v", err, time.Since(began))
	}
}

// Connections break in the midst of everything, again and again. No challenge counts twice, no change is half done, what was
// acknowledged is there, and whoever is refused is told that nothing is known.
func TestKilledConnections(t *testing.T) {
	dsn := servers.Postgres(t)
	a, b := open(t, postgresstore.Config{DSN: dsn}), open(t, postgresstore.Config{DSN: dsn})
	db := direct(t, dsn)
	ctx := t.Context()
	if err := addUser(ctx, a.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	const challenges = 300
	for i := range challenges {
		c := authcore.Challenge{ID: challengeID(fmt.Sprint(i)), Binding: binding, Expires: noon}
		if err := a.ChallengeStores().Challenges.CreateChallenge(ctx, c, noon); err != nil {
			t.Fatal(err)
		}
	}
	l := listen(t, b)
	l.is(t, true)

	var counted [challenges]atomic.Int32
	var acknowledged, unknown, next atomic.Int32
	var work sync.WaitGroup
	done := make(chan struct{})
	var killing sync.WaitGroup
	kills := 0
	killing.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				kills++
				do(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.2`)
			}
		}
	})
	for w := range 6 {
		s := []*postgresstore.Store{a, b}[w%2]
		work.Go(func() {
			for i := int(next.Add(1)) - 1; i < challenges; i = int(next.Add(1)) - 1 {
				// Whoever is not answered tries again: at most once it counts.
				for range 20 {
					_, err := s.ChallengeStores().Challenges.ConsumeChallenge(ctx, challengeID(fmt.Sprint(i)), binding, noon.Add(-time.Second))
					if err == nil {
						counted[i].Add(1)
					} else if !errors.Is(err, authcore.ErrUnavailable) && !errors.Is(err, authcore.ErrChallengeNotFound) {
						t.Error(err)
					}
					if err == nil || errors.Is(err, authcore.ErrChallengeNotFound) {
						break
					}
				}
				err := s.Stores().Transactions.Transact(ctx, func(s authcore.Stores) error {
					u, err := s.Users.User(ctx, "alice")
					if err != nil {
						return err
					}
					u.Name += "."
					if err := s.Notices.Notify(ctx, authcore.Notice{Subject: fmt.Sprint(len(u.Name))}); err != nil {
						return err
					}
					if err := s.Outbox.AddMail(ctx, authcore.SealedMail{ID: fmt.Sprint(len(u.Name)), Sealed: []byte{1}}); err != nil {
						return err
					}
					return s.Users.UpdateUser(ctx, u)
				})
				switch {
				case err == nil:
					acknowledged.Add(1)
				case errors.Is(err, authcore.ErrUnavailable):
					unknown.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(done)
	killing.Wait()
	working(t, a, patience)
	for i := range counted {
		if n := counted[i].Load(); n > 1 {
			t.Errorf("challenge %d counted %d times", i, n)
		}
	}
	u, err := a.Stores().Users.User(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	n := int32(len(u.Name))
	if n < acknowledged.Load() || n > acknowledged.Load()+unknown.Load() {
		t.Errorf("%d changes, %d acknowledged, %d unknown", n, acknowledged.Load(), unknown.Load())
	}
	mails, _, err := a.Stores().Outbox.MailWaiting(ctx)
	if err != nil || int32(mails) != n {
		t.Errorf("%d mails for %d changes, %v", mails, n, err)
	}
	for i := range n {
		l.hears(t, fmt.Sprint(i+1))
	}
	t.Logf("%d kills, %d changes acknowledged, %d unknown", kills, acknowledged.Load(), unknown.Load())
	if kills < 3 || acknowledged.Load() == 0 {
		t.Errorf("%d kills, %d acknowledged: this tells nothing", kills, acknowledged.Load())
	}
}

// Somebody else, an operator in psql say, holds a lock and forgets it: others are not held up without end.
func TestHeldLock(t *testing.T) {
	dsn := servers.Postgres(t)
	s, db := open(t, postgresstore.Config{DSN: dsn, Timeout: 2 * time.Second}), direct(t, dsn)
	if err := addUser(t.Context(), s.Stores(), "alice"); err != nil {
		t.Fatal(err)
	}
	held, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.ExecContext(t.Context(), `SELECT 1 FROM users FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = s.Stores().Sessions.CreateSession(t.Context(), authcore.Session{ID: "s", UserID: "alice"})
	if took := time.Since(began); !errors.Is(err, authcore.ErrUnavailable) || took > patience {
		t.Errorf("got error %v after %v", err, took)
	}
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Errorf("reading waits for a lock: %v", err)
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stores().Sessions.CreateSession(t.Context(), authcore.Session{ID: "s", UserID: "alice"}); err != nil {
		t.Error(err)
	}
}

// A burst of requests takes the connections that it may take, and waits.
func TestNoMoreConnectionsThanConfigured(t *testing.T) {
	dsn := servers.Postgres(t)
	s, db := open(t, postgresstore.Config{DSN: dsn, MaxOpen: 3}), direct(t, dsn)
	var all sync.WaitGroup
	var most atomic.Int32
	for range 30 {
		all.Go(func() {
			err := s.Stores().Transactions.Transact(t.Context(), func(authcore.Stores) error {
				var n int32
				err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authgate' AND datname = current_database()`).Scan(&n)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := most.Load(); n < 1 || n > 3 {
		t.Errorf("%d connections at most", n)
	}
}

// Passwords are in no error, whatever goes wrong.
func TestErrorsTellNoPassword(t *testing.T) {
	const secret = "s3cr3t-pa55"
	dsn := servers.Postgres(t)
	user, rest, _ := strings.Cut(strings.TrimPrefix(dsn, "postgres://"), ":")
	_, rest, _ = strings.Cut(rest, "@")
	for _, wrong := range []string{
		"postgres://" + user + ":" + secret + "@" + rest,
		"postgres://" + user + ":" + secret + "@127.0.0.1:1/d?sslmode=disable",
		"postgres://" + user + ":" + secret + "@no-such-host.invalid/d",
		"postgres://" + user + ":" + secret + "@%zz/d",
		"postgres://" + user + ":" + secret + "@host:port/d",
		"postgres://" + user + ":" + secret + "%@host/d",
		"postgres://" + user + ":" + secret + "@host/d?sslmode=" + "never",
		"postgres://" + user + ":" + secret + "@host/d?connect_timeout=x",
		"postgres://" + user + ":" + secret + "@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/no/such/file",
		"host=127.0.0.1 port=1 password=" + secret + " sslmode=disable",
		"host=127.0.0.1 password='" + secret + "\\' sslmode",
		"password=" + secret + " port=x",
		secret,
		"postgres:" + secret,
		":" + secret + "@",
	} {
		_, err := postgresstore.Open(t.Context(), postgresstore.Config{DSN: wrong})
		if err == nil {
			t.Errorf("%s: opened", wrong)
		} else if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), secret) {
			t.Errorf("%v", err)
		}
		where, _ := postgresstore.Config{DSN: wrong}.Where()
		if strings.Contains(where, secret) && wrong != secret {
			t.Errorf("%s: %s", wrong, where)
		}
	}
}
