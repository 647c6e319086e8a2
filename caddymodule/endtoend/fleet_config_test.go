//go:build unix

package endtoend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	storeservers "github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// written writes the configuration of a gate that does not run.
func (g *gate) written(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(g.caddyfile()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// F1: what cannot work is refused, before anything is served, with the line it is written in; `caddy validate` says the
// same as a start.
func TestWrongConfigurationIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	secret := "hunter2hunter2"
	for name, c := range map[string]struct {
		setup setup
		wants string // in the error
		line  string // the text of the line that it names; none: no line is known
	}{
		"unknown option":      {setup{global: "no_such_option 1"}, "no_such_option", "no_such_option 1"},
		"unknown store":       {setup{accounts: "no_such_store"}, "no_such_store", "store no_such_store"},
		"no DSN":              {setup{accounts: "postgres"}, "postgres", "store postgres"},
		"Redis without URL":   {setup{global: "challenge_store redis"}, "no URL", "challenge_store redis"},
		"unknown scheme":      {setup{global: "challenge_store redis http://localhost"}, "scheme", "challenge_store redis http://localhost"},
		"unknown rule":        {setup{site: "allow nobody /x"}, "nobody", "allow nobody /x"},
		"unknown role option": {setup{site: "allow role /x"}, "role", "allow role /x"},
		"empty secret":        {setup{accounts: "postgres postgres://u:{env.NO_SUCH_SECRET}@localhost/x"}, "NO_SUCH_SECRET", ""},
		"not a DSN":           {setup{accounts: "postgres \"postgres://u:" + secret + "@local host:x/y\""}, "dsn", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := prepare(t, c.setup)
			file := g.written(t)
			if !strings.Contains(g.caddyfile(), c.line+"\n") {
				t.Fatalf("no line %q in the configuration", c.line)
			}
			for _, args := range [][]string{{"validate", "--config", file, "--adapter", "caddyfile"}, {"run", "--config", file, "--adapter", "caddyfile"}} {
				_, errs, code := g.caddy(t, args...)
				if code == 0 || !strings.Contains(errs, c.wants) {
					t.Errorf("%s: exit code %d, want %q in: %s", args[0], code, c.wants, tail(errs, 600))
				}
				if strings.Contains(errs, secret) {
					t.Errorf("%s tells a secret", args[0])
				}
				for i, line := range strings.Split(g.caddyfile(), "\n") {
					if c.line != "" && strings.TrimSpace(line) == c.line && !strings.Contains(errs, fmt.Sprintf("Caddyfile:%d", i+1)) {
						t.Errorf("%s: line %d is not named in: %s", args[0], i+1, tail(errs, 600))
					}
				}
			}
		})
	}
}

// Several instances cannot work where each has its own challenges: that is said at the start, with the reason.
func TestConfigurationForOneInstanceIsToldPlainly(t *testing.T) {
	t.Parallel()
	database := storeservers.Postgres(t)
	redis := storeservers.Redis(t)
	for name, c := range map[string]struct {
		setup setup
		says  string
	}{
		"PostgreSQL, challenges in memory": {setup{accounts: "postgres " + database}, "a sign-in that begins on one cannot end on another"},
		"SQLite, challenges in Redis":      {setup{global: "challenge_store redis " + redis.URL()}, "the accounts are in a file of this one"},
		"PostgreSQL, challenges there":     {setup{accounts: "postgres " + database, global: "challenge_store sql"}, ""},
		"PostgreSQL, challenges in Redis":  {setup{accounts: "postgres " + database, global: "challenge_store redis " + redis.URL()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, c.setup)
			g.wantReady(t)
			told := strings.Contains(g.output.String(), "a sign-in that begins on one cannot end on another") ||
				strings.Contains(g.output.String(), "the accounts are in a file of this one")
			if told != (c.says != "") || !strings.Contains(g.output.String(), c.says) {
				t.Errorf("says of several instances: %v, want %q", told, c.says)
			}
			g.signIn(t, walletOf("alice"))
		})
	}
}

