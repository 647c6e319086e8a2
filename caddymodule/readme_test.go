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

// ran is where a command of the README is run.
type ran struct {
	file string // a folder of Go tests, or a file of other ones
	test string // its name, or what a line of it begins with
	// says is what must stand in it; none: the words and the options of the command
	says []string
}

// source answers what stands in the test; empty: there is none such.
func (r ran) source(t *testing.T) string {
	t.Helper()
	files := []string{r.file}
	begin, end := "\nfunc "+r.test+"(", "\n}\n"
	if strings.Contains(filepath.Base(r.file), ".") {
		begin, end = "\n"+r.test, "\n"
		if strings.HasSuffix(r.file, ".mjs") {
			begin, end = "\ntest('"+r.test+"'", "\n});"
		}
	} else if files, _ = filepath.Glob(filepath.Join(r.file, "*_test.go")); len(files) == 0 {
		return ""
	}
	for _, file := range files {
		if _, rest, found := strings.Cut(read(t, file), begin); found {
			source, _, _ := strings.Cut(rest, end)
			return source
		}
	}
	return ""
}

// words are those of a command of authgate's that are its own, other than what it is about.
func words(command string) (own []string) {
	for i, word := range strings.Fields(strings.TrimPrefix(command, "caddy authgate ")) {
		if strings.HasPrefix(word, "--") || i < 2 && regexp.MustCompile(`^[a-z]+$`).MatchString(word) {
			own = append(own, word)
		}
	}
	return own
}

// Every command of the README is run by the suite, in a test that is there and has its words. Who adds one here adds where it
// is run.
func TestReadmeCommandsAreRun(t *testing.T) {
	const script = "../testdata/test.sh"
	carriers := ran{"../authcore/gateway", "TestTokenIsItsOwnerInEveryCarrier", []string{"range carriers"}}
	ranBy := map[string]ran{
		"go run ./caddymodule/cmd/caddy run --config Caddyfile.example": {"../testdata/e2e/api.test.mjs", "Caddyfile.example protects its demo backend", []string{"start({ example: true })"}},
		"CGO_ENABLED=0 go build -o caddy ./caddymodule/cmd/caddy":       {script, "step 'build without cgo'", []string{"CGO_ENABLED=0 go build -o", "./caddymodule/cmd/caddy"}},
		"go run ./caddymodule/cmd/build":                                {script, "step 'build what xcaddy.json says'", []string{"go run ./caddymodule/cmd/build"}},
		"bash testdata/test.sh":                                         {script, "# All that must hold", []string{"bash testdata/test.sh"}},
		"xcaddy build v2.11.9 --with github.com/caddy-authgate/authgate/caddymodule --replace github.com/caddy-authgate/authgate=.": {
			"cmd/build", "TestXcaddyJSONAgreesWithGoMod", []string{`"xcaddy build "`, ` --with `, ` --replace `},
		},
		"go test -run '^$' -bench . ./caddymodule/... ./authcore/...": {script, "	AUTHGATE_BENCH_ROUNDS", []string{"go test -run '^$' -bench .", "./caddymodule/... ./authcore/..."}},

		"curl -H \"Authorization: Bearer agp_…\" https://app.example.com/reports":                                              carriers,
		"curl -H \"X-API-Key: agp_…\"            https://app.example.com/reports":                                              carriers,
		"curl -u \"anything:agp_…\"              https://app.example.com/dav/     # the password of HTTP Basic, with any name": carriers,

		"caddy authgate user show alice@example.com":                  {file: "command", test: "TestUserShow"},
		"caddy authgate user unlock alice@example.com":                {file: "command", test: "TestUserUnlock"},
		"caddy authgate recover alice@example.com":                    {file: "command", test: "TestRecover"},
		"caddy authgate status":                                       {file: "command", test: "TestStatus"},
		"caddy authgate invite --role admin":                          {file: "endtoend", test: "TestFirstAdministrator"},
		"caddy authgate check":                                        {file: "endtoend", test: "TestCheckCommand", says: []string{`exec.Command(binary, "authgate", "check")`}},
		"caddy authgate check --config /etc/caddy/Caddyfile --strict": {file: "endtoend", test: "TestCheckCommand"},
		"caddy authgate check --running --json":                       {file: "command", test: "TestCheckOfWhatRuns"},
		"caddy authgate dashboard":                                    {file: "command", test: "TestDashboardAndAlertsArePrinted"},
		"caddy authgate alerts":                                       {file: "command", test: "TestDashboardAndAlertsArePrinted"},
		"caddy authgate backup authgate.backup":                       {file: "endtoend", test: "TestBackupAndRestore"},
		"caddy authgate restore authgate.backup --config Caddyfile":   {file: "endtoend", test: "TestBackupAndRestore"},
		"caddy authgate migrate --from Caddyfile --to Caddyfile.new":  {file: "endtoend", test: "TestMigrateToPostgresAndBack"},
	}
	// All others of authgate's but these are run as they stand, by a test that reads them here.
	readHere := ran{file: "command", test: "TestReadmeCommandsAreUnderstood"}
	apart := regexp.MustCompile(`case (("\w+"(, )?)+): // they read files`).FindStringSubmatch(readHere.source(t))
	if apart == nil || !strings.Contains(apart[1], `"check"`) {
		t.Fatalf("%s leaves out %q; has it another form?", readHere.test, apart)
	}
	commands := strings.Split(strings.TrimSpace(strings.Join(blocks(readme(t), "sh"), "")), "\n")
	if len(commands) < 40 {
		t.Fatalf("found only %q; has the README another form?", commands)
	}
	for _, c := range commands {
		by, known := ranBy[c]
		if !known {
			line, ours := strings.CutPrefix(c, "caddy authgate ")
			if name, _, _ := strings.Cut(line, " "); !ours || strings.Contains(apart[1], `"`+name+`"`) {
				t.Errorf("no test is known to run %q", c)
			}
			continue
		}
		source := by.source(t)
		if source == "" {
			t.Errorf("%q: %s has no %s", c, by.file, by.test)
			continue
		}
		if by.says == nil {
			for _, word := range words(c) {
				if !regexp.MustCompile(`(^|[^\w-])` + word + `([^\w-]|$)`).MatchString(source) {
					t.Errorf("%q: %s does not have %s", c, by.test, word)
				}
			}
		}
		for _, words := range by.says {
			if !strings.Contains(source, words) {
				t.Errorf("%q: %s does not have %s", c, by.test, words)
			}
		}
	}
	for c := range ranBy {
		if !slices.Contains(commands, c) {
			t.Errorf("README has no %q", c)
		}
	}
}

// Who words mails anew is told of all that there are.
func TestReadmeNamesMailTemplates(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "`<kind>.html` for any of")
	list, _, found := strings.Cut(rest, "; what several share")
	if !found {
		t.Fatal("README names no templates; has it another form?")
	}
	var named, kinds []string
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(list, -1) {
		named = append(named, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\tMail\w+ +MailKind += "(\w+)"`).FindAllStringSubmatch(read(t, "../authcore/mail.go"), -1) {
		if m[1] != "decoy" { // nobody gets one
			kinds = append(kinds, m[1])
		}
	}
	slices.Sort(named)
	slices.Sort(kinds)
	if len(kinds) < 10 || !slices.Equal(named, kinds) {
		t.Errorf("README names %q, there are %q", named, kinds)
	}
}
