package caddymodule

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
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

// Every option that the Caddyfile knows is in the README, and every metric.
func TestReadmeNamesWhatThereIs(t *testing.T) {
	text := readme(t)
	var names []string
	for _, file := range []string{"appcaddyfile.go", "passkey.go", "password.go", "mail.go", "postgres.go", "redis.go", "handlercaddyfile.go", "brand.go", "rule.go", "metrics.go", "mailmetrics.go", "opsmetrics.go", "contractmetrics.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`usage: "(\w+)|Option\("(\w+)|Name: "(caddy_authgate_\w+)"`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1]+m[2]+m[3])
		}
	}
	if len(names) < 20 {
		t.Fatalf("found only %q; has the source another form?", names)
	}
	for _, name := range names {
		if !regexp.MustCompile("[`\t]" + name + `\b`).MatchString(text) {
			t.Errorf("README says nothing of %s", name)
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
		"caddy authgate status":                                      "caddymodule/command: TestStatus",
		"caddy authgate keys rotate":                                 "caddymodule/command: TestKeysRotate",
		"caddy authgate dashboard":                                   "caddymodule/command: TestDashboardAndAlertsArePrinted",
		"caddy authgate alerts":                                      "caddymodule/command: TestDashboardAndAlertsArePrinted",
		"caddy authgate backup authgate.backup":                      "caddymodule/endtoend: TestBackupAndRestore",
		"caddy authgate restore authgate.backup --config Caddyfile":  "caddymodule/endtoend: TestBackupAndRestore",
		"caddy authgate migrate --from Caddyfile --to Caddyfile.new": "caddymodule/endtoend: TestMigrate",
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
