package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-authgate/authgate/caddymodule/check"
)

// What is said of logs, of sign-in at another site and of the headers of other gateways, word by word.
func TestWords(t *testing.T) {
	const text = `{
	servers {
		log_credentials
	}
}
app.example.com {
	log {
		format filter {
			request>headers>X-API-Key delete
		}
	}
	authgate {
		headers grafana
	}
	reverse_proxy :3000 {
		header_up X-Webauth-Role Viewer
		header_up -X-Webauth-E*
	}
	handle_errors {
		rewrite * /error
		reverse_proxy :3000
	}
}
shop.example.org {
	log
	authgate {
		sign_in_at https://login.example.com
	}
	reverse_proxy :3001
}
`
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	findings, err := check.Configuration(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Locate(findings, "Caddyfile", []byte(text)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&got, "%s %s (%s)\n  %s.\n  > %s\n", f.Level, f.Code, f.Source, f.Message, f.Advice)
	}
	const want = `error sign_in_at_unknown (Caddyfile:27)
  no site of this configuration with authgate has the origin https://login.example.com, and one of another configuration hands no sign-in over: whoever is signed out cannot sign in.
  > write the site with authgate into this configuration, or name one that is there
warning token_logged (Caddyfile:25)
  the access log has X-API-Key as it comes, and personal access tokens come in it: who reads the log can use them.
  > write in the log: format filter { request>headers>X-Api-Key delete }
warning credentials_logged (Caddyfile:3)
  the access log has request>headers>Authorization, request>headers>Cookie, resp_headers>Set-Cookie, with which who reads it can be whoever is signed in.
  > take log_credentials out of the global options, or have the log leave them out: format filter { <field> delete }
warning token_logged (Caddyfile:7)
  the filter of the access log names request>headers>X-API-Key, and the log says request>headers>X-Api-Key, so it leaves out nothing: personal access tokens come in X-API-Key, and who reads the log can use them.
  > write in the log: format filter { request>headers>X-Api-Key delete }
warning identity_overwritten (Caddyfile:15)
  X-Webauth-Role (headers grafana) is set behind authgate to Viewer: the backend takes everybody for that.
  > take that out; authgate sets it. For a header of another name or form write in authgate: header <name> <value>
warning identity_deleted (Caddyfile:15)
  X-Webauth-Email (headers grafana) is deleted behind authgate: the backend does not get it.
  > take that out; what the backend shall not have, leave out in authgate, with headers off and a header <name> <value> for each that it shall
warning errors_forged (Caddyfile:21)
  :3000 gets errors from before authgate, too, with whatever identity headers the client has written.
  > write before it: request_header -X-Webauth-User, request_header -X-Webauth-Name, request_header -X-Webauth-Email, request_header -X-Webauth-Groups, request_header -X-Webauth-Role; or files instead of a backend
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
