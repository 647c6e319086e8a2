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

// Who is named by what nobody can come to have is told of when the configuration is loaded: where, and what is off. The
// configuration is taken, since there may be accounts that have it from before.
func TestUnheldGrantsAndRulesAreTold(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	storage file_system %[1]s/caddy
	log {
		output file %[2]s
		format json
	}
	authgate {
		store sqlite %[1]s/authgate.db
		grant admin alice@example.com
		grant admin 0x52908400098527886E0F7030069857D2E4169EE7
	}
}
http://app.localhost {
	authgate {
		allow user alice bob@example.com /x
	}
	respond ok
}
`, dir, log), nil)
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const off = "from before"
	if n := strings.Count(string(text), off); n != 2 {
		t.Errorf("%d warnings\n%s", n, text)
	}
	for _, part := range []string{
		`no mail is configured, by which addresses are confirmed","role":"admin","to":"alice@example.com","source":"Caddyfile:11"`,
		`no mail is configured, by which addresses are confirmed","user":"bob@example.com","source":"Caddyfile:17"`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("not told: %s\n%s", part, text)
		}
	}
}
