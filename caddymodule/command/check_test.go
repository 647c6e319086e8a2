package command

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/caddymodule/check"
)

// running configurations: without a gate, with one for which all is well, and with a site that has none.
const (
	gateless = `{"apps":{"http":{"servers":{"a":{"listen":[":443"],"routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:3000"}]}]}]}}}}}`
	gated    = `{"apps":{"http":{"servers":{"a":{"listen":[":443"],"routes":[{"handle":[{"handler":"authgate"},{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:3000"}]}]}]}}}}}`
	oneOpen  = `{"apps":{"http":{"servers":{"a":{"listen":[":443"],"routes":[{"match":[{"host":["a.example.com"]}],"handle":[{"handler":"authgate"},{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:3000"}]}],"terminal":true},
{"match":[{"host":["b\u001b[2J.example.com"]}],"handle":[{"handler":"file_server","root":"/srv"}]}]}}}}}`
)

func TestCheckOfWhatRuns(t *testing.T) {
	for _, c := range []struct {
		name, config string
		strict       bool
		code         int
		want         []string // level and code
	}{
		{"all is well", gated, true, 0, nil},
		{"no gate", gateless, false, 1, []string{"error no_gate"}},
		{"a warning", oneOpen, false, 0, []string{"warning site_ungated"}},
		{"a warning, strictly", oneOpen, true, 1, []string{"warning site_ungated"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &admin{status: 200, body: c.config}
			server := httptest.NewServer(a)
			defer server.Close()
			args := []string{"check", "--running"}
			if c.strict {
				args = append(args, "--strict")
			}
			out, errs, err := told(t, strings.TrimPrefix(server.URL, "http://"), append(args, "--json")...)
			if code(err) != c.code || (c.code == 0) != (errs == "") || a.path != "GET /config/" {
				t.Errorf("exit code %d (%v) of %s: %s", code(err), err, a.path, errs)
			}
			var did Checked
			if err := json.Unmarshal([]byte(out), &did); err != nil || did.Findings == nil {
				t.Fatalf("%v: %s", err, out)
			}
			var got []string
			for _, f := range did.Findings {
				got = append(got, string(f.Level)+" "+f.Code)
			}
			if !slices.Equal(got, c.want) || did.Errors != check.Count(did.Findings, check.Error) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCheckForPeople(t *testing.T) {
	a := &admin{status: 200, body: oneOpen}
	server := httptest.NewServer(a)
	defer server.Close()
	out, errs, err := told(t, strings.TrimPrefix(server.URL, "http://"), "check", "--running", "--strict")
	want := `warning site_ungated ("apps/http/servers/a/routes/1/handle/0, site b\x1b[2J.example.com")
  the site has no authgate: anybody gets file_server (root /srv).
  > if that is not meant, write authgate into it

0 errors, 1 warning and 0 notes. caddy validate and a reload know only what is invalid; the rest is looked for here alone.
`
	if out != want || errs != "Error: the configuration has 0 errors, 1 warning and 0 notes\n" || code(err) != 1 {
		t.Errorf("%d %s\ngot\n%s\nwant\n%s", code(err), errs, out, want)
	}
	a.body = gated
	if out, _, err := told(t, strings.TrimPrefix(server.URL, "http://"), "check", "--running"); out != "Nothing found: what is served asks authgate. caddy validate and a reload know only what is invalid; the rest is looked for here alone.\n" || err != nil {
		t.Errorf("%v %s", err, out)
	}
}

func TestCheckOfNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for want, args := range map[string][]string{
		"--running":           {"check"},
		"no such file":        {"check", "--config", "none.json"},
		"cannot reach Caddy ": {"check", "--running"},
	} {
		_, errs, err := told(t, "127.0.0.1:1", args...)
		wantCode := 1
		if want == "cannot reach Caddy " {
			wantCode = exitUnreachable
		}
		if code(err) != wantCode || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code(err), errs)
		}
	}
}
