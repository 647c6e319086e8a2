package command

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// administered runs a command against an endpoint that gives one answer, and tells what that was asked.
func administered(t *testing.T, body string, args ...string) (out, errs string, asked *admin, err error) {
	t.Helper()
	t.Setenv("TZ", "UTC")
	asked = &admin{status: 200, body: body}
	server := httptest.NewServer(asked)
	defer server.Close()
	out, errs, err = told(t, strings.TrimPrefix(server.URL, "http://"), args...)
	return out, errs, asked, err
}

// Whoever asks for help sees how it is done; and nothing secret can stand in arguments, which everybody on the machine
// reads and shells remember.
func TestEveryCommandHasAnExampleAndNoSecretFlag(t *testing.T) {
	root := &cobra.Command{Use: "caddy"}
	authgate := &cobra.Command{Use: "authgate"}
	root.AddCommand(authgate)
	to := new(endpoint)
	to.addFlags(authgate)
	members(authgate, to, nil)
	seen := 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, member := range c.Commands() {
			look(member)
		}
		if c.Short == "" && c != authgate {
			t.Errorf("%s does not say what it does", c.CommandPath())
		}
		if !c.HasSubCommands() || c.Name() == "audit" {
			seen++
			if !strings.Contains(c.Example, c.CommandPath()) {
				t.Errorf("%s has no example", c.CommandPath())
			}
		}
		for _, word := range []string{"password", "secret", "token", "key", "dsn"} {
			if c.Flag(word) != nil {
				t.Errorf("%s takes a %s in its arguments", c.CommandPath(), word)
			}
		}
		for line := range strings.Lines(c.Long) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 84 {
				t.Errorf("%s: help is %d characters wide: %s", c.CommandPath(), n, line)
			}
		}
	}
	look(authgate)
	if seen < 20 {
		t.Errorf("%d commands", seen)
	}
}

func TestSessionEnd(t *testing.T) {
	for args, want := range map[string]string{
		"alice":       "",
		"alice s1":    `{"user":"alice","session":"s1"}`,
		"alice --all": `{"user":"alice"}`,
		// Whoever writes both means one of them.
		"alice s1 --all": "",
	} {
		out, errs, asked, err := administered(t, `{"user":`+alice+`,"ended":1}`, append([]string{"session", "end"}, strings.Fields(args)...)...)
		if asked.asked != want {
			t.Errorf("%s: asked %s", args, asked.asked)
		}
		if want == "" {
			if code(err) != 1 || !strings.Contains(errs, "or --all") || out != "" {
				t.Errorf("%s: %v %s", args, err, errs)
			}
			continue
		}
		if err != nil || out != "One session of alice has ended.\n" {
			t.Errorf("%s: %v %s", args, err, out)
		}
	}
}