// F2: a start while a store cannot be reached begins closed, whoever asks, and opens by itself within five seconds after
// the store is back.
func TestStartWithoutServers(t *testing.T) {
	t.Parallel()
	for name, choose := range map[string]func(f *fleet) []*link{
		"Redis":      func(f *fleet) []*link { return f.short },
		"PostgreSQL": func(f *fleet) []*link { return f.accounts },
		"both":       func(f *fleet) []*link { return append(f.short, f.accounts...) },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, plan{gates: 1, idle: true})
			g, links := f.gates[0], choose(f)
			each(links, (*link).cut)()
			g.boot()
			g.wantRefused(t, "ready", g.get(t, "/auth/health/ready"))
			g.wantRefused(t, "challenge/create", g.post(t, "challenge/create", map[string]any{}))
			if name != "Redis" {
				for _, lines := range [][]string{nil, {"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, {"Authorization: Bearer x"}, {"Cookie: authgate=x.y"}} {
					g.wantRefused(t, "a protected route", g.get(t, "/reports/x", lines...))
				}
				g.wantRefused(t, "keys", g.get(t, "/auth/jwks.json"))
			}
			g.backend.none(t)
			g.get(t, "/public/x", "Remote-User: "+forged, "X-Kept: 1").want(t, 200)
			g.wantClean(t, "Remote-User", g.backend.one(t))
			each(links, (*link).heal)()
			g.wantReady(t)
			s := g.signIn(t, walletOf("alice"))
			g.get(t, "/reports/x", s.bearer()).want(t, 200)
			g.signOut(t, s.bearer())
		})
	}
}

// F3: a reload that names a store which cannot be reached, or comes while that in use cannot, is refused; the old
// configuration goes on with its stores.
func TestReloadWithoutServers(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{setup: setup{global: longChallenges}})
	g, other := f.gates[0], f.gates[1]
	s := g.signIn(t, walletOf("alice"))
	open, _ := g.challenge(t, walletOf("bob"))
	good := g.setup
	for name, c := range map[string]struct {
		setup      setup
		begin, end func()
	}{
		"another PostgreSQL": {setup: setup{accounts: "postgres postgres://u:p@127.0.0.1:1/x", global: good.global}},
		"another Redis":      {setup: setup{accounts: good.accounts, global: longChallenges + "\nchallenge_store redis redis://127.0.0.1:1"}},
		"Redis is away":      {setup: good, begin: f.short[0].cut, end: f.short[0].heal},
		"PostgreSQL is away": {setup: good, begin: f.accounts[0].cut, end: f.accounts[0].heal},
	} {
		if c.begin != nil {
			c.begin()
		}
		g.setup = c.setup
		g.setup.origin = good.origin
		g.setup.site = defaultRules + "\n\t\tallow anyone /new/*"
		status, body := g.reload()
		if status == 200 {
			t.Errorf("%s: the reload was taken", name)
		}
		if strings.Contains(body, "u:p@") {
			t.Errorf("%s: the answer tells a password: %s", name, body)
		}
		g.retry(t, request("GET", "/reports/x", s.bearer())).want(t, 200)
		g.get(t, "/new/x").want(t, 401)
		if c.end != nil {
			c.end()
		}
		g.setup = good
		g.wantReady(t)
	}
	other.finish(t, open, walletOf("bob"))
	out := other.signIn(t, walletOf("carol"))
	g.get(t, "/reports/x", out.bearer()).want(t, 200)
	other.signOut(t, out.bearer())
	g.wantOut(t, out.bearer())
	g.setup.site = defaultRules + "\n\t\tallow anyone /new/*"
	if status, body := g.reload(); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	g.retry(t, request("GET", "/new/x")).want(t, 200)
}

// F18: the database was brought up to date by a newer release. As long as that says that this one can work with it, it
// does, beside the newer one; else it begins closed, touches nothing and says why.
func TestDatabaseOfANewerRelease(t *testing.T) {
	t.Parallel()
	f := startFleet(t, plan{gates: 1, short: "sql"})
	g := f.gates[0]
	s := g.signIn(t, walletOf("alice"))
	psql(t, f.database, "INSERT INTO migrations (version_id, is_applied) VALUES (9000, true)")
	g.kill()
	g.boot()
	g.wantReady(t)
	g.get(t, "/reports/x", s.bearer()).want(t, 200)
	g.refresh(t, s.RefreshToken)

	psql(t, f.database, "INSERT INTO compatibility (usable_from) VALUES (9000)")
	g.kill()
	g.boot()
	if !eventually(patience(5*time.Second), func() bool { return strings.Contains(g.output.String(), "newer release") }) {
		t.Error("the log does not say why it is closed")
	}
	g.wantRefused(t, "ready", g.get(t, "/auth/health/ready"))
	g.wantRefused(t, "challenge/create", g.post(t, "challenge/create", map[string]any{}))
	g.wantRefused(t, "a protected route", g.get(t, "/reports/x", s.bearer()))
	psql(t, f.database, "DELETE FROM compatibility WHERE usable_from = 9000")
	if !eventually(patience(10*time.Second), func() bool { return g.get(t, "/auth/health/ready").status == 200 }) {
		t.Error("stays closed")
	}
}

