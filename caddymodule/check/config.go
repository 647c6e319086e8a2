package check

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
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
		Role string   `json:"role"`
		To   []string `json:"to"`
	} `json:"grants"`
	Passkey *struct {
		Off  bool   `json:"off"`
		RPID string `json:"rp_id"`
	} `json:"passkey"`
}

// gateConfig is what is read of an authgate handler.
type gateConfig struct {
	Origin       string   `json:"origin"`
	Path         string   `json:"path"`
	Methods      []string `json:"methods"`
	CookieDomain string   `json:"cookie_domain"`
	SignInAt     string   `json:"sign_in_at"`
	Rules        []struct {
		Source string   `json:"source"`
		Roles  []string `json:"roles"`
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
	return len(s.Listen) > 0 && !slices.ContainsFunc(s.Listen, func(l string) bool { return !strings.HasSuffix(l, ":"+httpPort) })
}