// What browsers say of themselves is as long as two lines.
func TestSessionListFitsTheScreen(t *testing.T) {
	const browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	list := `{"user":{"username":"alice"},"sessions":[{"id":"nZ9Rg4jgeGhgGYXbzlq1Mw","last_seen":"2026-01-02T03:04:05Z","user_agent":"` + browser + `"}]}`
	out, _, _, err := administered(t, list, "session", "list", "alice")
	if want := "nZ9Rg4jgeGhgGYXbzlq1Mw  2026-01-02 03:04:05 UTC  Mozilla/5.0 (X11; Linux x86_64) AppleWe…\n"; err != nil || !strings.HasSuffix(out, want) {
		t.Errorf("%v %q", err, out)
	}
	if out, _, _, err = administered(t, list, "session", "list", "alice", "--json"); err != nil || !strings.Contains(out, browser) {
		t.Errorf("%v %s", err, out)
	}
	if out, _, _, err = administered(t, `{"user":{"username":"alice"}}`, "session", "list", "alice"); err != nil || out != "alice is not signed in anywhere.\n" {
		t.Errorf("%v %s", err, out)
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"2026-05-03":                time.Date(2026, 5, 3, 0, 0, 0, 0, time.UTC),
		"2026-05-03T10:00:00Z":      time.Date(2026, 5, 3, 10, 0, 0, 0, time.UTC),
		"2026-05-03T10:00:00+02:00": time.Date(2026, 5, 3, 8, 0, 0, 0, time.UTC),
		"90m":                       now.Add(-90 * time.Minute),
		"24h":                       now.Add(-24 * time.Hour),
		"7d":                        now.Add(-7 * 24 * time.Hour),
		"1d12h":                     now.Add(-36 * time.Hour),
	} {
		if got, err := when(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "7", "-1h", "-7d", "1.5d", "99999999d", "2026-13-01", "d", "7d-1h"} {
		if got, err := when(text, now); err == nil {
			t.Errorf("%q is understood as %v", text, got)
		}
	}
}

func TestAudit(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	log := `{"events":[{"number":7,"time":"2026-01-02T03:04:05Z","kind":"role_granted","code":"editor","subject":"u1","actor":"operator","hash":"` + hash + `"},
{"number":6,"time":"2026-01-02T03:04:05Z","kind":"configuration_loaded","code":"` + hash + `","detail":"host","hash":"` + hash + `"},
{"number":5,"time":"2026-01-02T03:04:05Z","kind":"sign_in","code":"wallet","subject":"u1","actor":"u1","client":"192.0.2.1","hash":"` + hash + `"}],"next":5}`
	out, _, asked, err := administered(t, log, "audit", "--user", "alice", "--kind", "sign_in,role_granted", "--kind", "sign_out", "--client", "192.0.2.1", "--before", "9", "--limit", "3")
	if want := `{"user":"alice","kinds":["sign_in","role_granted","sign_out"],"client":"192.0.2.1","before":9,"limit":3}`; err != nil || asked.asked != want {
		t.Errorf("%v, asked %s", err, asked.asked)
	}
	for _, line := range []string{
		"7  2026-01-02 03:04:05 UTC  role_granted          editor         u1    operator\n",
		// The hash of a configuration does not push all else off the screen.
		"6  2026-01-02 03:04:05 UTC  configuration_loaded  0123456789ab…                             host\n",
		// Who did it is said where that is somebody else.
		"5  2026-01-02 03:04:05 UTC  sign_in               wallet         u1              192.0.2.1\n",
		"\nMore: --before 5\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("lacks %q:\n%s", line, out)
		}
	}
	out, _, _, err = administered(t, log, "audit", "--json")
	var got AuditLog
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got.Events) != 3 || got.Events[1].Code != hash {
		t.Errorf("%v %s", err, out)
	}
	if out, _, _, err = administered(t, `{"events":[]}`, "audit"); err != nil || out != "Nothing.\n" {
		t.Errorf("%v %s", err, out)
	}
	_, errs, asked, err := administered(t, log, "audit", "--since", "yesterday")
	if code(err) != 1 || asked.asked != "" || !strings.Contains(errs, "write for example") {
		t.Errorf("%v %s", err, errs)
	}
}

func TestAuditVerify(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	holds := `{"holds":true,"events":7,"erased":2,"deleted":3,"head":"10:` + hash + `"}`
	out, _, asked, err := administered(t, holds, "audit", "verify", "--expect", "4:"+hash)
	want := "The chain of 7 events holds.\nhead                      10:" + hash + "\ndeleted for their age     up to number 3\nwithout what is personal  2 events, of users who were deleted\n"
	if err != nil || out != want || asked.asked != `{"number":4,"hash":"`+hash+`"}` {
		t.Errorf("%v, asked %s:\n%s", err, asked.asked, out)
	}
	for _, args := range []string{"", "--json"} {
		out, errs, _, err := administered(t, `{"holds":false,"broken":3,"why":"its hash\u001b[2J is another","events":7}`, append([]string{"audit", "verify"}, strings.Fields(args)...)...)
		if code(err) != 4 || !strings.Contains(errs, "not as it was written") || args == "" && !strings.HasPrefix(out, "Broken at event 3: ") || strings.Contains(out, "\x1b") {
			t.Errorf("%v %q %s", err, out, errs)
		}
	}
	for _, expect := range []string{"soon", "4", "4:", "0:" + hash, "-1:" + hash, "4:" + hash[2:], "4:" + hash + "00", hash + ":4"} {
		_, errs, asked, err := administered(t, holds, "audit", "verify", "--expect", expect)
		if code(err) != 1 || asked.asked != "" || !strings.Contains(errs, "--expect takes") {
			t.Errorf("%s: %v, asked %s, %s", expect, err, asked.asked, errs)
		}
	}
}