// F30: a store that cannot prove who it is gets nothing: no password, no question, and there is no way back to plain text.
func TestStoresMustProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	authority, certificate := selfSigned(t, "localhost", time.Now().Add(time.Hour))
	_, foreign := selfSigned(t, "localhost", time.Now().Add(time.Hour))
	otherName, named := selfSigned(t, "elsewhere.example", time.Now().Add(time.Hour))
	expiredAuthority, expired := selfSigned(t, "localhost", time.Now().Add(-time.Minute))
	redis := storeservers.Redis(t)
	dsn := storeservers.Postgres(t)
	address := dsn[strings.IndexByte(dsn, '@')+1 : strings.LastIndexByte(dsn, '/')]
	for name, c := range map[string]struct {
		ca   string
		with *tls.Certificate // nil: plain text
		good bool
	}{
		"good":            {authority, &certificate, true},
		"wrong authority": {authority, &foreign, false},
		"another name":    {otherName, &named, false},
		"expired":         {expiredAuthority, &expired, false},
		"no TLS":          {authority, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := startTLS(t, redis.Addr, c.with, false), startTLS(t, address, c.with, true)
			for store, s := range map[string]setup{
				"Redis":      {accounts: "postgres " + dsn, global: fmt.Sprintf("challenge_store redis rediss://localhost:%s {\n ca %s\n }", r.port, c.ca)},
				"PostgreSQL": {accounts: "postgres \"" + strings.Replace(strings.Replace(dsn, address, "localhost:"+p.port, 1), "sslmode=disable", "sslmode=verify-full&sslrootcert="+c.ca, 1) + "\"", global: "challenge_store sql"},
			} {
				g := start(t, s)
				if c.good {
					g.wantReady(t)
					g.signIn(t, walletOf("alice"))
				} else {
					g.wantRefused(t, store, g.post(t, "challenge/create", map[string]any{"address": walletOf("alice").address}))
					g.wantRefused(t, store+" ready", g.get(t, "/auth/health/ready"))
				}
				g.kill()
			}
			if !c.good && (r.heard() != "" || p.heard() != "") {
				t.Errorf("was told %q and %q", r.heard(), p.heard())
			}
		})
	}
}

// tlsFront takes TLS connections for a server that has none, and keeps what it was told.
type tlsFront struct {
	port string
	told chan string
}

func (f *tlsFront) heard() string {
	select {
	case text := <-f.told:
		return text
	default:
		return ""
	}
}

// startTLS takes connections with the certificate, or plain ones that it answers nothing. Of PostgreSQL it knows how TLS is
// asked for.
func startTLS(t *testing.T, target string, with *tls.Certificate, postgres bool) *tlsFront {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	f := &tlsFront{port, make(chan string, 1)}
	serve := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if postgres {
			if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil { // SSLRequest
				return
			}
			says := "S"
			if with == nil {
				says = "N"
			}
			if _, err := io.WriteString(conn, says); err != nil {
				return
			}
		}
		hello := make([]byte, 1)
		if with == nil {
			// Only the hello of TLS may come, which begins with 22.
			if n, _ := conn.Read(hello); n > 0 && hello[0] != 22 {
				f.told <- "plain text"
			}
			return
		}
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*with}})
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		n, err := secure.Read(hello)
		if n > 0 {
			select {
			case f.told <- "something inside TLS":
			default:
			}
		}
		if err != nil {
			return
		}
		if _, err := server.Write(hello); err != nil {
			return
		}
		go func() { defer conn.Close(); _, _ = io.Copy(secure, server) }()
		_, _ = io.Copy(server, secure)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return f
}

// selfSigned answers a certificate and the file of who vouches for it, itself.
func selfSigned(t *testing.T, name string, until time.Time) (file string, c tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// F22: the backend is away. That is Caddy's to tell, and nobody is signed out by it.
func TestBackendAway(t *testing.T) {
	t.Parallel()
	g := start(t, setup{routes: "reverse_proxy 127.0.0.1:1"})
	s := g.signIn(t, walletOf("alice"))
	g.get(t, "/reports/x", s.bearer()).want(t, http.StatusBadGateway)
	g.get(t, "/reports/x").want(t, 401)
	g.get(t, "/auth/session", s.bearer()).want(t, 200)
	g.refresh(t, s.RefreshToken)
}
