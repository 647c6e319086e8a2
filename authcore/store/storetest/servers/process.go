//go:build unix

package servers

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to start or to end on a busy machine.
const patience = 30 * time.Second

// process is one server, which a test may pause, kill and start again. Its methods are for one goroutine.
type process struct {
	name   string
	dir    string // where it works
	argv   []string
	signal string              // by which it ends well
	remove bool                // the folder, in the end
	owner  *syscall.Credential // whom it runs as; nil: as the test
	ready  func() error        // nil once it answers

	guard *exec.Cmd
	leash io.Closer
	pid   int
}

// guardian runs a server until its own standard input ends, which is when the test lets go of it or has died, in whatever
// way: so no server outlives its test. It reaps the server itself, so that the number in the file is never another's.
const guardian = `signal=$1 remove=$2; shift 2
"$@" >>log 2>&1 </dev/null &
echo $! >pid.new && mv pid.new pid
cat >/dev/null
kill -s "$signal" $!; kill -s CONT $!
wait $!
if [ "$remove" = true ]; then rm -rf "$PWD"; fi`

// start starts the server and waits until it answers.
func (p *process) start() error {
	if p.guard != nil {
		return fmt.Errorf("%s is running", p.name)
	}
	pidFile := filepath.Join(p.dir, "pid")
	if err := os.RemoveAll(pidFile); err != nil {
		return err
	}
	guard := exec.Command("/bin/sh", append([]string{"-c", guardian, "sh", p.signal, strconv.FormatBool(p.remove)}, p.argv...)...)
	guard.Dir = p.dir
	guard.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner, Setpgid: true}
	leash, err := guard.StdinPipe()
	if err != nil {
		return err
	}
	if err := guard.Start(); err != nil {
		return err
	}
	p.guard, p.leash, p.pid = guard, leash, 0
	err = within(patience, func() error {
		if p.pid == 0 {
			text, err := os.ReadFile(pidFile)
			if err != nil {
				return err
			}
			if p.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
				return err
			}
		}
		return p.ready()
	})
	if err != nil {
		p.end()
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		return fmt.Errorf("%s does not start: %w\n%s", p.name, err, log)
	}
	return nil
}

// end ends the server well, whether it is paused or not, and waits for it. One that is not running is no error.
func (p *process) end() {
	if p.guard == nil {
		return
	}
	_ = p.leash.Close()
	_ = p.guard.Wait()
	p.guard = nil
}

// kill ends the server at once, as a loss of power does.
func (p *process) kill() error {
	if p.guard == nil {
		return fmt.Errorf("%s is not running", p.name)
	}
	// What a server leaves behind, PostgreSQL's processes, notices soon and ends; before that it cannot be started again.
	left := children(p.pid)
	err := syscall.Kill(p.pid, syscall.SIGKILL)
	p.end()
	if err != nil {
		return err
	}
	return within(patience, func() error {
		for _, pid := range left {
			if state, _ := status(strconv.Itoa(pid)); state != "" && state != "Z" {
				return fmt.Errorf("%s is gone, but its process %d is not", p.name, pid)
			}
		}
		return nil
	})
}

// children are the processes that a process has started, where /proc tells.
func children(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		name := filepath.Base(filepath.Dir(file))
		if _, of := status(name); of == strconv.Itoa(parent) {
			if pid, err := strconv.Atoi(name); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// status answers the state of a process and its parent, nothing where it is gone.
func status(pid string) (state, parent string) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return "", ""
	}
	// The name before them, in brackets, may have anything in it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

// Server is one server, which a test may pause, kill and start again. Its methods are for one goroutine.
type Server struct {
	Addr string // host:port

	t testing.TB
	p *process
}

// run starts a server that ends with the test.
func run(t testing.TB, addr string, p *process) Server {
	t.Helper()
	t.Cleanup(p.end)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	return Server{Addr: addr, t: t, p: p}
}

// Start starts a server that was stopped or killed, at the same address, and waits until it answers.
func (s Server) Start() {
	s.t.Helper()
	s.must(s.p.start())
}

// Stop ends the server as its operator would. What it keeps on disk stays.
func (s Server) Stop() { s.p.end() }

// Kill ends the server at once, as a loss of power does.
func (s Server) Kill() {
	s.t.Helper()
	s.must(s.p.kill())
}

// Pause stops the server from doing anything; connections stay, and new ones are still accepted by the kernel.
func (s Server) Pause() {
	s.t.Helper()
	s.must(syscall.Kill(s.p.pid, syscall.SIGSTOP))
}

// Resume lets a paused server go on.
func (s Server) Resume() {
	s.t.Helper()
	s.must(syscall.Kill(s.p.pid, syscall.SIGCONT))
}

// PID is the process id of the server.
func (s Server) PID() int { return s.p.pid }

func (s Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// looked is the number of ports that were looked at.
var looked atomic.Uint32

// freePort answers a port of 127.0.0.1 that nobody listens on, and below those that the system gives to outgoing
// connections, so that none of these takes it before the server does.
func freePort() (int, error) {
	const least, many = 6500, 5500
	var err error
	for range 2000 {
		port := least + (os.Getpid()*37+int(looked.Add(1)))%many
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// within tries until it is done or the time is over, and answers the last error.
func within(limit time.Duration, try func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// missing skips the test, or fails it where nothing may be skipped.
func missing(t testing.TB, program, debian string) {
	t.Helper()
	if os.Getenv("AUTHGATE_FULL") == "1" {
		t.Fatalf("%s is not installed; on Debian: apt-get install %s", program, debian)
	}
	t.Skipf("%s is not installed; on Debian: apt-get install %s", program, debian)
}
