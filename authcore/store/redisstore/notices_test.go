//go:build unix

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// listener keeps what it is told.
type listener struct {
	mu        sync.Mutex
	heard     []string
	missed    int
	connected bool
	changes   int
	stall     chan struct{} // when set, Heard waits until it is closed
}

func (l *listener) Heard(n authcore.Notice) {
	l.mu.Lock()
	l.heard = append(l.heard, string(n.Kind)+" "+n.Subject)
	stall := l.stall
	l.mu.Unlock()
	if stall != nil {
		<-stall
	}
}

func (l *listener) Missed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missed++
}

func (l *listener) Connected(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected = is
	l.changes++
}

// until waits until something holds of what was heard.
func (l *listener) until(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		ok := holds()
		l.mu.Unlock()
		if ok {
			return
		}
		if time.Since(began) > limit {
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("%s: not after %v; heard %d, missed %d, connected %v", what, limit, len(l.heard), l.missed, l.connected)
		}
	}
}

func (l *listener) isConnected() bool { return l.connected }
func (l *listener) hasMissed() bool   { return l.missed > 0 }

// listen listens until the test has ended, or the function is called.
func listen(t *testing.T, s *Store, l *listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Listen(ctx, l)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func notify(t *testing.T, s *Store, subject string) {
	t.Helper()
	if err := s.Notify(t.Context(), authcore.Notice{Kind: authcore.NoticeSessionEnded, Subject: subject}); err != nil {
		t.Fatal(err)
	}
}

// two are two instances on one server.
func two(t *testing.T, c Config) (a, b *Store) {
	t.Helper()
	c.Prefix = fmt.Sprintf("two%d:", prefixes.Add(1))
	return open(t, c), open(t, c)
}

// Somebody signs out on one instance; it holds on the other within a second, and on itself.
func TestNotices(t *testing.T) {
	t.Parallel()
	sentinel, cluster := servers.RedisSentinel(t), servers.RedisCluster(t)
	for name, c := range map[string]Config{
		"one server": oneServer(servers.Redis(t)), "Sentinel": sentinelOf(sentinel), "Cluster": clusterOf(cluster),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, c)
			notify(t, a, "before anybody listened")
			var atA, atB listener
			stopA, stopB := listen(t, a, &atA), listen(t, b, &atB)
			atA.until(t, "A", patience, atA.isConnected)
			atB.until(t, "B", patience, atB.isConnected)
			for i := range 3 {
				notify(t, a, fmt.Sprint(i))
				for _, l := range []*listener{&atA, &atB} {
					l.until(t, "heard", patience, func() bool { return len(l.heard) == i+1 && l.heard[i] == fmt.Sprint("session_ended ", i) })
				}
			}
			// In quiet times nothing is said.
			time.Sleep(2 * noticesWait)
			stopA()
			stopB()
			// Where the machine kept it from answering in time, it has connected anew.
			if atA.connected || atB.connected || atA.missed+atB.missed > 0 || len(atA.heard) != 3 {
				t.Errorf("A %+v, B %+v", &atA, &atB)
			}
		})
	}
}

