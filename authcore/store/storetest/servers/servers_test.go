//go:build unix

package servers

import (
	"strings"
	"testing"
)

func TestPostgres(t *testing.T) {
	a, b := Postgres(t), Postgres(t)
	if a == b {
		t.Fatalf("twice the same database: %s", a)
	}
	c, err := sharedPostgres()
	if err != nil {
		t.Fatal(err)
	}
	bin := postgresPrograms(t)
	for _, url := range []string{a, b} {
		if _, err := psql(bin, url, "CREATE TABLE t (x int)"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := psql(bin, c.url("postgres"), "SHOW fsync"); err != nil || got != "on" {
		t.Fatalf("fsync is %q, %v", got, err)
	}
}

// What was committed is there after a loss of power, and a paused server goes on.
func TestOwnPostgres(t *testing.T) {
	s := OwnPostgres(t, "-c", "max_connections=20")
	url := s.Database()
	s.Query(url, "CREATE TABLE t (x int); INSERT INTO t VALUES (7)")
	s.Kill()
	s.Start()
	s.Pause()
	s.Resume()
	if got := s.Query(url, "SELECT x FROM t"); got != "7" {
		t.Fatalf("got %q", got)
	}
	s.Stop()
	s.Start()
	if got := s.Query("", "SHOW max_connections"); got != "20" {
		t.Fatalf("got %q", got)
	}
}

func TestRedis(t *testing.T) {
	s := Redis(t, "--requirepass", "secret")
	s.Command("set", "a", "1")
	s.Pause()
	s.Resume()
	if got := s.Command("get", "a"); got != "1" {
		t.Fatalf("got %q", got)
	}
	s.Kill()
	s.Start()
	if got := s.Command("get", "a"); got != "" {
		t.Fatalf("got %q after a restart", got)
	}
}

func TestRedisCluster(t *testing.T) {
	nodes := RedisCluster(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		nodes[0].Command("-c", "set", key, "1")
		if got := nodes[2].Command("-c", "get", key); got != "1" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestRedisSentinel(t *testing.T) {
	s := RedisSentinel(t)
	s.Primary.Command("set", "a", "1")
	s.Replica.wait("the replica", "1", "get", "a")
	s.Primary.Kill()
	s.Replica.wait("the failover", "role:master", "info", "replication")
	if got := s.Replica.Command("get", "a"); got != "1" {
		t.Fatalf("got %q", got)
	}
	if got := s.Command("sentinel", "get-master-addr-by-name", s.Master); !strings.HasPrefix(got, "127.0.0.1\n") {
		t.Fatalf("got %q", got)
	}
}
