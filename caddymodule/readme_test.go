package caddymodule

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readme(t *testing.T) string {
	t.Helper()
	return read(t, "../README.md")
}

// blocks answers what stands in the code blocks of this language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// Who copies a Caddyfile from the README, or runs the example, gets what it says and no warning.
func TestDocumentedCaddyfiles(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	files := append(blocks(readme(t), "caddyfile"), string(example))
	if len(files) < 4 {
		t.Fatalf("found %d Caddyfiles; has the README another form?", len(files))
	}
	for _, text := range files {
		_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		for _, w := range warnings {
			t.Errorf("%v\n%s", w, text)
		}
	}
}

// Every option that the Caddyfile knows is in the README.
func TestReadmeNamesWhatThereIs(t *testing.T) {
	text := readme(t)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "siteorigin.go" { // that one reads options of Caddy's own
			continue
		}
		for _, m := range regexp.MustCompile(`usage: "(\w+)|Option\("(\w+)`+"|Option\\(`(\\w+)").FindAllStringSubmatch(read(t, file), -1) {
			names = append(names, m[1]+m[2]+m[3])
		}
	}
	if len(names) < 40 {
		t.Fatalf("found only %q; has the source another form?", names)
	}
	for _, name := range names {
		if !regexp.MustCompile("[`\t]" + name + `\b`).MatchString(text) {
			t.Errorf("README says nothing of %s", name)
		}
	}
}