func TestUserList(t *testing.T) {
	list := `{"users":[{"id":"u1","username":"alice","name":"Alice","roles":["admin"],"methods":["passkey","wallet"],"last_seen":"2026-01-02T03:04:05Z"},
{"id":"u2","username":"bob","disabled":true}],"next":"abc","total":5}`
	out, _, asked, err := administered(t, list, "user", "list", "al", "--role", "admin", "--disabled", "--order", "created", "--reverse", "--limit", "2", "--after", "xyz")
	if want := `{"search":"al","role":"admin","disabled":true,"order":"created","reverse":true,"after":"xyz","limit":2}`; err != nil || asked.asked != want {
		t.Errorf("%v, asked %s", err, asked.asked)
	}
	for _, words := range []string{"alice", "passkey, wallet", "disabled", "\n2 of 5 users\nMore: --after abc\n"} {
		if !strings.Contains(out, words) {
			t.Errorf("lacks %q:\n%s", words, out)
		}
	}
	if _, _, asked, err = administered(t, list, "user", "list", "--enabled"); err != nil || asked.asked != `{"disabled":false,"limit":50}` {
		t.Errorf("%v, asked %s", err, asked.asked)
	}
	// Nothing takes room that says nothing.
	if out, _, _, err = administered(t, `{"users":[{"username":"alice"}],"total":1}`, "user", "list"); err != nil || out != "username\nalice\n\n1 of 1 users\n" {
		t.Errorf("%v %q", err, out)
	}
	if out, _, _, err = administered(t, `{"users":[]}`, "user", "list"); err != nil || out != "Nobody.\n" {
		t.Errorf("%v %s", err, out)
	}
	for _, args := range []string{"--enabled --disabled", "al ice"} {
		_, _, asked, err := administered(t, list, append([]string{"user", "list"}, strings.Fields(args)...)...)
		if code(err) != 1 || asked.asked != "" {
			t.Errorf("%s: %v, asked %s", args, err, asked.asked)
		}
	}
}

func TestUserShowTellsRolesByChains(t *testing.T) {
	out, _, _, err := administered(t, `{"id":"u1","username":"alice","roles":["member"],"chain_roles":[
{"role":"member","holding":"1 of 0xAb on chain 1","has":true},{"role":"whale","holding":"100 of 0xAb on chain 1","has":false}]}`, "user", "show", "alice")
	if err != nil || !strings.Contains(out, "member (1 of 0xAb on chain 1), not whale (100 of 0xAb on chain 1)\n") {
		t.Errorf("%v %s", err, out)
	}
}

func TestRoles(t *testing.T) {
	out, _, asked, err := administered(t, `{"user":`+alice+`,"unknown":true}`, "role", "grant", "alice", "edtior")
	if err != nil || asked.path != "POST "+RoleGrantPath || asked.asked != `{"user":"alice","role":"edtior"}` ||
		out != "alice has the roles: admin, editor.\nNo rule names edtior so far. Is it written as in the Caddyfile?\n" {
		t.Errorf("%v, asked %s %s: %s", err, asked.path, asked.asked, out)
	}
	out, _, asked, err = administered(t, `{"user":{"username":"alice"}}`, "role", "revoke", "alice", "admin", "--force")
	if err != nil || asked.path != "POST "+RoleRevokePath || asked.asked != `{"user":"alice","force":true,"role":"admin"}` || out != "alice has no roles now.\n" {
		t.Errorf("%v, asked %s %s: %s", err, asked.path, asked.asked, out)
	}
}

