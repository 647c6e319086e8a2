package endtoend

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// story is a script in testdata/script: what an operator writes into a shell, beside a Caddy that runs. Its files app and
// rules are further lines of the two blocks of the Caddyfile, socket puts the admin endpoint on a unix socket. Commands
// beyond those of testscript:
//
//	caddy <args>…           runs Caddy's command line, which finds the gate as it finds any Caddy: by CADDY_ADMIN
//	code <n>                the exit code of the last caddy
//	opens <name> [<link>]   opens an account with the wallet of that name, by an invite perhaps, and stays signed in;
//	                        sets $<name> to the username and $<name>_id to the id
//	gets <name> <n> <path>  has the gate answer a request with this status, soon
//	keeps <var> <regexp>    sets a variable to what the first group found in the last output
//	sql <statement>         changes the database, as somebody who has broken into it would
//	stops, starts           the gate, as a power cut and its end
//	wide <n>                no line of the last output is longer, in characters
type story struct {
	*gate
	t      *testing.T
	people map[string]signedIn
	code   int
}

func TestStoriesOfTheCommandLine(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := &story{t: t, people: map[string]signedIn{}}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, Setup: s.begin, RequireExplicitExec: true,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"caddy": s.caddy, "code": s.wantCode, "opens": s.opens, "gets": s.gets, "keeps": keeps, "sql": s.sql,
					"stops": s.stops, "starts": s.starts, "wide": wide,
				},
			})
		})
	}
}

func (s *story) begin(env *testscript.Env) error {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(env.WorkDir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
		return string(text)
	}
	g := prepare(s.t, setup{grantless: true, global: read("app"), site: read("rules")})
	s.gate = g
	at := fmt.Sprintf("127.0.0.1:%d", g.admin)
	if read("socket") != "" {
		at = "unix/" + filepath.Join(g.dir, "admin.sock")
		g.setup.admin = at + "|0600"
	}
	g.boot()
	env.Setenv("CADDY_ADMIN", at)
	env.Setenv("CADDYFILE", g.config())
	env.Setenv("ORIGIN", g.origin)
	env.Setenv("STORE", filepath.Join(g.dir, "authgate.db"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(g.dir, "data"))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(g.dir, "config"))
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "exitcode=0")
	env.Setenv(asCaddy, "1")
	return nil
}

func (s *story) caddy(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(binary, args...)
	s.code = 0
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		s.code = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if (s.code != 0) != neg {
		ts.Fatalf("caddy %s ended with %d", strings.Join(args, " "), s.code)
	}
}

func (s *story) wantCode(ts *testscript.TestScript, _ bool, args []string) {
	if want := args[0]; strconv.Itoa(s.code) != want {
		ts.Fatalf("exit code %d, want %s", s.code, want)
	}
}

func (s *story) opens(ts *testscript.TestScript, _ bool, args []string) {
	name, key := args[0], ""
	if len(args) > 1 {
		_, key, _ = strings.Cut(args[1], "#")
	}
	body := s.come(s.t, walletOf(name), key)
	if key == "" {
		delete(body, "invite")
	}
	body["session"] = "cookie" // as a browser: what is decided about somebody holds for the next request
	var in signedIn
	a := s.post(s.t, "challenge/sign", body)
	a.into(s.t, 200, &in)
	c := a.cookie()
	if c == nil {
		ts.Fatalf("%s has no cookie", name)
	}
	in.cookie = c.Name + "=" + c.Value
	s.people[name] = in
	ts.Setenv(name, in.User.Username)
	ts.Setenv(name+"_id", in.User.ID)
}

func (s *story) gets(ts *testscript.TestScript, _ bool, args []string) {
	name, want, path := args[0], args[1], args[2]
	soon(s.t, strings.Join(args, " "), func() bool {
		return strconv.Itoa(s.get(s.t, path, s.people[name].cookieLine()).status) == want
	})
}

func keeps(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(`(?m)` + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func (s *story) sql(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.Getenv("STORE")+"?_pragma=busy_timeout(10000)")
	ts.Check(err)
	defer db.Close()
	did, err := db.ExecContext(s.t.Context(), args[0])
	ts.Check(err)
	if n, err := did.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%d rows changed, %v", n, err)
	}
}

func (s *story) stops(*testscript.TestScript, bool, []string)  { s.kill() }
func (s *story) starts(*testscript.TestScript, bool, []string) { s.boot() }

func wide(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := strconv.Atoi(args[0])
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > limit {
			ts.Fatalf("%d characters wide: %s", n, line)
		}
	}
}
