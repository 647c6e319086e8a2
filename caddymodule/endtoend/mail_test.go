package endtoend

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mailed is a setup that sends by this server.
func (s *mailServer) mailed(more string) setup {
	return setup{
		global: fmt.Sprintf(`mail {
			from "Example <auth@example.com>"
			smtp localhost:%d {
				username %s
				password {env.SMTP_PASSWORD}
			}
		}
		%s`, s.port, mailUser, more),
		env: []string{"SMTP_PASSWORD=" + mailSecret, "SSL_CERT_FILE=" + s.authority},
	}
}

const passphrase = "cobalt Window 7 meadow"

func registration(email string) map[string]any {
	return map[string]any{"email": email, "password": passphrase}
}

// confirmation waits for the mail that confirms an address, and answers its key.
func (g *gate) confirmation(t *testing.T, s *mailServer, email string) string {
	t.Helper()
	return s.wait(t, email, 1)[0].key(t, g.origin+"/auth/activate")
}

// enrol opens an account with an address and the passphrase.
func (g *gate) enrol(t *testing.T, s *mailServer, email string) (in signedIn) {
	t.Helper()
	g.post(t, "password/register", registration(email)).want(t, 202)
	g.post(t, "password/activate", map[string]any{"key": g.confirmation(t, s, email)}).into(t, 200, &in)
	return in
}

// knock signs in with a password.
func (g *gate) knock(t *testing.T, email, password string) answer {
	t.Helper()
	return g.post(t, "password/sign-in", map[string]any{"email": email, "password": password})
}

// The whole way: registration, mail, activation, sign-in, identity at the backend; a forgotten password, which ends what
// was open; a mail that tells of it.
func TestPasswordAccount(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("passkey {\n rp_name \"The Example\"\n }")
	setup.site = "methods password wallet\n" + defaultRules
	g := start(t, setup)
	const alice = "alice@example.net"

	// What a client says of the host is nobody's business, least of all that of a link in a mail.
	body, err := json.Marshal(registration("Alice@Example.NET"))
	if err != nil {
		t.Fatal(err)
	}
	g.send(t, message("POST /auth/password/register HTTP/1.1", []string{
		"Host: evil.example", "X-Forwarded-Host: evil.example", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)),
	}, string(body))).want(t, 202)
	l := s.wait(t, alice, 1)[0]
	if l.from != mailUser || l.header(t, "From") != `"Example" <auth@example.com>` || l.header(t, "To") != "<"+alice+">" ||
		!strings.Contains(l.header(t, "Subject"), "The Example") || l.header(t, "Auto-Submitted") != "auto-generated" || strings.Contains(l.raw, "evil.example") {
		t.Errorf("%+v", l)
	}
	key := l.key(t, g.origin+"/auth/activate")
	g.knock(t, alice, passphrase).wantProblem(t, 401, "invalid_credentials") // not confirmed yet
	var in signedIn
	g.post(t, "password/activate", map[string]any{"key": key}).into(t, 200, &in)
	g.post(t, "password/activate", map[string]any{"key": key}).wantProblem(t, 404, "registration_not_found")
	if in.User.Username != alice || in.User.Email != alice || !slices.Equal(in.User.Methods, []string{"password"}) {
		t.Errorf("user %+v", in.User)
	}

	g.backend.take()
	var again signedIn
	g.knock(t, "ALICE@example.net", passphrase).into(t, 200, &again)
	g.get(t, "/reports/x", again.bearer()).want(t, 200)
	at := g.backend.one(t)
	for name, want := range map[string][]string{
		"Remote-User": {alice}, "Remote-Email": {alice}, "X-Authgate-Subject": {in.User.ID}, "X-Authgate-Methods": {"password"},
		"X-Authgate-Wallet": nil, "Remote-Name": nil, "X-WEBAUTH-USER": {alice}, "Authorization": nil,
	} {
		if got := at.values(name); !slices.Equal(got, want) {
			t.Errorf("%s at the backend: %q, want %q", name, got, want)
		}
	}
	g.wantAssertion(t, at.values("X-Authgate-Assertion")[0], again.User)

	g.post(t, "password/forgot", map[string]any{"email": alice}).want(t, 202)
	reset := map[string]any{"key": s.wait(t, alice, 2)[1].key(t, g.origin+"/auth/reset"), "password": "another Good passphrase"}
	var third signedIn
	g.post(t, "password/reset", reset).into(t, 200, &third)
	g.post(t, "password/reset", reset).want(t, 404)
	g.get(t, "/reports/x", again.bearer()).want(t, 401)
	g.get(t, "/reports/x", third.bearer()).want(t, 200)
	g.knock(t, alice, passphrase).wantProblem(t, 401, "invalid_credentials")
	g.knock(t, alice, "another Good passphrase").want(t, 200)
	if text := s.wait(t, alice, 3)[2].text(t); !strings.Contains(text, "password") || linkInMail.MatchString(text) {
		t.Errorf("told of the new password: %q", text)
	}
}