func TestUserChanges(t *testing.T) {
	for args, want := range map[string][3]string{
		"disable alice":         {UserDisablePath, `{"user":"alice"}`, "alice is disabled, and signed out everywhere.\n"},
		"disable alice --force": {UserDisablePath, `{"user":"alice","force":true}`, "alice is disabled, and signed out everywhere.\n"},
		"enable alice":          {UserEnablePath, `{"user":"alice"}`, "alice may sign in again.\n"},
		"delete alice":          {UserDeletePath, `{"user":"alice"}`, "alice is deleted.\n"},
	} {
		out, _, asked, err := administered(t, alice, append([]string{"user"}, strings.Fields(args)...)...)
		if err != nil || asked.path != "POST "+want[0] || asked.asked != want[1] || out != want[2] {
			t.Errorf("%s: %v, asked %s %s: %s", args, err, asked.path, asked.asked, out)
		}
	}
	if _, _, asked, err := administered(t, alice, "user", "enable", "alice", "--force"); code(err) != 1 || asked.asked != "" {
		t.Errorf("there is nothing to force: %v", err)
	}
}

// Where in the program something failed is nothing that helps who reads it.
func TestRefusalsAreInPlainWords(t *testing.T) {
	server := httptest.NewServer(&admin{status: 409, body: `{"error":"gateway: the name stands for several accounts: u1, u2"}`})
	defer server.Close()
	_, errs, err := told(t, strings.TrimPrefix(server.URL, "http://"), "user", "show", "alice")
	if code(err) != 1 || errs != "Error: the name stands for several accounts: u1, u2\n" {
		t.Errorf("%v %q", err, errs)
	}
}

// A shell is offered names, once; and nothing where nobody answers.
func TestCompletion(t *testing.T) {
	list := `{"users":[{"username":"alice"},{"username":"al\u001b[2J"}],"total":2}`
	a := &admin{status: 200, body: list}
	server := httptest.NewServer(a)
	defer server.Close()
	to := &endpoint{address: strings.TrimPrefix(server.URL, "http://")}
	c := new(cobra.Command)
	c.SetContext(t.Context())
	names, _ := to.completeUser(c, nil, "al")
	if len(names) != 2 || names[0] != "alice" || strings.Contains(names[1], "\x1b") || a.asked != `{"search":"al","limit":30}` {
		t.Errorf("%q, asked %s", names, a.asked)
	}
	if names, _ := to.completeUser(c, []string{"alice"}, ""); names != nil {
		t.Errorf("offered %q for a role", names)
	}
	server.Close()
	if names, _ := to.completeUser(c, nil, "al"); names != nil {
		t.Errorf("offered %q", names)
	}
}

func TestTokenRevoke(t *testing.T) {
	for args, want := range map[string]string{
		"alice":          "",
		"alice t1":       `{"user":"alice","token":"t1"}`,
		"alice --all":    `{"user":"alice"}`,
		"alice t1 --all": "",
	} {
		out, errs, asked, err := administered(t, `{"user":`+alice+`,"ended":1}`, append([]string{"token", "revoke"}, strings.Fields(args)...)...)
		if asked.asked != want {
			t.Errorf("%s: asked %s", args, asked.asked)
		}
		if want == "" {
			if code(err) != 1 || !strings.Contains(errs, "or --all") || out != "" {
				t.Errorf("%s: %v %s", args, err, errs)
			}
			continue
		}
		if err != nil || out != "One personal access token of alice is deleted.\n" {
			t.Errorf("%s: %v %s", args, err, out)
		}
	}
}

// Names of tokens are their owners' words, and must not write over the terminal.
func TestTokenListIsPlain(t *testing.T) {
	list := `{"user":{"username":"alice"},"tokens":[{"id":"t1","name":"\u001b[2Jphone","created":"2026-01-02T03:04:05Z","paths":["/dav/*"]},{"id":"t2","name":"x","roles":[]}]}`
	out, _, _, err := administered(t, list, "token", "list", "alice")
	if err != nil || strings.Contains(out, "\x1b") || !strings.Contains(out, "never") || !strings.Contains(out, "/dav/*") || !strings.Contains(out, "all") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, _, err = administered(t, `{"user":{"username":"alice"}}`, "token", "list", "alice"); err != nil || out != "alice has no personal access tokens.\n" {
		t.Errorf("%v %s", err, out)
	}
}
