package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// setup is what a test changes of the Caddyfile.
type setup struct {
	tls    bool   // https://localhost with Caddy's own authority, HTTP/1.1, 2 and 3; else http
	top    string // further global options
	global string // further lines of the app's block; they take the place of the defaults of the same name
	site   string // lines of the handler's block; default: defaultRules
	routes string // directives after authgate; default: reverse_proxy to the backend
	store  string // path of the database; default: in the gate's folder
	// accounts is what follows "store"; default: sqlite with that path
	accounts string
	origin   string // default: http or https with the gate's own port
	admin    string // address of the admin endpoint; default: the gate's admin port
	// grantless leaves out the line that grants the wallet "admin" the role of that name.
	grantless bool
	env       []string
}

const defaultRules = `
		allow anyone /public/*
		allow role admin /admin/* /desk/*
		deny /internal/*
		header X-WEBAUTH-USER {username}`

// gate is a running Caddy before a recording backend.
type gate struct {
	t       *testing.T
	setup   setup
	dir     string
	port    int
	admin   int
	origin  string
	host    string // authority, as in Host
	backend *backend
	output  *output

	process *exec.Cmd
	ended   chan struct{}
}

// start runs Caddy with the configuration and waits until it answers; it ends with the test.
func start(t *testing.T, s setup) *gate {
	t.Helper()
	g := prepare(t, s)
	g.boot()
	return g
}

// prepare is start without starting.
func prepare(t *testing.T, s setup) *gate {
	t.Helper()
	g := &gate{t: t, setup: s, dir: t.TempDir(), port: freePort(t), admin: freePort(t), output: new(output)}
	g.host = fmt.Sprintf("localhost:%d", g.port)
	g.origin = "http://" + g.host
	if s.tls {
		g.origin = "https://" + g.host
	}
	if s.origin != "" {
		g.origin = s.origin
	}
	g.backend = startBackend(t)
	t.Cleanup(func() {
		g.kill()
		for _, report := range races(g.output.String()) {
			t.Errorf("the race detector of Caddy's process reports a data race%s", report[:min(len(report), 6000)])
		}
		if t.Failed() {
			t.Logf("Caddy wrote:\n%s", tail(g.output.String(), 12000))
		}
	})
	return g
}

// accessed are the two functions of a report whose accesses race.
var accessed = regexp.MustCompile(`(?m)^(?:Previous )?(?i:read|write) at .*\n\s+(\S+)`)

// excused are places of Caddy that are at odds with themselves: hijackedConn counts the bytes of a websocket without a lock,
// which shows when one is cut; and the TLS app is still being started when the first handshake tells an event of it.
var excused = []string{"caddyhttp.(*hijackedConn)", "caddytls.(*TLS)"}

// races answers the reports of data races, but for those between two excused places.
func races(output string) []string {
	var reports []string
	for _, report := range strings.Split(output, "DATA RACE")[1:] {
		own := false
		for _, access := range accessed.FindAllStringSubmatch(report, 2) {
			own = own || !slices.ContainsFunc(excused, func(place string) bool { return strings.Contains(access[1], place) })
		}
		if own || !accessed.MatchString(report) {
			reports = append(reports, report)
		}
	}
	return reports
}

// boot starts the process on the gate's folder and ports, for the first time or again, and waits until it answers; where
// nothing can keep its store from opening, until it has, which takes seconds on a machine that has much else to do.
func (g *gate) boot() {
	g.t.Helper()
	g.launch()
	g.await()
	if g.setup.accounts != "" || strings.Contains(g.setup.global, "panicking") {
		return
	}
	if !eventually(time.Minute, func() bool {
		a, err := g.try(request("GET", "/auth/health/ready"))
		return err == nil && a.status == http.StatusOK
	}) {
		g.t.Fatal("its store does not open")
	}
}

