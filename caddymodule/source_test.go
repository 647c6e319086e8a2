package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// What is found only when a configuration is loaded says where it stands, too, and what to do.
func TestErrorsOfProvisioningSayWhere(t *testing.T) {
	dir := t.TempDir()
	empty, none := filepath.Join(dir, "empty"), filepath.Join(dir, "none")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AUTHGATE_TEST_EMPTY", "")
	mail := func(password string) string {
		return "mail {\nfrom a@example.com\nsmtp mail.example.com:587 {\nusername x\npassword " + password + "\n}\n}"
	}
	for _, c := range []struct{ name, options, site, want string }{
		{"empty secret", mail("{env.AUTHGATE_TEST_EMPTY}"), "authgate", "Caddyfile:5: mail: smtp password: {env.AUTHGATE_TEST_EMPTY} is empty: the environment in which Caddy runs has no AUTHGATE_TEST_EMPTY; set it, or write {file./<path>} where a file has the text"},
		{"unset secret", "store postgres postgres://u:{env.AUTHGATE_TEST_UNSET}@db.example.com/x", "authgate", "Caddyfile:5: store: loading module 'postgres': provision authgate.stores.postgres: dsn: {env.AUTHGATE_TEST_UNSET} is empty: the environment in which Caddy runs has no AUTHGATE_TEST_UNSET; set it"},
		{"empty file", mail("{file." + empty + "}"), "authgate", "Caddyfile:5: mail: smtp password: {file." + empty + "} is empty: there is nothing in the file; write the text into that file, for the user who runs Caddy to read"},
		{"missing file", mail("{file." + none + "}"), "authgate", "Caddyfile:5: mail: smtp password: {file." + none + "} is empty: open " + none + ": no such file or directory; write the text into that file"},
		{"unknown placeholder", "store sqlite {envy.X}", "authgate", "Caddyfile:5: store: loading module 'sqlite': provision authgate.stores.sqlite: file: {envy.X} is not known here; write {env.<NAME>} or {file./<path>}"},
		{"no certificates", "challenge_store redis rediss://localhost:6379 {\nca " + none + "\n}", "authgate", "Caddyfile:5: challenge_store: loading module 'redis': provision authgate.challenge_stores.redis: redisstore: certificates: open " + none},
		{"a logo for all", "brand {\nlogo /nope.svg\n}", "authgate", "Caddyfile:5: brand: logo: open /nope.svg"},
		{"a logo of the site", "", "authgate {\nbrand {\nlogo /nope.svg\n}\n}", "Caddyfile:10: brand: logo: open /nope.svg"},
		{"two gates", "", "route {\nauthgate\nauthgate\n}", "Caddyfile:11: two authgate handlers are in one chain; leave one"},
		{"behind everything", "", "route {\nrespond ok\nauthgate\n}", "Caddyfile:12: no request comes to authgate"},
		{"a matcher", "", "authgate /admin/*", "Caddyfile:10: its own pages and routes are at /auth/*"},
		{"sign_in_at", "", "authgate {\nsign_in_at http://nope.localhost\n}", `Caddyfile:10: sign_in_at "http://nope.localhost": no site with authgate has this origin`},
	} {
		text := fmt.Sprintf("{\nadmin off\npersist_config off\nstorage file_system %s/caddy\nauthgate {\n%s\n}\n}\nhttp://app.localhost {\n%s\nrespond ok\n}\n", dir, c.options, c.site)
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var config caddy.Config
		if err := json.Unmarshal(adapted, &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}
