//go:build unix

package servers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis server of one test.
type RedisServer struct {
	Server
	Port int
	args []string // of redis-cli, to be let in
}

// Redis starts a Redis server that keeps nothing on disk. Further arguments are those of redis-server, "--maxmemory",
// "3mb" say; {dir} in them is the folder of the server and {port} its port.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return redis(t, "redis-server", nil, slices.Concat(memoryOnly, args))
}

// redis starts a server: program is redis-server, or what is given before its arguments makes it a Sentinel.
func redis(t testing.TB, name string, first, args []string) *RedisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server", "redis-server")
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &RedisServer{Port: port}
	argv := append([]string{program}, first...)
	argv = append(argv, "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}", "--daemonize", "no")
	argv = append(argv, args...)
	for i := range argv {
		argv[i] = strings.NewReplacer("{dir}", dir, "{port}", strconv.Itoa(port)).Replace(argv[i])
	}
	if i := slices.Index(argv, "--requirepass"); i >= 0 {
		s.Password(argv[i+1])
	}
	addr := fmt.Sprint("127.0.0.1:", port)
	greet := !slices.Contains(args, "--tls-port")
	s.Server = run(t, addr, &process{
		name: name, dir: dir, argv: argv, signal: "TERM",
		ready: func() error { return greeted(addr, greet) },
	})
	return s
}

// memoryOnly are the arguments of a server that keeps nothing on disk, and gives a replica at once what it has.
var memoryOnly = []string{"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"}

// greeted is nil where a server answers at addr, whatever it says beside that it is still loading.
func greeted(addr string, greet bool) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil || !greet {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(answer, "-LOADING") {
		err = fmt.Errorf("answered %q", answer)
	}
	return err
}

// URL is where clients find the server.
func (s *RedisServer) URL() string { return "redis://" + s.Addr }

// Dir is where the server keeps everything.
func (s *RedisServer) Dir() string { return s.p.dir }

// Password is what Command shows from now on.
func (s *RedisServer) Password(password string) {
	s.args = []string{"--no-auth-warning", "-a", password}
}

// Command answers what redis-cli prints for a command.
func (s *RedisServer) Command(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...)
	s.must(err)
	return out
}

func (s *RedisServer) command(args ...string) (string, error) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		return "", err
	}
	all := slices.Concat([]string{"-p", strconv.Itoa(s.Port)}, s.args, args)
	out, err := exec.Command(cli, all...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("redis-cli: %w\n%s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// RedisCluster starts a Cluster of three servers, which share all slots and have no replicas.
func RedisCluster(t testing.TB, args ...string) []*RedisServer {
	t.Helper()
	return redisCluster(t, 0, args)
}

// RedisClusterWithReplicas starts a Cluster of three servers and a replica of each, in no order.
func RedisClusterWithReplicas(t testing.TB, args ...string) []*RedisServer {
	t.Helper()
	return redisCluster(t, 1, args)
}

func redisCluster(t testing.TB, replicas int, args []string) []*RedisServer {
	t.Helper()
	nodes := make([]*RedisServer, 3*(1+replicas))
	create := []string{"--cluster", "create"}
	for i := range nodes {
		bus, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = redis(t, "redis-server of a Cluster", nil, slices.Concat(memoryOnly, []string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "1500",
			"--cluster-replica-validity-factor", "0",
		}, args))
		create = append(create, nodes[i].Addr)
	}
	nodes[0].Command(append(create, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")...)
	for _, n := range nodes {
		n.wait("the Cluster", "cluster_state:ok", "cluster", "info")
		n.wait("the Cluster", fmt.Sprint("cluster_known_nodes:", len(nodes)), "cluster", "info")
	}
	for _, n := range nodes {
		if role, _, _ := strings.Cut(n.Command("role"), "\n"); replicas > 0 && role == "master" {
			n.wait("replication", "state=online", "info", "replication")
		}
	}
	return nodes
}

// Sentinel is a Redis server with a replica, and a Sentinel that makes the replica the primary when that is gone for a
// second.
type Sentinel struct {
	*RedisServer        // the Sentinel
	Master       string // the name by which the Sentinel knows the two
	Primary      *RedisServer
	Replica      *RedisServer
}

// RedisSentinel starts a Redis server, its replica and a Sentinel. Further arguments are those of the two servers.
func RedisSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{Master: "gate", Primary: redis(t, "redis-server (primary)", nil, slices.Concat(memoryOnly, args))}
	s.Replica = redis(t, "redis-server (replica)", nil, slices.Concat(memoryOnly, []string{
		"--replicaof", fmt.Sprint("127.0.0.1 ", s.Primary.Port),
	}, args))
	s.Primary.wait("replication", "state=online", "info", "replication")
	s.RedisServer = redis(t, "redis-sentinel", []string{sentinelConfig(t, s)}, []string{"--sentinel"})
	s.wait("the Sentinel", "slaves=1", "info", "sentinel")
	return s
}

// sentinelConfig writes the file that a Sentinel reads, and writes to.
func sentinelConfig(t testing.TB, s *Sentinel) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 1\nsentinel down-after-milliseconds %[1]s 1000\n"+
		"sentinel failover-timeout %[1]s 4000\n", s.Master, s.Primary.Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// wait waits until what a command answers has a part.
func (s *RedisServer) wait(what, part string, command ...string) {
	s.t.Helper()
	err := within(patience, func() error {
		out, err := s.command(command...)
		if err == nil && !strings.Contains(out, part) {
			err = fmt.Errorf("%s: %q is missing in\n%s", what, part, out)
		}
		return err
	})
	s.must(err)
}
