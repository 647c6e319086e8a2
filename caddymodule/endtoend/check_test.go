package endtoend

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An operator checks a Caddyfile before it is loaded. The command ends as its help says, tells the line, and leaves nothing
// behind.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	g := &gate{t: t, dir: t.TempDir()}
	file := filepath.Join(g.dir, "Caddyfile")
	const site = "http://localhost:8080 {\n\tauthgate {\n\t\torigin http://localhost:8080\n%s\t}\n\treverse_proxy 127.0.0.1:3000\n%s}\n"
	type told struct {
		Findings []struct{ Level, Code, Source, Message string }
		Errors   int
		Warnings int
	}
	for _, c := range []struct {
		name, caddyfile string
		code            int
		want            []string // level, code and line
		args            []string
	}{
		{"all is well", fmt.Sprintf(site, "", ""), 0, nil, []string{"--strict"}},
		{"a note", fmt.Sprintf(site, "\t\tallow role editor /e/*\n", ""), 0, []string{"note role_not_granted :4"}, []string{"--strict"}},
		{"a warning", fmt.Sprintf(site, "", "\theader >Cache-Control public\n"), 0, []string{"warning header_overrides :6"}, nil},
		{"a warning, strictly", fmt.Sprintf(site, "", "\theader >Cache-Control public\n"), 1, []string{"warning header_overrides :6"}, []string{"--strict"}},
		{"an error", fmt.Sprintf(site, "", "\thandle_errors {\n\t\treverse_proxy 127.0.0.1:3000\n\t}\n"), 1, []string{"error errors_proxied :7"}, nil},
		// What only loading it tells.
		{"not valid", "{\n\tauthgate {\n\t\tstore postgres {env.AUTHGATE_NOT_SET}\n\t}\n}\n" + fmt.Sprintf(site, "", ""), 1, []string{"error invalid "}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, file, c.caddyfile)
			out, errs, code := g.caddy(t, append([]string{"authgate", "check", "--config", file, "--json"}, c.args...)...)
			var did told
			if err := json.Unmarshal([]byte(out), &did); err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			var got []string
			for _, f := range did.Findings {
				got = append(got, f.Level+" "+f.Code+" "+strings.TrimPrefix(f.Source, file))
			}
			if code != c.code || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("exit code %d, want %d: %q, want %q\n%s", code, c.code, got, c.want, errs)
			}
			if strings.Contains(out+errs, `"level":"info","ts"`) && strings.Contains(errs, "http.auto_https") {
				t.Errorf("the log of a start is no answer: %s", errs)
			}
		})
	}
	// What is an error here and valid to Caddy is what the README and the last line of a report say that it is.
	write(t, file, fmt.Sprintf(site, "", "\thandle_errors {\n\t\treverse_proxy 127.0.0.1:3000\n\t}\n"))
	g.wantCaddy(t, 0, "Valid configuration", "validate", "--config", file, "--adapter", "caddyfile")
	// The rules that can never decide, and what is not understood, have their lines from the parser.
	write(t, file, fmt.Sprintf(site, "\t\tdeny /x/*\n\t\tallow anyone /x/y\n", ""))
	g.wantCaddy(t, 1, "Caddyfile:5", "authgate", "check", "--config", file)
	// For people; the Caddyfile of the folder is found, too.
	out, errs, code := g.caddy(t, "authgate", "check", "--config", write(t, file, fmt.Sprintf(site, "", "\theader X-A b\n")))
	if code != 0 || !strings.Contains(out, "note header_before ("+file+":6, site localhost)\n") || !strings.Contains(out, "\n0 errors, 0 warnings and 1 note. caddy validate and a reload know only what is invalid") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	bare := exec.Command(binary, "authgate", "check")
	bare.Dir, bare.Env = g.dir, append(os.Environ(), asCaddy+"=1", "HOME="+g.dir, "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir)
	if said, err := bare.Output(); err != nil || !strings.Contains(string(said), "note header_before (Caddyfile:6, site localhost)\n") {
		t.Errorf("%v\n%s", err, said)
	}
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if found, err := filepath.Glob(filepath.Join(g.dir, e.Name(), "*", "*.db")); err != nil || len(found) > 0 {
			t.Errorf("left behind: %v %v", found, err)
		}
	}
}
