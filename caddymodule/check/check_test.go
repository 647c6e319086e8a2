package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-authgate/authgate/caddymodule"
	"github.com/caddy-authgate/authgate/caddymodule/check"
)

// found answers what is found in a Caddyfile: level, code and place.
func found(t *testing.T, text string) []string {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	findings, err := check.Configuration(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Locate(findings, "Caddyfile", []byte(text)); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range findings {
		if f.Message == "" || f.At == "" && f.Source == "" || strings.HasSuffix(f.Message, ".") || f.Level != check.Note && f.Advice == "" || strings.Contains(f.Message, "apps/") {
			t.Errorf("%+v", f)
		}
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Level, f.Code, strings.TrimPrefix(f.Source, "Caddyfile"))))
	}
	return list
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name, caddyfile string
		want            []string
	}{
		{"the smallest site", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"two sites behind a gate each", "a.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nb.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"handles come behind authgate", "app.example.com {\n\thandle /api/* {\n\t\treverse_proxy :3001\n\t}\n\thandle {\n\t\treverse_proxy :3000\n\t}\n\tauthgate\n}", nil},
		{"a gate of its own in each handle", `app.example.com {
	handle /a/* {
		authgate {
			path /a/auth
		}
		reverse_proxy :3000
	}
	handle {
		authgate
		reverse_proxy :3000
	}
}`, nil},
		{"no gate anywhere", "app.example.com {\n\treverse_proxy :3000\n}", []string{"error no_gate"}},

		// In a route block the order is as written: Caddy asks the proxy first, and it answers everything.
		{"a proxy before the gate takes all", "app.example.com {\n\troute {\n\t\treverse_proxy :3000\n\t\tauthgate\n\t}\n}", []string{
			"error gate_unreachable :4", "warning served_ungated :3",
		}},
		{"a proxy before the gate takes some", "app.example.com {\n\troute {\n\t\treverse_proxy /hooks/* :3001\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{
			"warning served_ungated :3",
		}},
		{"a proxy beside the gate", `app.example.com {
	handle /hooks/* {
		reverse_proxy :3001
	}
	handle {
		authgate
		reverse_proxy :3000
	}
}`, []string{"warning served_ungated :3"}},
		// The backend of the gate, by another way: there it gets Remote-User as the client has written it.
		{"the same backend beside the gate", `app.example.com {
	handle /healthz {
		reverse_proxy 127.0.0.1:3000
	}
	handle {
		authgate
		reverse_proxy 127.0.0.1:3000
	}
}`, []string{"error backend_ungated"}},
		{"the same backend on another site", "app.example.com {\n\tauthgate\n\treverse_proxy 10.0.0.5:3000\n}\nold.example.com {\n\treverse_proxy 10.0.0.5:3000\n}", []string{
			"error backend_ungated :6",
		}},
		{"files and PHP beside the gate", `app.example.com {
	root /srv
	route {
		file_server /img/*
		php_fastcgi /hook/* unix//run/php.sock
		authgate
		reverse_proxy :3000
	}
}`, []string{"warning served_ungated :4", "warning served_ungated :5", "note redirect_before"}},
		{"a named route", "&(app) {\n\treverse_proxy :3001\n}\napp.example.com {\n\troute {\n\t\tinvoke /x app\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{
			"warning served_ungated :2",
		}},
		{"a gate in a named route", "&(gate) {\n\tauthgate {\n\t\torigin https://app.example.com\n\t}\n}\napp.example.com {\n\troute {\n\t\tinvoke gate\n\t\treverse_proxy :3000\n\t}\n}", nil},
		// What a matcher leaves out comes to the backend unasked, and /admin;x/ is left out where the backend reads /admin/.
		{"a gate with a matcher", "app.example.com {\n\tauthgate /admin/* {\n\t\tpath /admin/auth\n\t}\n\treverse_proxy :3000\n}", []string{"error gate_partly :5"}},
		{"a gate for a backend of its own", "app.example.com {\n\thandle /admin/* {\n\t\tauthgate {\n\t\t\tpath /admin/auth\n\t\t}\n\t\treverse_proxy :3000\n\t}\n\thandle {\n\t\tfile_server\n\t}\n}", []string{
			"warning served_ungated :9",
		}},
		{"basic_auth beside the gate", `app.example.com {
	handle /metrics {
		basic_auth {
			prom $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
		}
		reverse_proxy :9100
	}
	handle {
		authgate
		reverse_proxy :3000
	}
}`, []string{"note other_guard :6"}},
		{"a site without a gate", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nwww.example.com {\n\tfile_server\n}\nto.example.com {\n\tredir https://app.example.com\n}", []string{
			"warning site_ungated :6",
		}},
		{"a site without a gate that gets the cookies", "app.example.com {\n\tauthgate {\n\t\tcookie_domain example.com\n\t}\n\treverse_proxy :3000\n}\nwww.example.com {\n\treverse_proxy :3001\n}", []string{
			"warning cookie_given :8",
		}},
		{"another port without a gate", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\n:8080 {\n\treverse_proxy :3000\n}", []string{"error backend_ungated :6"}},

		{"two gates", "app.example.com {\n\troute {\n\t\tauthgate\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{"error gate_twice :4"}},
		{"a gate that does not get its own pages", "app.example.com {\n\thandle /admin/* {\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{"error sign_in_unreachable :3"}},
		{"pages of the gate that something else answers", "app.example.com {\n\thandle /auth/* {\n\t\treverse_proxy :3001\n\t}\n\thandle {\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{
			"error sign_in_taken :6", "warning served_ungated :3",
		}},
		{"an origin of another site", "app.example.com {\n\tauthgate {\n\t\torigin https://www.example.com\n\t}\n\treverse_proxy :3000\n}", []string{"warning origin_elsewhere :2"}},
		{"an origin below a wildcard", "*.example.com {\n\tauthgate {\n\t\torigin https://www.example.com\n\t}\n\treverse_proxy :3000\n}", nil},

		{"a redirect and headers before it", "app.example.com {\n\theader X-Frame-Options DENY\n\tredir /old /new\n\trespond /ping pong\n\tauthgate\n\treverse_proxy :3000\n}", []string{
			"note header_before :2", "note redirect_before :3",
		}},
		{"a header that takes the place of the gate's", "app.example.com {\n\theader >Cache-Control public\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning header_overrides :2"}},
		{"answers that any page may read", "app.example.com {\n\theader Access-Control-Allow-Credentials true\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning header_cors :2"}},

		// What the gate refuses comes to the error routes, as the request that it was.
		{"errors that are proxied", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors {\n\t\treverse_proxy :3000\n\t}\n}", []string{"error errors_proxied :5"}},
		{"errors that are proxied for some statuses", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors 5xx {\n\t\treverse_proxy :3001\n\t}\n}", []string{"error errors_proxied :5"}},
		{"errors that are proxied for statuses of others", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors 404 502 {\n\t\treverse_proxy :3001\n\t}\n}", []string{"warning errors_proxied :5"}},
		{"errors that hand out the file", "app.example.com {\n\tauthgate\n\tfile_server\n\thandle_errors {\n\t\tfile_server\n\t}\n}", []string{"error errors_served :5"}},
		{"pages of errors", "app.example.com {\n\tauthgate\n\tfile_server\n\thandle_errors {\n\t\trewrite * /{err.status_code}.html\n\t\tfile_server\n\t}\n}", nil},
		{"pages of errors of the backend", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors {\n\t\trewrite * /error\n\t\treverse_proxy :3000\n\t}\n}", []string{"warning errors_forged :6"}},
		{"pages of errors of the backend, which reads no identity", "app.example.com {\n\tauthgate {\n\t\theaders off\n\t}\n\treverse_proxy :3000\n\thandle_errors {\n\t\trewrite * /error\n\t\treverse_proxy :3000\n\t}\n}", nil},
		{"pages of errors of another backend", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors {\n\t\trewrite * /error\n\t\treverse_proxy :3001\n\t}\n}", nil},

		// In a route block an intercept before the gate does the same in place of what the gate answers.
		{"refusals that are proxied", "app.example.com {\n\troute {\n\tintercept {\n\t\thandle_response {\n\t\t\treverse_proxy :3001\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", []string{"error errors_proxied :5"}},
		{"refusals that the same backend answers", "app.example.com {\n\troute {\n\tintercept {\n\t\thandle_response {\n\t\t\treverse_proxy :3000\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", []string{"error errors_proxied"}},
		{"refusals that are proxied, of some paths", "app.example.com {\n\troute {\n\tintercept /app/* {\n\t\t@4xx status 4xx\n\t\thandle_response @4xx {\n\t\t\treverse_proxy :3001\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", []string{"error errors_proxied :6"}},
		{"refusals that are proxied as they are sent to sign in", "app.example.com {\n\troute {\n\tintercept {\n\t\t@to status 302\n\t\thandle_response @to {\n\t\t\treverse_proxy :3001\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", []string{"error errors_proxied :6"}},
		{"refusals that hand out the file", "app.example.com {\n\troute {\n\tintercept {\n\t\t@no status 401 403\n\t\thandle_response @no {\n\t\t\tfile_server\n\t\t}\n\t}\n\tauthgate\n\tfile_server\n\t}\n}", []string{"error errors_served"}},
		{"pages in place of refusals", "app.example.com {\n\troute {\n\tintercept {\n\t\t@no status 401 403\n\t\thandle_response @no {\n\t\t\trewrite * /{resp.status_code}.html\n\t\t\tfile_server\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", nil},
		{"an intercept for statuses of backends", "app.example.com {\n\troute {\n\tintercept {\n\t\t@none status 404 502\n\t\thandle_response @none {\n\t\t\treverse_proxy :3001\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", []string{"warning errors_proxied :6"}},
		{"files that a backend names", "app.example.com {\n\troute {\n\tintercept {\n\t\t@file header X-Accel-Redirect *\n\t\thandle_response @file {\n\t\t\trewrite * {resp.header.X-Accel-Redirect}\n\t\t\tfile_server\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n\t}\n}", nil},
		{"an intercept behind the gate", "app.example.com {\n\tintercept {\n\t\thandle_response {\n\t\t\treverse_proxy :3001\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"an intercept beside the gate", "app.example.com {\n\thandle /x/* {\n\t\tintercept {\n\t\t\thandle_response {\n\t\t\t\treverse_proxy :3001\n\t\t\t}\n\t\t}\n\t\trespond 204\n\t}\n\thandle {\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{"warning served_ungated :5"}},

		{"identity as the client says", "app.example.com {\n\tauthgate\n\trequest_header Remote-User {http.request.header.X-User}\n\treverse_proxy :3000\n}", []string{"error identity_from_client :3"}},
		{"identity as the client says, in the proxy", "app.example.com {\n\tauthgate {\n\t\theader X-Who {username}\n\t}\n\treverse_proxy :3000 {\n\t\theader_up X-Who {header.X-User}\n\t}\n}", []string{
			"error identity_from_client :5",
		}},
		// The backend of a preset believes other names, in any spelling.
		{"identity of a preset as the client says", "app.example.com {\n\tauthgate {\n\t\theaders grafana\n\t}\n\treverse_proxy :3000 {\n\t\theader_up X_WebAuth_User {header.X-User}\n\t}\n}", []string{
			"error identity_from_client :5",
		}},
		{"one identity for everybody", "app.example.com {\n\tauthgate {\n\t\theaders grafana\n\t}\n\treverse_proxy :3000 {\n\t\theader_up X-WEBAUTH-USER admin\n\t}\n}", []string{
			"warning identity_overwritten :5",
		}},
		{"one identity for everybody, added", "app.example.com {\n\tauthgate\n\treverse_proxy :3000 {\n\t\theader_up +Remote-User admin\n\t}\n}", []string{"warning identity_overwritten :3"}},
		{"what authgate says, once more", "app.example.com {\n\tauthgate\n\treverse_proxy :3000 {\n\t\theader_up Remote-User {http.auth.user.id}\n\t}\n}", nil},
		{"a header that the chosen preset does not have", "app.example.com {\n\tauthgate {\n\t\theaders grafana\n\t}\n\treverse_proxy :3000 {\n\t\theader_up Remote-User guest\n\t\theader_up -Remote-Name\n\t}\n}", nil},
		{"a header of a preset deleted", "app.example.com {\n\tauthgate {\n\t\theaders authentik\n\t}\n\treverse_proxy :3000 {\n\t\theader_up -X-Authentik-U*\n\t}\n}", []string{"warning identity_deleted :5"}},
		{"a header deleted that was asked for", "app.example.com {\n\tauthgate {\n\t\theader X-Who {username}\n\t}\n\trequest_header -x-who\n\treverse_proxy :3000\n}", []string{"warning identity_deleted :5"}},
		{"a default header deleted", "app.example.com {\n\tauthgate\n\treverse_proxy :3000 {\n\t\theader_up -Remote-Email\n\t}\n}", []string{"note identity_deleted :3"}},
		{"default headers deleted that are off", "app.example.com {\n\tauthgate {\n\t\theaders off\n\t}\n\treverse_proxy :3000 {\n\t\theader_up -Remote-*\n\t}\n}", nil},
		{"headers deleted before the gate", "app.example.com {\n\troute {\n\t\trequest_header -Remote-*\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", nil},

		{"a sign-in at another site", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nshop.example.org {\n\tauthgate {\n\t\tsign_in_at https://APP.example.com:443\n\t}\n\treverse_proxy :3001\n}", nil},
		{"a sign-in at no site", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nshop.example.org {\n\tauthgate {\n\t\tsign_in_at https://login.example.com\n\t}\n\treverse_proxy :3001\n}", []string{
			"error sign_in_at_unknown :7",
		}},
		{"a sign-in at a site without authgate", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nlogin.example.com {\n\trespond hi\n}\nshop.example.org {\n\tauthgate {\n\t\tsign_in_at https://login.example.com\n\t}\n\treverse_proxy :3001\n}", []string{
			"error sign_in_at_unknown :10",
		}},
		{"a sign-in at a site that has none of its own", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n}\nb.example.net {\n\tauthgate {\n\t\tsign_in_at https://app.example.com\n\t}\n\treverse_proxy :3002\n}\nshop.example.org {\n\tauthgate {\n\t\tsign_in_at https://b.example.net\n\t}\n\treverse_proxy :3001\n}", []string{
			"error sign_in_at_away :13",
		}},

		// Caddy leaves Authorization and Cookie out of logs, and not X-API-Key, in which personal access tokens come.
		{"a log with tokens", "app.example.com {\n\tlog\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"a log with tokens, of a site without a host", ":8080 {\n\tlog\n\tauthgate {\n\t\torigin http://localhost:8080\n\t}\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"a log without them", "app.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key delete\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a log without headers", "app.example.com {\n\tlog {\n\t\tformat append {\n\t\t\tregion eu\n\t\t\twrap filter {\n\t\t\t\trequest>headers delete\n\t\t\t\twrap json\n\t\t\t}\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a log with a digest of them", "app.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key hash\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a log with them by another name", "app.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key rename key\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"a filter in another spelling", "app.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-API-Key delete\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"a filter for all logs", "{\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key delete\n\t\t}\n\t}\n}\napp.example.com {\n\tlog\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a filter for all logs but one", "{\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key delete\n\t\t}\n\t}\n}\napp.example.com {\n\tlog {\n\t\toutput file /tmp/access.log\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", []string{
			"warning token_logged :9",
		}},
		{"the log of another site", "a.example.com {\n\tlog\n\trespond ok\n}\nb.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"the log of every host below a wildcard", "*.example.com {\n\tlog\n\tauthgate {\n\t\torigin https://www.example.com\n\t}\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"a log that nobody keeps", "app.example.com {\n\tlog {\n\t\toutput discard\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a log of nothing", "app.example.com {\n\tlog\n\tlog_skip\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a log of some", "app.example.com {\n\tlog\n\tlog_skip /health\n\tauthgate\n\treverse_proxy :3000\n}", []string{"warning token_logged :2"}},
		{"two gates of one site with a log", "app.example.com {\n\tlog\n\thandle /a/* {\n\t\tauthgate {\n\t\t\tpath /a/auth\n\t\t}\n\t\treverse_proxy :3000\n\t}\n\thandle {\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{
			"warning token_logged :2",
		}},
		{"a log with credentials", "{\n\tservers {\n\t\tlog_credentials\n\t}\n}\napp.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Api-Key delete\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", []string{
			"warning credentials_logged :3",
		}},
		{"a log with credentials that leaves them out", "{\n\tservers {\n\t\tlog_credentials\n\t}\n}\napp.example.com {\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers delete\n\t\t\tresp_headers>Set-Cookie delete\n\t\t}\n\t}\n\tauthgate\n\treverse_proxy :3000\n}", nil},

		{"a path that changes behind rules", "app.example.com {\n\tauthgate {\n\t\tdeny /internal/*\n\t}\n\thandle_path /app/* {\n\t\treverse_proxy :3000\n\t}\n}", []string{"note rewritten_behind"}},

		{"roles that nobody has", "{\n\tauthgate {\n\t\tgrant editor 0x52908400098527886E0F7030069857D2E4169EE7\n\t\tgrant idle 0x8617E340B3D01FA5F11F306F4090FD50E238070D\n\t}\n}\napp.example.com {\n\tauthgate {\n\t\tallow role editor /e\n\t\tallow role ghost editor /g\n\t\tallow role ghost /h\n\t}\n\treverse_proxy :3000\n}", []string{
			"note role_not_granted :10", "note role_not_asked :4",
		}},
		// It is no error: an account may have its address, wallet or key from when that was on, and the role by it.
		{"grants that nobody can come to have", "{\n\tauthgate {\n\t\twallet off\n\t\tgrant admin alice@example.com\n\t\tgrant admin 0x52908400098527886E0F7030069857D2E4169EE7\n\t\tgrant admin ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\n\t}\n}\napp.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", []string{
			"warning grant_unheld :4", "warning grant_unheld :5", "warning grant_unheld :6",
		}},
		{"rules for users whom nobody can become", "app.example.com {\n\tauthgate {\n\t\tallow user alice@example.com bob /x\n\t}\n\treverse_proxy :3000\n}", []string{
			"warning user_unheld :3",
		}},
		{"grants and rules whose ways are on", "{\n\tauthgate {\n\t\tmail {\n\t\t\tfrom a@example.com\n\t\t\tsmtp localhost:25\n\t\t}\n\t\tkeys ed25519\n\t\tgrant admin alice@example.com ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\n\t}\n}\napp.example.com {\n\tauthgate {\n\t\tallow user alice@example.com /x\n\t}\n\treverse_proxy :3000\n}", nil},
		{"passkeys of one host for sessions of several", `a.example.com {
	authgate {
		cookie_domain example.com
	}
	reverse_proxy :3000
}
b.example.com {
	authgate {
		cookie_domain example.com
	}
	reverse_proxy :3001
}`, []string{"warning passkeys_apart :2"}},
		{"passkeys of the domain for sessions of several", `{
	authgate {
		passkey {
			rp_id example.com
		}
	}
}
a.example.com, b.example.com {
	authgate {
		origin https://a.example.com
		cookie_domain example.com
	}
	reverse_proxy :3000
}`, nil},
		{"an admin endpoint for everybody", "{\n\tadmin :2019\n}\napp.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", []string{"error admin_open :2"}},
		{"an admin endpoint on a socket", "{\n\tadmin unix//run/caddy.sock\n}\napp.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"a proxy in front that is not trusted", "http://app.example.com {\n\tauthgate {\n\t\torigin https://app.example.com\n\t}\n\treverse_proxy :3000\n}", []string{"warning proxy_untrusted :2"}},
		{"a proxy in front of another port", "http://:8080 {\n\tauthgate {\n\t\torigin https://app.example.com\n\t}\n\treverse_proxy :3000\n}", []string{"warning proxy_untrusted :2"}},
		{"no proxy in front of another port", "https://:8443 {\n\ttls internal\n\tauthgate {\n\t\torigin https://app.example.com:8443\n\t}\n\treverse_proxy :3000\n}", nil},
		{"no proxy in front", "https:// {\n\tauthgate {\n\t\torigin https://app.example.com\n\t}\n\treverse_proxy :3000\n}", nil},
		{"no proxy in front of a host on another port", "app.example.com:8443 {\n\tauthgate\n\treverse_proxy :3000\n}", nil},
		{"everybody is a trusted proxy", "{\n\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0\n\t}\n}\napp.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", []string{"error everybody_trusted :7"}},
		{"a gate that only other proxies ask", "app.example.com {\n\tauthgate\n}", []string{"note nothing_behind :2"}},
		{"a gate that only other proxies ask, and nobody else", "http://:9091 {\n\tbind 127.0.0.1\n\tauthgate {\n\t\torigin https://app.example.com\n\t}\n\trespond 404\n}", []string{"warning proxy_untrusted :3", "note nothing_behind :3"}},
		{"a gate with an error behind it", "app.example.com {\n\tauthgate\n\terror 404\n}", []string{"note nothing_behind :2"}},
		{"a gate with a text behind it", "app.example.com {\n\tauthgate\n\trespond hello\n}", nil},
		{"a gate that only trusted proxies ask", "{\n\tservers {\n\t\ttrusted_proxies static 10.0.0.1\n\t}\n}\napp.example.com {\n\tauthgate\n}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(t, c.caddyfile); !slices.Equal(got, c.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s\nin\n%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"), c.caddyfile)
			}
		})
	}
}