// The mail server is down when somebody registers: nobody waits for it, and the mail comes once it is back.
func TestMailAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := newMailServer(t)
	g := start(t, s.mailed(""))
	g.post(t, "password/register", registration("alice@example.net")).want(t, 202)
	if !eventually(20*time.Second, func() bool { return strings.Contains(g.output.String(), `"class":"connect"`) }) {
		t.Fatal("the log does not tell of the outage")
	}
	s.start()
	if !eventually(2*time.Minute, func() bool { return len(s.to("alice@example.net")) > 0 }) {
		t.Fatal("no mail after the outage")
	}
	g.post(t, "password/activate", map[string]any{"key": g.confirmation(t, s, "alice@example.net")}).want(t, 200)
}

// A mail server that takes its time for a mail is no reason for anybody to wait: not for registrations, not for requests.
func TestSlowMailServerDelaysNobody(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	g := start(t, s.mailed(""))
	in := g.signIn(t, walletOf("alice"))
	release := s.slow()
	for i := range 4 {
		g.post(t, "password/register", registration(fmt.Sprintf("user%d@example.net", i))).want(t, 202)
		g.get(t, "/reports/x", in.bearer()).want(t, 200)
	}
	if n := len(s.letters()); n != 0 {
		t.Fatalf("%d letters while the server takes none", n)
	}
	release()
	for i := range 4 {
		s.wait(t, fmt.Sprintf("user%d@example.net", i), 1)
	}
}

// The process is killed (kill -9) after it has acknowledged registrations: one mail is on its way, others wait. Those
// that wait go as soon as it runs again. That on its way may or may not have been taken; it goes again when its lease
// is over, and is the same mail, so that readers see one.
func TestMailSurvivesKill(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	g := start(t, s.mailed(""))
	release := s.slow()
	g.post(t, "password/register", registration("flying@example.net")).want(t, 202)
	if !eventually(20*time.Second, func() bool { return s.held() == 1 }) {
		t.Fatal("the mail does not get to the server")
	}
	waiting := []string{"one@example.net", "two@example.net", "three@example.net"}
	for _, email := range waiting {
		g.post(t, "password/register", registration(email)).want(t, 202)
	}
	g.kill()
	release()
	g.boot()
	for _, email := range waiting {
		g.post(t, "password/activate", map[string]any{"key": g.confirmation(t, s, email)}).want(t, 200)
	}
	db := g.database(t)
	// As if five minutes had passed.
	if changed, err := db.Exec("UPDATE outbox SET due = 0"); err != nil {
		t.Fatal(err)
	} else if n, err := changed.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("%d mails are in the outbox, want the one that was on its way: %v", n, err)
	}
	both := s.wait(t, "flying@example.net", 2)
	if a, b := both[0].header(t, "Message-ID"), both[1].header(t, "Message-ID"); a != b || a == "" {
		t.Errorf("the second of one mail has Message-ID %s, not %s", b, a)
	}
	g.post(t, "password/activate", map[string]any{"key": both[1].key(t, g.origin+"/auth/activate")}).want(t, 200)
}

// Two processes on one outbox: each mail is sent once.
func TestTwoProcessesSendEachMailOnce(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("challenge_store sql")
	setup.store = filepath.Join(t.TempDir(), "authgate.db")
	gates := []*gate{start(t, setup), start(t, setup)}
	n := load(6, 10) // hashed one after the other, each within ten seconds on a busy machine
	address := func(i int) string { return fmt.Sprintf("user%d@example.net", i) }
	together(n, func(i int) {
		g := gates[i%2]
		text, _ := json.Marshal(registration(address(i)))
		if a, err := g.try(requestBody("POST", "/auth/password/register", string(text), "Content-Type: application/json")); err != nil || a.status != 202 {
			t.Errorf("%d %v", a.status, err)
		}
	})
	for i := range n {
		s.wait(t, address(i), 1)
	}
	for i := range n {
		// Whichever of them sends: the link leads to where somebody registered, and the key is good there.
		gates[i%2].post(t, "password/activate", map[string]any{"key": gates[i%2].confirmation(t, s, address(i))}).want(t, 200)
	}
	if got := len(s.letters()); got != n {
		t.Errorf("%d letters for %d registrations", got, n)
	}
}

