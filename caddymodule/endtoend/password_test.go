package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Guesses go to two processes at once, so that each of them would count its own. With one challenge store for both, an
// account has as many tries as with one process: after five failures the right password is refused by both.
func TestParallelGuessesThroughTwoProcesses(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("challenge_store sql")
	setup.store, setup.top = filepath.Join(t.TempDir(), "authgate.db"), "metrics"
	gates := []*gate{start(t, setup), start(t, setup)}
	const alice = "alice@example.net"
	in := gates[0].enrol(t, s, alice)
	tries := func(n int, password func(i int) string) (statuses []int) {
		statuses = make([]int, n)
		together(n, func(i int) {
			// The same account, however it is spelled.
			email := []string{alice, "Alice@example.net", "ALICE@EXAMPLE.NET"}[i%3]
			text, _ := json.Marshal(map[string]string{"email": email, "password": password(i)})
			a, err := gates[i%2].try(requestBody("POST", "/auth/password/sign-in", string(text), "Content-Type: application/json"))
			if err != nil {
				t.Error(err)
			}
			statuses[i] = a.status
		})
		slices.Sort(statuses)
		return statuses
	}
	wrong := func(i int) string { return fmt.Sprint("not the password ", i) }
	if got := tries(4, wrong); got[0] != 401 || got[3] != 401 {
		t.Fatalf("four guesses: %v", got)
	}
	gates[1].knock(t, alice, passphrase).want(t, 200) // which forgets them
	// Where the machine is slow, the last in the queue are told to come back; five at least were judged.
	if got := tries(load(12, 40), wrong); got[0] != 401 || got[4] != 401 || slices.ContainsFunc(got, func(s int) bool { return s != 401 && s != 503 }) {
		t.Fatalf("guesses: %v", got)
	}
	if got := tries(4, func(int) string { return passphrase }); got[0] != 401 || got[3] != 401 {
		t.Errorf("the right password during the suspension: %v", got)
	}
	// One suspension, told once, whatever number of processes.
	s.wait(t, alice, 2)
	lockouts := 0
	for _, g := range gates {
		lockouts += strings.Count(g.metrics(t), "caddy_authgate_lockouts_total 1\n")
	}
	if lockouts != 1 {
		t.Errorf("%d suspensions, want 1", lockouts)
	}
	// What was open stays open.
	gates[0].get(t, "/reports/x", in.bearer()).want(t, 200)
}

