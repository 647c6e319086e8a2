//go:build unix

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

var lockout = authcore.Lockout{Tries: 5, Suspend: 15 * time.Minute, Forget: 24 * time.Hour}

// operations are all that a server is asked.
func operations(s *Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"create": func(ctx context.Context) error { return s.CreateChallenge(ctx, challenge("new"), noon) },
		"consume": func(ctx context.Context) error {
			_, err := s.ConsumeChallenge(ctx, authcore.HashSecret("a"), binding, noon)
			return err
		},
		"count": func(ctx context.Context) error {
			_, err := s.CountAttempt(ctx, "a", time.Minute, noon)
			return err
		},
		"lockout": func(ctx context.Context) error {
			_, err := s.CountLockout(ctx, "a", lockout, noon)
			return err
		},
		"attempts": func(ctx context.Context) error {
			_, err := s.Attempts(ctx, "a", noon)
			return err
		},
		"clear":  func(ctx context.Context) error { return s.ClearAttempts(ctx, "a") },
		"notify": func(ctx context.Context) error { return s.Notify(ctx, authcore.Notice{Kind: "k", Subject: "s"}) },
		"ping":   s.Ping,
	}
}

// down demands that every operation is refused in time and nothing is said of any secret.
func down(t *testing.T, s *Store, limit time.Duration, secrets ...string) {
	t.Helper()
	for name, do := range operations(s) {
		began := time.Now()
		err := do(t.Context())
		if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, which is the error of a caller's deadline", name, err)
		}
		if took := time.Since(began); took > limit {
			t.Errorf("%s took %v", name, took)
		}
		for _, secret := range secrets {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: a secret is in %q", name, err)
			}
		}
	}
}

