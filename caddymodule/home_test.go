package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// A site may have its sign-in only at one of this configuration that has one. That is told before anything is served, in
// whatever order the sites stand, and whatever stands around their gates.
func TestSignInAtIsChecked(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, sites, want string }{
		{"a site that comes after", `http://shop.localhost:81 {
			authgate {
				sign_in_at http://app.localhost:80
			}
		}
		http://app.localhost {
			authgate
		}`, ""},
		{"a site before, on another server, its gate in routes of its own", `http://app.localhost:8080 {
			handle {
				route {
					authgate {
						origin http://app.localhost:8080
					}
				}
			}
		}
		http://shop.localhost {
			handle {
				authgate {
					origin http://shop.localhost
					sign_in_at http://APP.localhost:8080
				}
			}
		}`, ""},
		{"a site in the same routes", `:8080 {
			route {
				@shop host shop.localhost
				authgate @shop {
					origin http://shop.localhost:8080
					sign_in_at http://app.localhost:8080
				}
				@app host app.localhost
				authgate @app {
					origin http://app.localhost:8080
				}
			}
		}`, ""},
		{"a stranger", `http://shop.localhost {
			authgate {
				sign_in_at http://app.localhost
			}
		}
		http://other.localhost {
			authgate
		}`, `sign_in_at "http://app.localhost": no site with authgate has this origin; those with a sign-in of their own: http://other.localhost`},
		{"a site without a gate", `http://shop.localhost {
			authgate {
				sign_in_at http://app.localhost
			}
		}
		http://app.localhost {
			respond ok
		}`, "those with a sign-in of their own: none"},
		{"a chain", `http://shop.localhost {
			authgate {
				sign_in_at http://middle.localhost
			}
		}
		http://middle.localhost {
			authgate {
				sign_in_at http://app.localhost
			}
		}
		http://app.localhost {
			authgate
		}`, `this site has no sign-in of its own either; name the one where it is`},
		{"each other", `http://shop.localhost {
			authgate {
				sign_in_at http://app.localhost
			}
		}
		http://app.localhost {
			authgate {
				sign_in_at http://shop.localhost
			}
		}`, `this site has no sign-in of its own either`},
	} {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, `{
			admin off
			persist_config off
			storage file_system %s/caddy
			authgate {
				store sqlite %[1]s/authgate.db
			}
		}
		%s`, dir, c.sites), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for range 4 { // servers are provisioned in any order
			var config caddy.Config
			if err := json.Unmarshal(adapted, &config); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(&config)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
	}
}