// fail2ban reads one line for each refused sign-in, with the address of the client; nobody reads a password, a key or the
// password of the mail server, wherever they look: not in the log at debug level with access logs, and not at the admin
// endpoint. People type passwords into the field for the address, too.
func TestPasswordsAreInNoLog(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("")
	setup.top = "servers {\n trusted_proxies static 127.0.0.1\n }"
	g := start(t, setup)
	const alice = "alice@example.net"
	g.enrol(t, s, alice)
	secrets := map[string]string{
		"password": passphrase, "password of the mail server": mailSecret, "guess": "a guess Of the password",
		"password in the field of the address": "cobalt@window.example", "new password": "another Good passphrase",
	}
	secrets["key of the registration"] = g.confirmation(t, s, alice)
	g.post(t, "password/sign-in", map[string]any{"email": alice, "password": secrets["guess"]}, "X-Forwarded-For: 192.0.2.77").
		wantProblem(t, 401, "invalid_credentials")
	g.knock(t, secrets["password in the field of the address"], secrets["guess"]).want(t, 401)
	g.knock(t, alice, passphrase).want(t, 200)
	g.post(t, "password/activate", map[string]any{"key": secrets["key of the registration"]}).want(t, 404)
	g.post(t, "password/forgot", map[string]any{"email": alice}).want(t, 202)
	secrets["key of the reset"] = s.wait(t, alice, 2)[1].key(t, g.origin+"/auth/reset")
	g.post(t, "password/reset", map[string]any{"key": secrets["key of the reset"], "password": "short"}).wantProblem(t, 400, "weak_password")
	g.post(t, "password/reset", map[string]any{"key": secrets["key of the reset"], "password": secrets["new password"]}).want(t, 200)
	s.wait(t, alice, 3)

	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/config/", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	config := readAll(t, resp)
	if !strings.Contains(config, "{env.SMTP_PASSWORD}") {
		t.Errorf("the configuration is not there: %s", config)
	}
	g.kill()
	written := g.output.String()
	refused := 0
	for line := range strings.Lines(written) {
		if strings.Contains(line, `"sign-in refused"`) && strings.Contains(line, `"client":"192.0.2.77"`) {
			refused++
			for _, part := range []string{`"level":"warn"`, `"code":"invalid_credentials"`, `"method":"password"`} {
				if !strings.Contains(line, part) {
					t.Errorf("the line for fail2ban lacks %s: %s", part, line)
				}
			}
			if strings.Contains(line, "alice") {
				t.Errorf("the line for fail2ban tells what was typed: %s", line)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d lines for one refused sign-in", refused)
	}
	for name, secret := range secrets {
		if i := strings.Index(written, secret); i >= 0 {
			t.Errorf("%s is in the log: %s", name, written[max(0, i-300):min(len(written), i+50)])
		}
		if strings.Contains(config, secret) {
			t.Errorf("%s is in the configuration", name)
		}
	}
}

// caddy runs a command of the Caddy under test and answers what it wrote.
func (g *gate) caddy(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	c := exec.Command(binary, args...)
	c.Env = append(append(os.Environ(), asCaddy+"=1", "HOME="+g.dir, "XDG_DATA_HOME="+filepath.Join(g.dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(g.dir, "config")), g.setup.env...)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// An operator looks at a suspended account and lifts the suspension.
func TestOperatorLiftsASuspension(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("grant editor alice@example.net")
	g := start(t, setup)
	const alice = "alice@example.net"
	in := g.enrol(t, s, alice)
	admin := fmt.Sprintf("127.0.0.1:%d", g.admin)
	run := func(code int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, got := g.caddy(t, append([]string{"authgate", "--address", admin}, args...)...)
		if got != code {
			t.Fatalf("%v: exit code %d, want %d: %s%s", args, got, code, out, errs)
		}
		return out, errs
	}
	lines := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("lacks %q:\n%s", w, out)
			}
		}
	}
	out, errs := run(0, "user", "show", "Alice@example.net")
	lines(out, in.User.ID, "e-mail", alice, "editor", "signs in with", "password", "active")
	if errs != "" || strings.Contains(out, "suspended") {
		t.Errorf("%s%s", out, errs)
	}
	for range 5 {
		g.knock(t, alice, "not the password").want(t, 401)
	}
	g.knock(t, alice, passphrase).want(t, 401)
	out, _ = run(0, "user", "show", in.User.ID)
	lines(out, "suspended until")
	out, _ = run(0, "--json", "user", "show", alice)
	var u struct {
		ID             string
		Roles          []string
		Methods        []struct{ Kind string }
		SuspendedUntil string `json:"suspended_until"`
	}
	if err := json.Unmarshal([]byte(out), &u); err != nil || u.ID != in.User.ID || !slices.Equal(u.Roles, []string{"editor"}) ||
		len(u.Methods) != 1 || u.Methods[0].Kind != "password" || u.SuspendedUntil == "" {
		t.Errorf("%v %s", err, out)
	}
	out, _ = run(0, "user", "unlock", alice)
	lines(out, alice+" may sign in with the password again")
	g.knock(t, alice, passphrase).want(t, 200)
	out, _ = run(0, "user", "unlock", alice)
	lines(out, "was not suspended")

	// The address is found in the configuration too, as by Caddy's own commands.
	out, _, code := g.caddy(t, "authgate", "user", "show", alice, "--config", filepath.Join(g.dir, "Caddyfile"))
	if code != 0 || !strings.Contains(out, in.User.ID) {
		t.Errorf("by --config: %d %s", code, out)
	}
	wallet := g.signIn(t, walletOf("bob"))
	out, _ = run(0, "user", "show", strings.ToLower(walletOf("bob").address))
	lines(out, wallet.User.ID, "wallet ("+walletOf("bob").address+")")

	_, errs = run(2, "user", "show", "nobody@example.net")
	lines(errs, "no account", "nobody@example.net")
	_, errs = run(2, "user", "unlock", "nobody")
	lines(errs, "no account")
	_, errs = run(1, "user", "paint", "alice")
	lines(errs, "unknown command")
	if strings.Contains(g.output.String(), "nobody@example.net") {
		t.Error("what an operator asked for is in the log")
	}

	g.kill()
	_, errs = run(3, "user", "show", alice)
	lines(errs, "cannot reach Caddy", admin, "--address")
	if strings.Contains(errs, `{"level"`) {
		t.Errorf("words for people, not log entries: %s", errs)
	}
}

// The admin endpoint is on a socket, where only its owner gets to it.
func TestOperatorOverASocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "authgate") // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "admin.sock")
	g := start(t, setup{admin: "unix/" + socket + "|0600"})
	in := g.signIn(t, walletOf("alice"))
	for _, args := range [][]string{
		{"--address", "unix/" + socket},
		{"--config", filepath.Join(g.dir, "Caddyfile")},
	} {
		out, errs, code := g.caddy(t, append([]string{"authgate", "user", "show", in.User.ID}, args...)...)
		if code != 0 || !strings.Contains(out, walletOf("alice").address) {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
}

// caddy validate leaves nothing behind, asks no mail server, and finds what is wrong.
func TestValidateWithMail(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	g := &gate{t: t, setup: s.mailed(""), dir: t.TempDir(), port: freePort(t), admin: freePort(t), backend: startBackend(t)}
	g.origin = fmt.Sprintf("http://localhost:%d", g.port)
	file := filepath.Join(g.dir, "Caddyfile")
	validate := func() (string, int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(g.caddyfile()), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errs, code := g.caddy(t, "validate", "--config", file, "--adapter", "caddyfile")
		return errs, code
	}
	if errs, code := validate(); code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	if s.sessions != 0 {
		t.Error("the mail server was asked")
	}
	if _, err := os.Stat(filepath.Join(g.dir, "authgate.db")); !os.IsNotExist(err) {
		t.Errorf("a store was made: %v", err)
	}
	good := g.setup
	for want, bad := range map[string]setup{
		"smtp password":                   {global: good.global, env: []string{"SMTP_PASSWORD="}}, // an empty secret is none
		"{file./no/such/secret} is empty": {global: strings.Replace(good.global, "{env.SMTP_PASSWORD}", "{file./no/such/secret}", 1)},
		"no-such-folder":                  {global: strings.Replace(good.global, "smtp ", "templates "+g.dir+"/no-such-folder\n\t\t\tsmtp ", 1), env: good.env},
	} {
		g.setup = bad
		if errs, code := validate(); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("want %q: %d %s", want, code, errs)
		}
	}
}