// launch starts the process.
func (g *gate) launch() {
	g.t.Helper()
	file := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(g.caddyfile()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.process = exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	// What the race detector finds is read from its reports; see races.
	g.process.Env = append(os.Environ(), asCaddy+"=1", "GORACE=exitcode=0", "HOME="+g.dir, "XDG_DATA_HOME="+filepath.Join(g.dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(g.dir, "config"))
	g.process.Env = append(g.process.Env, g.setup.env...)
	g.process.Stdout, g.process.Stderr = g.output, g.output
	if err := g.process.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	g.ended = ended
	go func(p *exec.Cmd) { _ = p.Wait(); close(ended) }(g.process)
}

// await waits until the process answers.
func (g *gate) await() {
	g.t.Helper()
	ended := g.ended
	if !eventually(30*time.Second, func() bool {
		select {
		case <-ended:
			g.t.Fatal("Caddy ended at its start")
		default:
		}
		answer, err := g.try(request("GET", "/auth/health/live"))
		return err == nil && answer.status == http.StatusOK
	}) {
		g.t.Fatal("Caddy does not answer")
	}
}

// kill ends the process as a power cut would: kill -9.
func (g *gate) kill() {
	if g.process == nil || g.process.Process == nil {
		return
	}
	_ = g.process.Process.Kill()
	<-g.ended
}

// reload posts the gate's present configuration to the admin endpoint and answers what came back.
func (g *gate) reload() (status int, body string) {
	g.t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/load", g.admin), "text/caddyfile", strings.NewReader(g.caddyfile()))
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (g *gate) caddyfile() string {
	s := g.setup
	if s.site == "" {
		s.site = defaultRules
	}
	if s.routes == "" {
		s.routes = "reverse_proxy " + g.backend.address
	}
	if s.store == "" {
		s.store = filepath.Join(g.dir, "authgate.db")
	}
	if s.accounts == "" {
		s.accounts = "sqlite " + s.store
	}
	if s.admin == "" {
		s.admin = fmt.Sprintf("127.0.0.1:%d", g.admin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tpersist_config off\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n", s.admin)
	fmt.Fprint(&b, "\tgrace_period 1s\n\tlog {\n\t\tlevel DEBUG\n\t}\n")
	if s.tls {
		fmt.Fprint(&b, "\tauto_https disable_redirects\n")
	} else {
		fmt.Fprint(&b, "\tauto_https off\n")
	}
	fmt.Fprintf(&b, "%s\n\tauthgate {\n\t\tstore %s\n", s.top, s.accounts)
	if !s.grantless {
		fmt.Fprintf(&b, "\t\tgrant admin %s\n", walletOf("admin").address)
	}
	for name, line := range map[string]string{"registration": "registration open", "rate_limit": "rate_limit off"} {
		if !strings.Contains(s.global, name) {
			fmt.Fprintf(&b, "\t\t%s\n", line)
		}
	}
	fmt.Fprintf(&b, "\t\t%s\n\t}\n}\n", s.global)
	if s.tls {
		fmt.Fprintf(&b, "https://%s {\n\ttls internal\n", g.host)
	} else {
		// Any Host: what a client says there must not matter.
		fmt.Fprintf(&b, "http://:%d {\n", g.port)
	}
	fmt.Fprintf(&b, "\tlog\n\tauthgate {\n\t\torigin %s\n\t\t%s\n\t}\n\t%s\n}\n", g.origin, s.site, s.routes)
	return b.String()
}

// output collects what the process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// eventually polls until ok answers true, for limit at the most.
func eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func TestRaces(t *testing.T) {
	const ours = `
==================
WARNING: DATA RACE
Write at 0x00c000a1 by goroutine 7:
  github.com/caddy-authgate/authgate/authcore/gateway.(*State).end()
      state.go:1 +0x1

Previous read at 0x00c000a1 by goroutine 8:
  github.com/caddyserver/caddy/v2/modules/caddyhttp.(*hijackedConn).Write()
      responsewriter.go:303 +0x1
==================
`
	theirs := strings.ReplaceAll(ours, "github.com/caddy-authgate/authgate/authcore/gateway.(*State).end()",
		"github.com/caddyserver/caddy/v2/modules/caddyhttp.(*hijackedConn).ReadFrom()")
	starting := strings.ReplaceAll(strings.ReplaceAll(theirs, "caddyhttp.(*hijackedConn).ReadFrom", "caddytls.(*TLS).Start"),
		"caddyhttp.(*hijackedConn).Write", "caddytls.(*TLS).CaddyModule")
	for output, want := range map[string]int{"": 0, ours: 1, theirs: 0, starting: 0, starting + ours: 1, theirs + ours: 1, "WARNING: DATA RACE\nof another form": 1} {
		if got := len(races(output)); got != want {
			t.Errorf("%d reports, want %d, of %s", got, want, output)
		}
	}
}