// Every metric stands in the README's table with its labels, every kind of event in the other, and nothing else does.
func TestReadmeTablesAreWhole(t *testing.T) {
	text := readme(t)
	rows := func(heading, form string) []string {
		_, section, _ := strings.Cut(text, "\n"+heading+"\n")
		section, _, _ = strings.Cut(section, "\n##")
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^\| ([^|]*) \|`).FindAllStringSubmatch(section, -1) {
			for _, name := range regexp.MustCompile("`("+form+")`").FindAllStringSubmatch(m[1], -1) {
				found = append(found, name[1])
			}
		}
		slices.Sort(found)
		return found
	}
	var metrics []string
	for name, labels := range described(t) {
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		metrics = append(metrics, name)
	}
	var events []string
	for _, m := range regexp.MustCompile(`(?m)^\tEvent\w+\s+EventKind = "(\w+)"`).FindAllStringSubmatch(read(t, "../authcore/event.go"), -1) {
		events = append(events, m[1])
	}
	if len(events) < 20 {
		t.Fatalf("found only %q; has the source another form?", events)
	}
	for heading, want := range map[string][]string{"### Metrics": metrics, "### The audit log": events} {
		form := `caddy_authgate_[\w{},]+`
		if heading == "### The audit log" {
			form = `[a-z_]+`
		}
		slices.Sort(want)
		if got := rows(heading, form); !slices.Equal(got, want) {
			t.Errorf("%s: README has %q, there is %q", heading, got, want)
		}
	}
}

// A test that the README names is there: what it is said to show is shown.
func TestReadmeNamesTestsThatThereAre(t *testing.T) {
	var all strings.Builder
	for _, root := range []string{"../authcore", "."} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, "_test.go") {
				all.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(readme(t), -1)
	if len(named) < 20 {
		t.Fatalf("README names only %d tests; has it another form?", len(named))
	}
	for _, m := range named {
		if !strings.Contains(all.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// Every command of the README is run by the suite. Who adds one here adds where it is run.
func TestReadmeCommandsAreRun(t *testing.T) {
	ranBy := map[string]string{
		"go run ./caddymodule/cmd/caddy run --config Caddyfile.example": "testdata/e2e/api.test.mjs: Caddyfile.example protects its demo backend",
		"CGO_ENABLED=0 go build -o caddy ./caddymodule/cmd/caddy":       "testdata/test.sh: build without cgo",
		"go run ./caddymodule/cmd/build":                                "caddymodule/cmd/build: testdata/test.sh: build what xcaddy.json says",
		"bash testdata/test.sh":                                         "itself",
		"xcaddy build v2.11.9 --with github.com/caddy-authgate/authgate/caddymodule --replace github.com/caddy-authgate/authgate=.": "caddymodule/cmd/build: the arguments that it gives xcaddy",
		"go test -run '^$' -bench . ./caddymodule/... ./authcore/...":                                                               "testdata/test.sh: benchmarks, once each",
		"caddy authgate user show alice@example.com":                                                                                "caddymodule/command: TestUserShow",
		"caddy authgate invite --role admin":                                                                                        "caddymodule/endtoend: TestFirstAdministrator",
		"caddy authgate invite --role editor --uses 5 --expires 72h --note \"the new team\"":                                        "caddymodule/command: TestInvite",
		"caddy authgate recover alice@example.com":                                                                                  "caddymodule/command: TestRecover",
		"caddy authgate user unlock alice@example.com":                                                                              "caddymodule/command: TestUserUnlock",
		"caddy authgate explain --user alice --method DELETE https://app.example.com/posts/7":                                       "caddymodule/command: TestExplain",
		"caddy authgate check": "caddymodule/endtoend: TestCheckCommand",
		"caddy authgate check --config /etc/caddy/Caddyfile --strict": "caddymodule/endtoend: TestCheckCommand",
		"caddy authgate check --running --json":                       "caddymodule/command: TestCheckOfWhatRuns",
		"caddy authgate status":                                       "caddymodule/command: TestStatus",
		"caddy authgate keys rotate":                                  "caddymodule/command: TestKeysRotate",
		"caddy authgate dashboard":                                    "caddymodule/command: TestDashboardAndAlertsArePrinted",
		"caddy authgate alerts":                                       "caddymodule/command: TestDashboardAndAlertsArePrinted",
		"caddy authgate backup authgate.backup":                       "caddymodule/endtoend: TestBackupAndRestore",
		"caddy authgate restore authgate.backup --config Caddyfile":   "caddymodule/endtoend: TestBackupAndRestore",
		"caddy authgate migrate --from Caddyfile --to Caddyfile.new":  "caddymodule/endtoend: TestMigrate",
	}
	const carriers = "authcore/gateway: TestTokenIsItsOwnerInEveryCarrier"
	ranBy["curl -H \"Authorization: Bearer agp_…\" https://app.example.com/reports"] = carriers
	ranBy["curl -H \"X-API-Key: agp_…\"            https://app.example.com/reports"] = carriers
	ranBy["curl -u \"anything:agp_…\"              https://app.example.com/dav/     # the password of HTTP Basic, with any name"] = carriers
	// Each of these is run as it stands, with its flags.
	const understood = "caddymodule/command: TestReadmeCommandsAreUnderstood"
	for _, c := range []string{
		"user list", "user list ali --role editor", "user list --disabled --order created --reverse --json", "user disable alice@example.com",
		"user enable alice@example.com", "user delete alice@example.com", "role grant alice@example.com editor", "role revoke alice@example.com editor",
		"session list alice@example.com", "session end alice@example.com --all",
		"token list alice@example.com", "token revoke alice@example.com --all", "audit", "audit --user alice@example.com --since 7d",
		"audit --kind sign_in_refused --client 203.0.113.7", "audit verify", "explain https://app.example.com/admin/",
		"explain --user alice --with passkey --client 10.0.0.7 /vault", "keys rotate --at-once", "invite --uses 4 --expires 7d --note \"the family\"",
	} {
		ranBy["caddy authgate "+c] = understood
	}
	commands := strings.Split(strings.TrimSpace(strings.Join(blocks(readme(t), "sh"), "")), "\n")
	if len(commands) < 5 {
		t.Fatalf("found only %q; has the README another form?", commands)
	}
	for _, c := range commands {
		if ranBy[c] == "" {
			t.Errorf("no test is known to run %q", c)
		}
	}
}
