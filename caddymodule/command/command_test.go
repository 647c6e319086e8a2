package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// told runs a command against an admin endpoint and answers what it wrote to standard output and to standard error.
func told(t *testing.T, address string, args ...string) (out, errs string, err error) {
	t.Helper()
	return toldBy(new(endpoint), address, args...)
}

func toldBy(to *endpoint, address string, args ...string) (out, errs string, err error) {
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	authgate := &cobra.Command{Use: "authgate"}
	to.addFlags(authgate)
	members(authgate, to, nil)
	root.AddCommand(authgate)
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"authgate", "--address", address}, args...))
	err = root.Execute()
	return stdout.String(), stderr.String(), err
}

// code is the exit code that Caddy ends with. It keeps the type that carries it to itself, so its text has to do.
func code(err error) int {
	if err == nil {
		return 0
	}
	code := 1
	_, _ = fmt.Sscanf(err.Error(), "exiting with status %d", &code)
	return code
}

// admin is an endpoint that gives one answer and keeps what it was asked.
type admin struct {
	status int
	body   string
	path   string
	asked  string
	origin string
}

func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	a.path, a.asked, a.origin = r.Method+" "+r.RequestURI, string(b), r.Header.Get("Origin")
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}

const alice = `{"id":"u1","username":"alice","name":"Alice","email":"alice@example.com","roles":["admin","editor"],
"methods":[{"kind":"password","created":"2026-01-02T03:04:05Z"},{"kind":"passkey","name":"YubiKey","created":"2026-01-02T03:04:05Z"}],
"disabled":false,"suspended_until":"2026-02-03T04:05:06Z","created":"2026-01-02T03:04:05Z"}`

func TestUserShow(t *testing.T) {
	t.Setenv("TZ", "UTC")
	a := &admin{status: 200, body: alice}
	server := httptest.NewServer(a)
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	out, errs, err := told(t, address, "user", "show", "alice@example.com")
	if err != nil || errs != "" {
		t.Fatal(err, errs)
	}
	// Names of accounts are in bodies: the endpoint writes method and URI into the log.
	if a.path != "POST /authgate/user/show" || a.asked != `{"user":"alice@example.com"}` || a.origin != server.URL {
		t.Errorf("asked %s %s from %s", a.path, a.asked, a.origin)
	}
	for _, line := range []string{
		"id               u1\n", "username         alice\n", "e-mail           alice@example.com\n", "roles            admin, editor\n",
		"signs in with    password, passkey (YubiKey)\n", "state            active\n", "suspended until  2026-02-03 04:05:06",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("lacks %q:\n%s", line, out)
		}
	}

	out, _, err = told(t, address, "--json", "user", "show", "alice")
	var u User
	if err != nil || json.Unmarshal([]byte(out), &u) != nil || u.ID != "u1" || len(u.Methods) != 2 || u.SuspendedUntil.IsZero() {
		t.Errorf("%v %s", err, out)
	}
}

func TestUserUnlock(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for name, c := range map[string]struct{ body, want string }{
		"suspended":     {`{"user":` + alice + `,"suspended_until":"2026-02-03T04:05:06Z"}`, "alice may sign in with the password again; it was suspended until 2026-02-03"},
		"not suspended": {`{"user":` + alice + `}`, "alice was not suspended"},
	} {
		a := &admin{status: 200, body: c.body}
		server := httptest.NewServer(a)
		defer server.Close()
		out, _, err := told(t, strings.TrimPrefix(server.URL, "http://"), "user", "unlock", "alice")
		if err != nil || !strings.Contains(out, c.want) || a.path != "POST /authgate/user/unlock" {
			t.Errorf("%s: %v %s %s", name, err, out, a.path)
		}
	}
}

// Whoever signs up chooses a name with an escape sequence that clears the operator's screen, moves the cursor up and
// writes "roles admin", or turns the direction of writing around.
func TestNamesCannotSteerTheTerminal(t *testing.T) {
	evil := "\x1b[2J\x1b[1;1Hroles admin\u009b1A\u202egnp.exe\r\nstate active"
	body, err := json.Marshal(User{ID: "u1", Username: evil, Name: evil, Email: evil, Roles: []string{evil}, Methods: []Method{{Kind: "passkey", Name: evil}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&admin{status: 200, body: string(body)})
	defer server.Close()
	out, _, err := told(t, strings.TrimPrefix(server.URL, "http://"), "user", "show", "u1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out, "\x1b\u009b\u202e\r") || strings.Count(out, "\n") != 7 {
		t.Errorf("%q", out)
	}
}

func TestExitCodes(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		name   string
		status int // of the answer; 0: nobody is there
		body   string
		args   string
		code   int
		says   string
	}{
		{"no such user", 404, `{"error":"gateway: operator: user not found"}`, "user show bob", 2, `no account has the id, username, confirmed e-mail address or wallet "bob"`},
		{"another Caddy", 404, "404 page not found\n", "user show bob", 1, "built without Authgate"},
		{"a store is down", 503, `{"error":"the store is down"}`, "user unlock bob", 1, "the store is down"},
		{"no reason", 500, "", "user show bob", 1, "500"},
		{"not understood", 200, "<html>", "user show bob", 1, "is not understood"},
		{"not reachable", 0, "", "user show bob", 3, "cannot reach Caddy at its admin endpoint"},
		{"unknown command", 0, "", "user paint bob", 1, `unknown command "paint"`},
		{"no user named", 0, "", "user show", 1, "accepts 1 arg"},
		{"two users named", 0, "", "user show a b", 1, "accepts 1 arg"},
		{"help", 0, "", "user", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := closed.Addr().String()
			if c.status != 0 {
				server := httptest.NewServer(&admin{status: c.status, body: c.body})
				defer server.Close()
				address = strings.TrimPrefix(server.URL, "http://")
			}
			out, errs, err := told(t, address, strings.Fields(c.args)...)
			if code(err) != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("code %d, want %d: %v\n%s", code(err), c.code, err, errs)
			}
			if c.code != 0 && out != "" {
				t.Errorf("standard output is for answers: %s", out)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&admin{status: 200, body: alice})
	server.Listener = listener
	server.Start()
	defer server.Close()
	for _, address := range []string{"unix/" + path, "unix/" + path + "|0600"} {
		if out, errs, err := told(t, address, "user", "show", "alice"); err != nil || !strings.Contains(out, "alice@example.com") {
			t.Errorf("%s: %v %s", address, err, errs)
		}
	}
	_, errs, err := told(t, "unix/"+path+".gone", "user", "show", "alice")
	if code(err) != 3 || !strings.Contains(errs, "no such file") {
		t.Errorf("%v %s", err, errs)
	}
	for _, address := range []string{"localhost:2019-2021", "fd/3", "tcp/:x"} {
		if _, errs, err := told(t, address, "user", "show", "alice"); code(err) != 1 || !strings.Contains(errs, "no address of an admin endpoint") {
			t.Errorf("%s: %v %s", address, err, errs)
		}
	}
}
