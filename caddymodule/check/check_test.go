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
		if f.Message == "" || f.At == "" && f.Source == "" || strings.HasSuffix(f.Message, ".") || f.Level != check.Note && f.Advice == "" {
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

		{"two gates", "app.example.com {\n\troute {\n\t\tauthgate\n\t\tauthgate\n\t\treverse_proxy :3000\n\t}\n}", []string{"error gate_twice"}},
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
		{"pages of errors of another backend", "app.example.com {\n\tauthgate\n\treverse_proxy :3000\n\thandle_errors {\n\t\trewrite * /error\n\t\treverse_proxy :3001\n\t}\n}", nil},

		{"identity as the client says", "app.example.com {\n\tauthgate\n\trequest_header Remote-User {http.request.header.X-User}\n\treverse_proxy :3000\n}", []string{"error identity_from_client :3"}},
		{"identity as the client says, in the proxy", "app.example.com {\n\tauthgate {\n\t\theader X-Who {username}\n\t}\n\treverse_proxy :3000 {\n\t\theader_up X-Who {header.X-User}\n\t}\n}", []string{
			"error identity_from_client :5",
		}},
		{"a path that changes behind rules", "app.example.com {\n\tauthgate {\n\t\tdeny /internal/*\n\t}\n\thandle_path /app/* {\n\t\treverse_proxy :3000\n\t}\n}", []string{"note rewritten_behind"}},

		{"roles that nobody has", "{\n\tauthgate {\n\t\tgrant editor a@example.com\n\t\tgrant idle b@example.com\n\t}\n}\napp.example.com {\n\tauthgate {\n\t\tallow role editor /e\n\t\tallow role ghost editor /g\n\t\tallow role ghost /h\n\t}\n\treverse_proxy :3000\n}", []string{
			"note role_not_granted :10", "note role_not_asked :4",
		}},
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
		{"everybody is a trusted proxy", "{\n\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0\n\t}\n}\napp.example.com {\n\tauthgate\n\treverse_proxy :3000\n}", []string{"error everybody_trusted :7"}},
		{"a gate that only other proxies ask", "app.example.com {\n\tauthgate\n}", []string{"note nothing_behind :2"}},
		{"a gate that only trusted proxies ask", "{\n\tservers {\n\t\ttrusted_proxies static 10.0.0.1\n\t}\n}\napp.example.com {\n\tauthgate\n}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(t, c.caddyfile); !slices.Equal(got, c.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s\nin\n%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"), c.caddyfile)
			}
		})
	}
}