// recovers demands that the store works again by itself.
func recovers(t *testing.T, s *Store) {
	t.Helper()
	began := time.Now()
	for {
		err := s.Ping(t.Context())
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("not back after %v: %v", time.Since(began), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func create(t *testing.T, s *Store, name string) {
	t.Helper()
	if err := s.CreateChallenge(t.Context(), challenge(name), noon); err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, s *Store, name string, want error) {
	t.Helper()
	if _, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(name), binding, noon); !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// A server hangs: connections stand, and nothing comes back. Hundreds of callers must not wait each for the deadline,
// one after the other, nor pile up.
func TestPausedServer(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, inASecond(oneServer(server)))
	create(t, s, "a")
	before := runtime.NumGoroutine()
	server.Pause()
	var callers sync.WaitGroup
	began := time.Now()
	for range 300 {
		callers.Go(func() {
			err := s.Ping(t.Context())
			if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	callers.Wait()
	if took := time.Since(began); took > patience { // one after the other would be five minutes
		t.Errorf("300 callers took %v", took)
	}
	// By now it is known, and costs next to nothing; but for one now and then, which looks whether the server is back.
	began, slow := time.Now(), 0
	for range 1000 {
		one := time.Now()
		if err := s.Ping(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if time.Since(one) > defaultTimeout/2 {
			slow++
		}
	}
	if slow > 50 {
		t.Errorf("1000 calls took %v, %d were slow", time.Since(began), slow)
	}
	// Each connection has one who reads and was broken off; nobody else may wait for anything.
	for began = time.Now(); runtime.NumGoroutine() > before+2*defaultConnections; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	down(t, s, patience)
	server.Resume()
	recovers(t, s)
}

// A call ends in time also where the breaker knows nothing yet.
func TestEachCallIsBounded(t *testing.T) {
	server := servers.Redis(t)
	for name := range operations(nil) {
		t.Run(name, func(t *testing.T) {
			// Neither opening nor the connections are bounded so: it is the call that is.
			c := oneServer(server)
			c.Timeout = patience
			s := open(t, c)
			const bound = 200 * time.Millisecond
			s.timeout = bound
			server.Pause()
			defer server.Resume()
			began := time.Now()
			err := operations(s)[name](t.Context())
			if took := time.Since(began); took < bound/2 || took > patience/2 {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, authcore.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A server that dies and comes back empty has forgotten everything, and is of use again at once.
func TestKilledAndRestartedEmpty(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, oneServer(server))
	create(t, s, "a")
	server.Kill()
	down(t, s, patience)
	server.Start()
	recovers(t, s)
	consume(t, s, "a", authcore.ErrChallengeNotFound)
	create(t, s, "b")
	consume(t, s, "b", nil)
}

// An answer that was refused because the server was down has not spent the challenge: it counts when it is sent again.
func TestUnspentWhileDown(t *testing.T) {
	server := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, oneServer(server))
	create(t, s, "a")
	for range 3 {
		if _, err := s.CountLockout(t.Context(), "a", lockout, noon); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	consume(t, s, "a", authcore.ErrUnavailable)
	down(t, s, patience)
	server.Start()
	recovers(t, s)
	consume(t, s, "a", nil)
	consume(t, s, "a", authcore.ErrChallengeNotFound)
	// Nor has it forgotten the tries from before, or counted those that were refused.
	if got, err := s.Attempts(t.Context(), "a", noon); err != nil || got.Count != 3 {
		t.Fatalf("got %v, %v", got, err)
	}
}

// Somebody fills the server with challenges. Who is signing in goes on; new ones are refused, and no try goes uncounted.
func TestFullServer(t *testing.T) {
	server := servers.Redis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	s := open(t, oneServer(server))
	create(t, s, "a")
	create(t, s, "b")
	var err error
	for i := 0; err == nil && i < 100_000; i++ {
		c := challenge(fmt.Sprint("flood ", i))
		c.Data = make([]byte, 8192)
		err = s.CreateChallenge(t.Context(), c, noon)
	}
	if !errors.Is(err, authcore.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("got %v", err)
	}
	for range 10 { // a full server is not a broken one
		if _, err := s.CountAttempt(t.Context(), "a", time.Minute, noon); !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	consume(t, s, "a", nil)
	consume(t, s, "a", authcore.ErrChallengeNotFound)
	if err := s.ClearAttempts(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		consume(t, s, fmt.Sprint("flood ", i), nil)
	}
	create(t, s, "c")
	consume(t, s, "c", nil)
	consume(t, s, "b", nil)
}

// The password is changed on the server, and connections begin anew.
func TestPasswordChanged(t *testing.T) {
	server := servers.Redis(t, "--requirepass", "first-secret")
	s := open(t, Config{URLs: []string{"redis://:first-secret@" + server.Addr}})
	create(t, s, "a")
	server.Command("config", "set", "requirepass", "second-secret")
	server.Password("second-secret")
	server.Command("client", "kill", "type", "normal")
	down(t, s, patience, "first-secret", "second-secret")
	server.Command("config", "set", "requirepass", "first-secret")
	recovers(t, s)
	consume(t, s, "a", nil)

	for _, url := range []string{"redis://:wrong-secret@" + server.Addr, "redis://" + server.Addr, "redis://nobody:wrong-secret@" + server.Addr} {
		if _, err := Open(t.Context(), Config{URLs: []string{url}}); !errors.Is(err, authcore.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

// What was a primary is a replica now and takes no changes.
func TestReadOnlyServer(t *testing.T) {
	server, other := servers.Redis(t), servers.Redis(t)
	s := open(t, oneServer(server))
	server.Command("replicaof", "127.0.0.1", fmt.Sprint(other.Port))
	for _, name := range []string{"ping", "create", "consume", "count", "lockout", "clear", "notify"} {
		if err := operations(s)[name](t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	server.Command("replicaof", "no", "one")
	recovers(t, s)
	create(t, s, "b")
	consume(t, s, "b", nil)
}

// Nothing is left behind by a store that is closed, not even one whose server is down.
func TestCloseLeavesNothing(t *testing.T) {
	server := servers.Redis(t)
	before := runtime.NumGoroutine()
	for i := range 20 {
		s, err := Open(t.Context(), oneServer(server))
		if err != nil {
			t.Fatal(err)
		}
		if i == 19 {
			server.Kill()
			down(t, s, patience)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		down(t, s, patience)
	}
	for began := time.Now(); time.Since(began) < patience; {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// No server at all: the first start begins closed.
func TestOpenWithoutServer(t *testing.T) {
	for _, c := range []Config{
		{URLs: []string{"redis://:secret@127.0.0.1:1"}},
		{URLs: []string{"redis://:secret@127.0.0.1:1"}, Cluster: true},
		{URLs: []string{"redis://:secret@127.0.0.1:1"}, Sentinel: "gate", SentinelPassword: "secret"},
		{URLs: []string{"unix://:secret@/nonexistent/redis.sock"}},
	} {
		began := time.Now()
		if _, err := Open(t.Context(), c); !errors.Is(err, authcore.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("took %v", took)
		}
	}
}

// One server of a Cluster is gone: what the others have goes on.
func TestClusterWithoutOne(t *testing.T) {
	nodes := servers.RedisCluster(t, "--cluster-require-full-coverage", "no")
	c := clusterOf(nodes)
	c.Timeout = time.Second
	s := open(t, c)
	for i := range 60 {
		create(t, s, fmt.Sprint(i))
	}
	nodes[0].Kill()
	good := 0
	began := time.Now()
	for i := range 60 {
		_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(fmt.Sprint(i)), binding, noon)
		if err == nil {
			good++
		} else if !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if good < 20 || good > 59 || time.Since(began) > patience {
		t.Errorf("%d of 60 went well, in %v", good, time.Since(began))
	}
}

// The slots of a Cluster move from one server to another while people sign in: nobody notices, and nothing is done twice.
func TestClusterMovesSlots(t *testing.T) {
	nodes := servers.RedisCluster(t)
	s := open(t, clusterOf(nodes))
	stop := make(chan struct{})
	var done sync.WaitGroup
	for worker := range 4 {
		done.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint(worker, " ", i)
				if err := s.CreateChallenge(t.Context(), challenge(name), noon); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(name), binding, noon); err != nil {
					t.Error(err)
					return
				}
				got, err := s.CountAttempt(t.Context(), fmt.Sprint(worker), time.Hour, noon)
				if err != nil || got.Count != i+1 {
					t.Errorf("got %v, %v, want %d", got, err, i+1)
					return
				}
			}
		})
	}
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.Command("cluster", "myid")
	}
	nodes[0].Command("--cluster", "reshard", nodes[0].Addr, "--cluster-from", ids[0], "--cluster-to", ids[1],
		"--cluster-slots", "600", "--cluster-yes")
	close(stop)
	done.Wait()
}

// A server that makes room by throwing away counts is no secret from its operator.
func TestWarnsOfEviction(t *testing.T) {
	if s := open(t, oneServer(servers.Redis(t))); len(s.Warnings()) > 0 {
		t.Errorf("got %q", s.Warnings())
	}
	s := open(t, oneServer(servers.Redis(t, "--maxmemory-policy", "allkeys-lru")))
	if len(s.Warnings()) != 1 || !strings.Contains(s.Warnings()[0], "allkeys-lru") {
		t.Errorf("got %q", s.Warnings())
	}
}

// A user of the server with too few rights is told at the start, not when somebody signs in.
func TestTooFewRights(t *testing.T) {
	server := servers.Redis(t)
	const url = "redis://gate:secret@"
	server.Command("acl", "setuser", "gate", "on", ">secret", "~authgate:*", "+@all", "-info")
	if _, err := Open(t.Context(), Config{URLs: []string{url + server.Addr}}); !errors.Is(err, authcore.ErrUnavailable) || !strings.Contains(err.Error(), "info") {
		t.Errorf("got %v", err)
	}
	server.Command("acl", "setuser", "gate", "reset", "on", ">secret", "~authgate:*", "-@all",
		"+set", "+get", "+getdel", "+del", "+eval", "+evalsha", "+xadd", "+xrange", "+xread", "+pexpire", "+info", "+wait")
	s, err := Open(t.Context(), Config{URLs: []string{url + server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	create(t, s, "a")
	for name, do := range operations(s) {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var l listener
	listen(t, s, &l)
	l.until(t, "connected", patience, l.isConnected)
}

// Nothing stays on the server for ever, and nothing goes before it may: five minutes after it expired, on a clock that is
// five minutes behind.
func TestEverythingHasATTL(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, oneServer(server))
	create(t, s, "a")
	for range 2 {
		for _, name := range []string{"count", "notify"} {
			if err := operations(s)[name](t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.CountLockout(t.Context(), "b", lockout, noon); err != nil {
			t.Fatal(err)
		}
	}
	for range lockout.Tries {
		if _, err := s.CountLockout(t.Context(), "c", lockout, noon); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]time.Duration{
		s.challengeKey(authcore.HashSecret("a")): 11 * time.Minute,
		s.attemptsKey("a"):                       6 * time.Minute,
		s.attemptsKey("b"):                       lockout.Forget + 5*time.Minute,
		s.attemptsKey("c"):                       lockout.Suspend + 5*time.Minute,
		s.noticesKey():                           24 * time.Hour,
	} {
		var left int64
		if _, err := fmt.Sscan(server.Command("pttl", key), &left); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(left) * time.Millisecond; got > want || got < want-10*time.Second {
			t.Errorf("%s: %v are left, want %v", key, got, want)
		}
	}
	if got := server.Command("dbsize"); got != "5" {
		t.Errorf("%s keys", got)
	}
	// What was counted may be an address and of any length, and a brace in it would decide on which server of a Cluster it is.
	if _, err := s.CountAttempt(t.Context(), "mail {alice@example.com}", time.Minute, noon); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields(server.Command("keys", "*")) {
		if !strings.HasPrefix(key, s.prefix) || strings.ContainsAny(key, "{}@") || len(key) > 60 {
			t.Errorf("key %q", key)
		}
	}
}

// One client asks for challenges without end, where no rate limit is.
func TestFloodOfOneClient(t *testing.T) {
	c := oneServer(servers.Redis(t))
	c.MaxPerClient = 10
	s := open(t, c)
	for i := range 20 {
		err := s.CreateChallenge(t.Context(), challenge(fmt.Sprint(i)), noon)
		if i < 10 && err != nil || i >= 10 && !errors.Is(err, authcore.ErrChallengeLimit) {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	other := challenge("other")
	other.Client = "192.0.2.2"
	if err := s.CreateChallenge(t.Context(), other, noon); err != nil {
		t.Fatal(err)
	}
	consume(t, s, "other", nil)
	consume(t, s, "3", nil)
}