// The configuration is reloaded again and again while mails wait and one is on its way: each arrives, once.
func TestReloadWhileMailsWait(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	g := start(t, s.mailed(""))
	rounds := load(3, 6) // three mails each, and one client causes twenty
	for i := range rounds {
		release := s.slow()
		for j := range 3 {
			g.post(t, "password/register", registration(fmt.Sprintf("user%d-%d@example.net", i, j))).want(t, 202)
		}
		if !eventually(20*time.Second, func() bool { return s.held() > 0 }) {
			t.Fatal("no mail gets to the server")
		}
		g.setup.site = defaultRules + fmt.Sprintf("\n\t\tallow anyone /opened/%d/*", i)
		reloaded := make(chan int)
		go func() { status, _ := g.reload(); reloaded <- status }()
		if !eventually(10*time.Second, func() bool {
			a, err := g.try(request("GET", fmt.Sprintf("/opened/%d/x", i)))
			return err == nil && a.status == 200
		}) {
			t.Fatal("the new configuration does not serve")
		}
		release()
		if status := <-reloaded; status != 200 {
			t.Fatalf("reload: %d", status)
		}
	}
	for i := range rounds {
		for j := range 3 {
			s.wait(t, fmt.Sprintf("user%d-%d@example.net", i, j), 1)
		}
	}
	if n := len(s.letters()); n != 3*rounds {
		t.Errorf("%d letters for %d registrations", n, 3*rounds)
	}
}

// Caddy is stopped while a mail is on its way: it ends when that is taken and noted, so that it does not go again.
func TestStopFinishesTheMailOnItsWay(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	g := start(t, s.mailed(""))
	release := s.slow()
	g.post(t, "password/register", registration("alice@example.net")).want(t, 202)
	if !eventually(20*time.Second, func() bool { return s.held() == 1 }) {
		t.Fatal("the mail does not get to the server")
	}
	stopping := make(chan struct{})
	go func() {
		defer close(stopping)
		if resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/stop", g.admin), "", nil); err == nil {
			resp.Body.Close()
		}
	}()
	// Not for long: a mail on its way has five seconds.
	if !eventually(10*time.Second, func() bool {
		conn, err := g.dial()
		if err == nil {
			conn.Close()
		}
		return err != nil
	}) {
		t.Fatal("Caddy does not stop")
	}
	select {
	case <-g.ended:
		t.Error("Caddy ended with a mail on its way")
	case <-time.After(500 * time.Millisecond):
	}
	release()
	<-stopping
	<-g.ended
	db := g.database(t)
	var waiting int
	if err := db.QueryRow("SELECT count(*) FROM outbox").Scan(&waiting); err != nil || waiting != 0 {
		t.Errorf("%d mails would go again: %v", waiting, err)
	}
	s.wait(t, "alice@example.net", 1)
}

// Whoever reads metrics sees the mails, and learns of no address.
func TestMailMetrics(t *testing.T) {
	t.Parallel()
	s := startMailServer(t)
	setup := s.mailed("")
	setup.top = "metrics"
	g := start(t, setup)
	g.enrol(t, s, "alice@example.net")
	for range 5 {
		g.knock(t, "alice@example.net", "not the password").want(t, 401)
	}
	s.wait(t, "alice@example.net", 2) // of the suspension
	var text string
	if !eventually(20*time.Second, func() bool {
		text = g.metrics(t)
		return strings.Contains(text, "caddy_authgate_mails_total{outcome=\"sent\"} 2\n") && strings.Contains(text, "caddy_authgate_mails_waiting 0\n")
	}) {
		t.Error("metrics do not tell of two mails sent and none waiting")
	}
	for _, want := range []string{
		`caddy_authgate_mails_written_total{kind="confirm"} 1`, `caddy_authgate_mails_written_total{kind="suspended"} 1`,
		`caddy_authgate_lockouts_total 1`, `caddy_authgate_mail_oldest_seconds 0`, `caddy_authgate_hash_queue 0`, `caddy_authgate_hashes_running 0`,
		`caddy_authgate_sign_ins_total{method="password",outcome="invalid_credentials"} 5`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, "alice") {
		t.Error("metrics name a user")
	}
}

// database is the store of the gate.
func (g *gate) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(g.dir, "authgate.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (g *gate) metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, resp)
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
