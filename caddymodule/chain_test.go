package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// What certainly cannot work is an error before it runs: of a gate to which no request comes, that is asked twice, or whose
// sign-in page a matcher leaves out. What can work is none.
func TestChainIsValidated(t *testing.T) {
	const alone = "authgate\nreverse_proxy :3000"
	for _, c := range []struct{ name, site, says string }{
		{"alone", alone, ""},
		{"two", "route {\nauthgate\nauthgate\nrespond ok\n}", errTwoGates.Error()},
		{"two in blocks", "authgate\nhandle {\nauthgate\nrespond ok\n}", errTwoGates.Error()},
		{"two behind each other", "route {\nroute {\nauthgate\n}\nrewrite /x /y\nauthgate\nrespond ok\n}", errTwoGates.Error()},
		{"one in each block", "handle /a/* {\nauthgate {\npath /a/auth\n}\nrespond a\n}\nhandle {\nauthgate\nrespond ok\n}", ""},
		{"a proxy first", "route {\nreverse_proxy :3000\nauthgate\n}", errShutOff.Error()},
		{"a proxy far before", "route {\nreverse_proxy :3000\nrewrite /x /y\nauthgate\n}", errShutOff.Error()},
		{"an answer first", "route {\nrespond ok\nauthgate\n}", errShutOff.Error()},
		{"a proxy for some first", "route {\nreverse_proxy /hook :3000\nauthgate\nrespond ok\n}", ""},
		{"another gate first", "route {\nforward_auth :9000 {\nuri /verify\n}\n" + alone + "\n}", ""},
		{"a matcher without sign-in", "authgate /admin/*\nreverse_proxy :3000", "nobody can sign in"},
		{"a block without sign-in", "handle /admin/* {\n" + alone + "\n}", "nobody can sign in"},
		{"a page without sign-in", "handle /auth {\n" + alone + "\n}", "nobody can sign in"},
		{"a matcher with its own path", "authgate /admin/* {\npath /admin/auth\n}\nreverse_proxy :3000", ""},
		{"a matcher with sign-in", "@some path /admin/* /auth/*\nauthgate @some\nreverse_proxy :3000", ""},
		{"a matcher of all", "authgate *\nreverse_proxy :3000", ""},
		{"a matcher that is not understood", "@some not path /public/*\nauthgate @some\nreverse_proxy :3000", ""},
		{"sign-in in another block", "handle /admin/* {\n" + alone + "\n}\nhandle /auth/* {\n" + alone + "\n}", ""},
		{"error routes", alone + "\nhandle_errors {\nauthgate\nrespond oops\n}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "{\nadmin off\nauthgate {\nstore sqlite " + t.TempDir() + "/a.db\n}\n}\napp.example.com {\n" + c.site + "\n}\n"
			adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			var config *caddy.Config
			if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
				t.Fatal(err)
			}
			err = caddy.Validate(config)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