// The connection on which an instance listens dies again and again, while others sign out: none is missed, and none is
// told to have been.
func TestNoticesOverKilledConnections(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	a, b := two(t, oneServer(server))
	var l listener
	listen(t, b, &l)
	l.until(t, "connected", patience, l.isConnected)
	const many = 200
	for i := range many {
		if i%20 == 0 {
			server.Command("client", "kill", "type", "normal")
		}
		for {
			err := a.Notify(t.Context(), authcore.Notice{Kind: "k", Subject: fmt.Sprint(i)})
			if err == nil {
				break
			}
			if !errors.Is(err, authcore.ErrUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	l.until(t, "all", patience, func() bool { return len(l.heard) > 0 && l.heard[len(l.heard)-1] == fmt.Sprint("k ", many-1) })
	next := 0
	for _, h := range l.heard {
		if h == fmt.Sprint("k ", next) {
			next++
		}
	}
	if next != many || l.missed > 0 || l.changes < 3 {
		t.Errorf("%d of %d in order, missed %d, %d changes", next, many, l.missed, l.changes)
	}
}

// What an instance was not told, because the server lost it, is not taken for nothing: it is said that something may be
// lost, whatever way it went.
func TestNoticesLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, server *servers.RedisServer, a *Store){
		"the server came back empty": func(_ *testing.T, server *servers.RedisServer, _ *Store) {
			server.Kill()
			server.Start()
		},
		"the server was flushed": func(_ *testing.T, server *servers.RedisServer, _ *Store) { server.Command("flushall") },
		"the stream was deleted": func(_ *testing.T, server *servers.RedisServer, a *Store) { server.Command("del", a.noticesKey()) },
		"others came back with a clock behind": func(_ *testing.T, server *servers.RedisServer, a *Store) {
			server.Command("eval", "redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '1-1', 'k', 'k', 's', 's')", "1", a.noticesKey())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Redis(t)
			a, b := two(t, oneServer(server))
			var l listener
			listen(t, b, &l)
			l.until(t, "connected", patience, l.isConnected)
			notify(t, a, "first")
			l.until(t, "first", patience, func() bool { return len(l.heard) == 1 })
			lose(t, server, a)
			l.until(t, "missed", patience, l.hasMissed)
			l.until(t, "connected again", patience, l.isConnected)
			recovers(t, a)
			notify(t, a, "second")
			l.until(t, "second", patience, func() bool { return len(l.heard) > 1 && l.heard[len(l.heard)-1] == "session_ended second" })
			time.Sleep(2 * noticesWait)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.missed > 1 {
				t.Errorf("told %d times", l.missed)
			}
		})
	}
}

// An instance hangs for so long that the server has thrown away what it had not read.
func TestNoticesTrimmed(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	a, b := two(t, oneServer(server))
	l := listener{stall: make(chan struct{})}
	listen(t, b, &l)
	l.until(t, "connected", patience, l.isConnected)
	notify(t, a, "first")
	l.until(t, "first", patience, func() bool { return len(l.heard) == 1 })
	for i := range 5 {
		notify(t, a, fmt.Sprint(i))
	}
	server.Command("xtrim", a.noticesKey(), "maxlen", "2")
	l.mu.Lock()
	close(l.stall)
	l.stall = nil
	l.mu.Unlock()
	l.until(t, "missed", patience, l.hasMissed)
}

// The stream does not grow without end.
func TestNoticesAreTrimmed(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	s := open(t, oneServer(server))
	notify(t, s, "x")
	server.Command("eval", "for i = 1, 70000 do redis.call('XADD', KEYS[1], '*', 'k', '', 's', '') end", "1", s.noticesKey())
	notify(t, s, "y")
	var length int
	if _, err := fmt.Sscan(server.Command("xlen", s.noticesKey()), &length); err != nil || length > noticesKept+200 {
		t.Errorf("%d are kept, %v", length, err)
	}
}

// A server hangs: whoever listens knows that it does not hear, and when it hears again.
func TestNoticesOfPausedServer(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	a, b := two(t, inASecond(oneServer(server)))
	var l listener
	listen(t, b, &l)
	l.until(t, "connected", patience, l.isConnected)
	server.Pause()
	l.until(t, "disconnected", patience, func() bool { return !l.connected })
	server.Resume()
	l.until(t, "connected", patience, l.isConnected)
	recovers(t, a)
	notify(t, a, "x")
	l.until(t, "heard", patience, func() bool { return len(l.heard) == 1 })
	if l.missed > 0 {
		t.Error("nothing was missed")
	}
}

// The first connection does not come about at once: what others said in the meantime is lost to this instance.
func TestNoticesOfLateServer(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	a, b := two(t, inASecond(oneServer(server)))
	server.Pause()
	var l listener
	listen(t, b, &l)
	time.Sleep(1500 * time.Millisecond)
	server.Resume()
	recovers(t, a)
	l.until(t, "connected", patience, l.isConnected)
	l.until(t, "missed", patience, l.hasMissed)
}

// A failover may lose what the primary said last.
func TestNoticesOverFailover(t *testing.T) {
	t.Parallel()
	set := servers.RedisSentinel(t)
	a, b := two(t, sentinelOf(set))
	waitForReplica(t, a)
	var l listener
	listen(t, b, &l)
	l.until(t, "connected", patience, l.isConnected)
	set.Primary.Kill()
	failOver(t, a)
	notify(t, a, "x")
	l.until(t, "missed or heard", patience, func() bool { return l.connected && l.hasMissed() })
	notify(t, a, "y")
	l.until(t, "heard", patience, func() bool { return len(l.heard) > 0 && l.heard[len(l.heard)-1] == "session_ended y" })
}
