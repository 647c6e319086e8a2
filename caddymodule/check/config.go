package check

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/keysign"
)

// config is what is read of a configuration. What else stands there, or has another form, is not looked at.
type config struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Logging logging `json:"logging"`
	Apps    struct {
		HTTP struct {
			HTTPPort int               `json:"http_port"`
			Servers  map[string]server `json:"servers"`
		} `json:"http"`
		Authgate app `json:"authgate"`
	} `json:"apps"`
}

type server struct {
	Listen []string `json:"listen"`
	Routes []route  `json:"routes"`
	Errors struct {
		Routes []route `json:"routes"`
	} `json:"errors"`
	NamedRoutes map[string]route `json:"named_routes"`
	Trusted     *struct {
		Source string   `json:"source"`
		Ranges []string `json:"ranges"`
	} `json:"trusted_proxies"`
	TLS   []json.RawMessage `json:"tls_connection_policies"`
	HTTPS struct {
		Disabled bool `json:"disable"`
	} `json:"automatic_https"`
	Logs *accessLogs `json:"logs"`
}

type route struct {
	Group    string                       `json:"group"`
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []handler                    `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

// handler is a handler of any module, or what the walk needs of it: members that others use otherwise are not decoded.
type handler map[string]json.RawMessage

func (h handler) name() string { return h.text("handler") }

func (h handler) text(member string) string {
	var s string
	_ = json.Unmarshal(h[member], &s) // of another type: as if it were not there
	return s
}

// into decodes a member, and answers whether it is there and of that type.
func (h handler) into(member string, v any) bool {
	raw, ok := h[member]
	return ok && json.Unmarshal(raw, v) == nil
}

// upstreams are what a reverse_proxy dials, sorted.
func (h handler) upstreams() []string {
	var list []struct {
		Dial string `json:"dial"`
	}
	h.into("upstreams", &list)
	var dials []string
	for _, u := range list {
		dials = append(dials, u.Dial)
	}
	slices.Sort(dials)
	return slices.Compact(dials)
}

// asks reports whether a reverse_proxy only asks another gate, as forward_auth does: a response that has no body of its own
// goes on to the next handler.
func (h handler) asks() bool {
	var rewrite struct{ Method, URI string }
	return h.into("rewrite", &rewrite) && rewrite.Method == "GET" && rewrite.URI != "" && len(h["handle_response"]) > 0
}

// app is what is read of the options of the app.
type app struct {
	Registration string `json:"registration"`
	Grants       []struct {
		Source string   `json:"source"`
		Role   string   `json:"role"`
		To     []string `json:"to"`
	} `json:"grants"`
	Wallet struct {
		Off    bool   `json:"off"`
		Solana string `json:"solana"`
	} `json:"wallet"`
	Keys    []keysign.Kind  `json:"keys"`
	Mail    json.RawMessage `json:"mail"`
	Passkey *struct {
		Off  bool   `json:"off"`
		RPID string `json:"rp_id"`
	} `json:"passkey"`
}

// ways are those of the app.
func (a app) ways() gateway.Ways {
	return gateway.Ways{Mail: len(a.Mail) > 0, Wallet: !a.Wallet.Off, Solana: !a.Wallet.Off && a.Wallet.Solana != "", Keys: a.Keys}
}

// gateConfig is what is read of an authgate handler.
type gateConfig struct {
	Source       string   `json:"source"`
	Origin       string   `json:"origin"`
	Path         string   `json:"path"`
	Methods      []string `json:"methods"`
	CookieDomain string   `json:"cookie_domain"`
	SignInAt     string   `json:"sign_in_at"`
	Rules        []struct {
		Source string   `json:"source"`
		Roles  []string `json:"roles"`
		Users  []string `json:"users"`
		From   []string `json:"from"`
	} `json:"rules"`
	Headers          []gateHeader `json:"headers"`
	Preset           string       `json:"header_preset"`
	NoDefaultHeaders bool         `json:"no_default_headers"`
}

type gateHeader struct {
	Name string `json:"name"`
}

func (c gateConfig) mount() string {
	if c.Path == "" {
		return "/auth"
	}
	return c.Path
}

// compact is JSON without spaces and with sorted members, by which two of the same meaning are the same.
func compact(raw json.RawMessage) string {
	var v any
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber()
	if in.Decode(&v) != nil {
		return string(raw)
	}
	var out bytes.Buffer
	to := json.NewEncoder(&out)
	to.SetEscapeHTML(false)
	if to.Encode(v) != nil {
		return string(raw)
	}
	return strings.TrimSpace(out.String())
}

// plainHTTP reports whether browsers reach the server without TLS, where that is certain.
func (s server) plainHTTP(httpPort string) bool {
	if len(s.TLS) > 0 {
		return false
	}
	if s.HTTPS.Disabled {
		return true
	}
	ports := func(port string) int {
		n := 0
		for _, l := range s.Listen {
			if strings.HasSuffix(l, ":"+port) {
				n++
			}
		}
		return n
	}
	// Caddy switches TLS on for names of hosts, and where none stands it has none to get a certificate for.
	named := slices.ContainsFunc(s.Routes, func(r route) bool {
		return slices.ContainsFunc(r.Match, func(set map[string]json.RawMessage) bool { return set["host"] != nil })
	})
	return len(s.Listen) > 0 && (ports(httpPort) == len(s.Listen) || !named && ports("443") == 0)
}
