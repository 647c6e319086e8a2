//go:build unix

package servers

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Postgres answers the URL of a new, empty database. It is on a server that all tests of the process share and that ends
// with the process: a test that pauses or stops its server takes OwnPostgres.
func Postgres(t testing.TB) string {
	t.Helper()
	bin := postgresPrograms(t)
	c, err := sharedPostgres()
	if err != nil {
		t.Fatal(err)
	}
	url, err := c.database(bin)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// PostgresServer is a PostgreSQL server of one test.
type PostgresServer struct {
	Server
	bin     string
	cluster *postgresCluster
}

// OwnPostgres starts a server that nobody else uses. Further arguments are those of postgres, "-c", "max_connections=5"
// say; {dir} in them is the folder of the server, which is the owner's of the server too.
func OwnPostgres(t testing.TB, args ...string) *PostgresServer {
	t.Helper()
	bin := postgresPrograms(t)
	c, err := newPostgresCluster(bin, args)
	if err != nil {
		t.Fatal(err)
	}
	c.remove = false // it may start again
	t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	return &PostgresServer{run(t, c.addr, c.process), bin, c}
}

// Database answers the URL of a new, empty database.
func (s *PostgresServer) Database() string {
	s.t.Helper()
	url, err := s.cluster.database(s.bin)
	s.must(err)
	return url
}

// Query answers what psql prints for a statement in the database at url, or in the server's own where url is empty.
func (s *PostgresServer) Query(url, statement string) string {
	s.t.Helper()
	if url == "" {
		url = s.cluster.url("postgres")
	}
	out, err := psql(s.bin, url, statement)
	s.must(err)
	return out
}

// Dir is where the server keeps everything.
func (s *PostgresServer) Dir() string { return s.p.dir }

var sharedPostgres = sync.OnceValues(func() (*postgresCluster, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	c, err := newPostgresCluster(bin, nil)
	if err != nil {
		return nil, err
	}
	return c, c.start()
})

// postgresPrograms answers the folder of initdb, postgres and psql.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	bin, err := postgresBin()
	if err != nil {
		missing(t, "PostgreSQL", "postgresql")
	}
	return bin
}

// postgresBin looks for the newest version where Debian puts the programs, which are not in the path, then in the path.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	initdb, err := exec.LookPath("initdb")
	return filepath.Dir(initdb), err
}

type postgresCluster struct {
	*process
	addr, password string
	databases      atomic.Int64
}

// newPostgresCluster makes the files of a server. PostgreSQL refuses to run as root, so root lends it to somebody who has
// no rights.
func newPostgresCluster(bin string, args []string) (*postgresCluster, error) {
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &postgresCluster{addr: fmt.Sprint("127.0.0.1:", port), password: rand.Text()}
	c.process = &process{name: "postgres", dir: dir, signal: "INT", remove: true}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(c.password+"\n"), 0o600); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if c.owner, err = unprivileged(); err != nil {
			return nil, err
		}
		for _, path := range []string{dir, filepath.Join(dir, "password")} {
			if err := os.Chown(path, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
				return nil, err
			}
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres",
		"--auth=scram-sha-256", "--pwfile="+filepath.Join(dir, "password"), "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c.argv = []string{
		filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + dir, "-c", "fsync=on",
		"-c", "max_connections=200", "-c", "shared_buffers=64MB",
	}
	for _, arg := range args {
		c.argv = append(c.argv, strings.ReplaceAll(arg, "{dir}", dir))
	}
	c.ready = func() error {
		_, err := psql(bin, c.url("postgres"), "SELECT 1")
		return err
	}
	return c, nil
}

// unprivileged is the user whom root lends servers to.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (c *postgresCluster) url(database string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", c.password, c.addr, database)
}

func (c *postgresCluster) database(bin string) (string, error) {
	name := fmt.Sprint("test", c.databases.Add(1))
	_, err := psql(bin, c.url("postgres"), "CREATE DATABASE "+name)
	return c.url(name), err
}

func psql(bin, url, statement string) (string, error) {
	out, err := exec.Command(filepath.Join(bin, "psql"), "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w\n%s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
