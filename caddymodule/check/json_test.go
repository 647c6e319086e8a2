package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/caddymodule/check"
)

// What configurations in JSON say that no Caddyfile does, or that Caddy says of one.
func TestConfigurationInJSON(t *testing.T) {
	const site = `{"match":[{"host":["app.example.com"]}],"terminal":true,"handle":[{"handler":"authgate","origin":"https://app.example.com"},
		{"handler":"reverse_proxy","upstreams":[{"dial":":3000"}]}]}`
	logged := func(logs, logging string) string {
		return `{"logging":` + logging + `,"apps":{"http":{"servers":{"s":{"listen":[":443"],"logs":` + logs + `,"routes":[` + site + `]}}}}}`
	}
	shop := func(origin, at, errors string) string {
		return `{"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[` + site + `,{"match":[{"host":["shop.example.org"]}],"terminal":true,"handle":[
			{"handler":"authgate","origin":"` + origin + `","sign_in_at":"` + at + `"},{"handler":"file_server"}]}],"errors":{"routes":[` + errors + `]}}}}}}`
	}
	filtered := `{"format":"filter","fields":{"request>headers>X-Api-Key":{"filter":"delete"}}}`
	for _, c := range []struct {
		name, config string
		want         []string
	}{
		{"a log of all", logged(`{}`, `{}`), []string{"token_logged"}},
		{"names of one text", logged(`{"logger_names":{"APP.example.com":"a"}}`, `{"logs":{"default":{"encoder":`+filtered+`}}}`), nil},
		{"a host that is not named", logged(`{"logger_names":{"b.example.com":["a"]},"skip_unmapped_hosts":true}`, `{}`), nil},
		{"a host that is named by a wildcard", logged(`{"logger_names":{"*.example.com":["a"]},"skip_unmapped_hosts":true}`, `{}`), []string{"token_logged"}},
		{"hosts of all kinds that are not named", strings.Replace(logged(`{"skip_unmapped_hosts":true}`, `{}`), `"match":[{"host":["app.example.com"]}],`, "", 1), nil},
		// Of two names in the lists of a log the longer decides.
		{"a log that takes all but this", logged(`{"logger_names":{"app.example.com":["a"]}}`, `{"logs":{"default":{"include":["http"],"exclude":["http.log.access.a"]}}}`), nil},
		{"a log that takes this of what it does not", logged(`{"logger_names":{"app.example.com":["a"]}}`, `{"logs":{"default":{"include":["http.log.access.a"],"exclude":["http.log"]}}}`), []string{"token_logged"}},
		{"a log of nothing of modules", logged(`{}`, `{"logs":{"default":{"exclude":["*"]}}}`), nil},
		{"an encoder of others", logged(`{}`, `{"logs":{"default":{"encoder":{"format":"transform","template":"{status}"}}}}`), nil},
		{"an encoder that adds to another", logged(`{}`, `{"logs":{"default":{"encoder":{"format":"append","fields":{"a":"b"},"wrap":{"format":"json"}}}}}`), []string{"token_logged"}},

		{"a sign-in at a site of http", shop("https://shop.example.org", "http://app.example.com", ""), []string{"sign_in_at_unknown"}},
		{"a sign-in that is not https", strings.ReplaceAll(shop("https://shop.example.org", "http://localhost", ""), "https://app.example.com", "http://localhost"), []string{"origin_elsewhere", "sign_in_at_scheme"}},
		{"a sign-in in error routes", shop("https://shop.example.org", "https://other.example.com", `{"handle":[{"handler":"authgate","origin":"https://other.example.com"}]}`), []string{"sign_in_at_unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, err := check.Configuration([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, f.Code)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
