package command

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// plainly is an answer that every command understands.
const plainly = `{"id":"u1","username":"alice","user":{"username":"alice"},"link":"https://app.example.com/auth/invite#x","ready":true,"holds":true}`

// Every command of the README is one that there is, with such flags and arguments, and asks Caddy.
func TestReadmeCommandsAreUnderstood(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var path string
	address := running(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		io.WriteString(w, plainly)
	})
	ran := map[string]bool{}
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		for _, line := range strings.Split(block[1], "\n") {
			words, ours := strings.CutPrefix(line, "caddy authgate ")
			if !ours {
				continue
			}
			var args []string
			for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(words, -1) {
				args = append(args, m[1]+m[2])
			}
			ran[args[0]] = true
			switch args[0] {
			case "backup", "restore", "migrate", "check": // they read files, and are run with them elsewhere
				continue
			}
			path = ""
			_, errs, err := told(t, address, args...)
			asks := args[0] != "dashboard" && args[0] != "alerts"
			if err != nil || asks != strings.HasPrefix(path, "/authgate/") {
				t.Errorf("%s: asked %q, %v: %s", line, path, err, errs)
			}
		}
	}
	for _, name := range []string{"user", "role", "session", "token", "audit", "invite", "recover", "explain", "check", "keys", "status", "dashboard", "alerts", "backup", "restore", "migrate"} {
		if !ran[name] {
			t.Errorf("README has no example of %s", name)
		}
	}
}
