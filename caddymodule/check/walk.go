package check

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// event is a handler on the way of requests.
type event struct {
	kind
	h        handler
	gate     gateConfig // of a gate
	way      way
	order    int // in which requests come by
	at       string
	server   string
	inErrors bool // it stands in error routes
	instead  *instead
	ends     bool // what comes here goes no further
	foreign  bool // it is of no module that is known here
}

type kind int

const (
	gates    kind = iota // an authgate
	serves               // hands out something: a proxy, files
	answers              // says what stands in the configuration: redir, respond
	guards               // lets in whom another mechanism knows: basic_auth, forward_auth
	rewrites             // changes what is asked for
	headers              // changes headers
	notes                // says what is logged
)

// instead is a handle_response of an intercept, which does something else in place of answers of what comes behind it.
type instead struct {
	way  way           // to the intercept
	of   []json.Number // statuses, or their first digits; none: all
	some bool          // it is for answers with some headers, of which nothing is known
}

// walk collects what handlers there are, and what there is to say about them.
type walk struct {
	config   *config
	server   string
	inErrors bool
	instead  *instead // the one that the walk is in
	lists    int
	invoked  []string // named routes that the walk is in
	events   []event
	findings []Finding
}

// servers walks all of them.
func (w *walk) servers() {
	for _, name := range slices.Sorted(maps.Keys(w.config.Apps.HTTP.Servers)) {
		s := w.config.Apps.HTTP.Servers[name]
		w.server = name
		at := "apps/http/servers/" + name
		w.list(s.Routes, nil, at+"/routes")
		w.inErrors = true
		w.list(s.Errors.Routes, nil, at+"/errors/routes")
		w.inErrors = false
	}
}

// list walks routes in their order.
func (w *walk) list(routes []route, before way, at string) {
	w.lists++
	list := w.lists
	taken := make(map[string]bool) // groups of which a route takes every request
	for i, r := range routes {
		if taken[r.Group] {
			continue
		}
		here := append(slices.Clip(before), step{list, i, r.Group, r.Terminal, r.Match})
		w.handlers(r.Handle, here, at+"/"+strconv.Itoa(i))
		if len(r.Match) > 0 {
			continue
		}
		if r.Group != "" {
			taken[r.Group] = true
		}
		if r.Terminal {
			return
		}
	}
}

func (w *walk) handlers(list []handler, by way, at string) {
	for i, h := range list {
		w.handler(h, by, at+"/handle/"+strconv.Itoa(i))
	}
}

// quiet are the handlers of standard modules that hand on what they get, or answer with nothing of the site's.
var quiet = []string{
	"encode", "map", "templates", "request_body", "log_append", "tracing", "push", "acme_server", "copy_response_headers",
	"copy_response", "timeouts",
}

func (w *walk) handler(h handler, by way, at string) {
	e := event{h: h, way: by, at: at}
	switch name := h.name(); {
	case name == "authgate":
		e.kind = gates
		for member, v := range map[string]any{
			"source": &e.gate.Source, "origin": &e.gate.Origin, "path": &e.gate.Path, "methods": &e.gate.Methods, "cookie_domain": &e.gate.CookieDomain,
			"sign_in_at": &e.gate.SignInAt, "rules": &e.gate.Rules, "headers": &e.gate.Headers, "header_preset": &e.gate.Preset,
			"no_default_headers": &e.gate.NoDefaultHeaders,
		} {
			h.into(member, v)
		}
	case name == "subroute":
		w.subroute(h, by, at)
		return
	case name == "invoke":
		w.invoke(h, by)
		return
	case name == "reverse_proxy":
		w.responses(h, by, at)
		if e.kind = serves; h.asks() {
			e.kind = guards
		} else {
			e.ends = true
		}
	case name == "intercept":
		before := w.instead
		w.responses(h, by, at)
		w.instead = before
		return
	case name == "file_server":
		var on bool
		h.into("pass_thru", &on)
		e.kind, e.ends = serves, !on
	case name == "metrics":
		e.kind, e.ends = serves, true
	case name == "static_response" || name == "error":
		e.kind, e.ends = answers, true
	case name == "authentication":
		e.kind = guards
	case name == "rewrite":
		e.kind = rewrites
	case name == "headers":
		e.kind = headers
	case name == "vars":
		e.kind = notes
	case slices.Contains(quiet, name):
		return
	default:
		e.kind, e.foreign = serves, true
	}
	w.add(e)
}

func (w *walk) add(e event) {
	e.order, e.server, e.inErrors, e.instead = len(w.events), w.server, w.inErrors, w.instead
	w.events = append(w.events, e)
}

func (w *walk) subroute(h handler, by way, at string) {
	var routes []route
	h.into("routes", &routes)
	w.list(routes, by, at+"/routes")
	var failed struct {
		Routes []route `json:"routes"`
	}
	if h.into("errors", &failed) {
		before := w.inErrors
		w.inErrors = true
		w.list(failed.Routes, by, at+"/errors/routes")
		w.inErrors = before
	}
}

func (w *walk) invoke(h handler, by way) {
	name := h.text("name")
	named, ok := w.config.Apps.HTTP.Servers[w.server].NamedRoutes[name]
	if !ok || slices.Contains(w.invoked, name) { // either is an error of Caddy's
		return
	}
	w.invoked = append(w.invoked, name)
	w.list([]route{named}, by, "apps/http/servers/"+w.server+"/named_routes/"+name)
	w.invoked = w.invoked[:len(w.invoked)-1]
}

// responses is the matcher that stands for those of a handle_response. No module of Caddy's has this name.
const responses = "response"

// responses walks what is done in place of some responses of a backend.
func (w *walk) responses(h handler, by way, at string) {
	var list []struct {
		Match struct {
			StatusCode []json.Number   `json:"status_code"`
			Headers    json.RawMessage `json:"headers"`
		} `json:"match"`
		Routes []route `json:"routes"`
	}
	h.into("handle_response", &list)
	for i, r := range list {
		at := at + "/handle_response/" + strconv.Itoa(i)
		w.lists++
		// Which responses these are is not known, so they are all its own matcher.
		condition := handler{responses: []byte(strconv.Quote(at))}
		here := append(slices.Clip(by), step{list: w.lists, match: []map[string]json.RawMessage{condition}})
		if h.name() == "intercept" {
			w.instead = &instead{by, r.Match.StatusCode, r.Match.Headers != nil}
		}
		w.list(r.Routes, here, at+"/routes")
	}
}

// meets reports whether a request that comes to b may have come by a before, and does so always.
func meets(a, b event) bool {
	return a.server == b.server && a.inErrors == b.inErrors && a.order < b.order && !exclusive(a.way, b.way) && covers(a.way, b.way)
}

// before answers the events of a kind that every request has come by that comes to e.
func (w *walk) before(e event, k kind) []event {
	var list []event
	for _, other := range w.events[:e.order] {
		if other.kind == k && meets(other, e) {
			list = append(list, other)
		}
	}
	return list
}

// dead answers a handler that leaves no request for e.
func (w *walk) dead(e event) (event, bool) {
	for _, other := range w.events[:e.order] {
		if other.ends && meets(other, e) {
			return other, true
		}
	}
	return event{}, false
}

// gatesOf answers the gates of the site of an event, outside of error routes.
func (w *walk) gatesOf(e event) []event {
	var list []event
	for _, g := range w.events {
		if g.kind == gates && !g.inErrors && g.server == e.server && sameSite(g.way.hosts(), e.way.hosts()) {
			list = append(list, g)
		}
	}
	return list
}

// sameSite reports whether requests for one list of hosts may be for the other too.
func sameSite(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return hostWithin(x, y) || hostWithin(y, x) })
	})
}

// site tells which site an event is of.
func (w *walk) site(e event) string {
	if hosts := e.way.hosts(); len(hosts) > 0 {
		return strings.Join(hosts, ", ")
	}
	return strings.Join(w.config.Apps.HTTP.Servers[e.server].Listen, ", ")
}

// find adds a finding about an event.
func (w *walk) find(level Level, code string, e event, message, advice string) {
	f := Finding{Level: level, Code: code, Message: message, Advice: advice, At: e.at, Site: w.site(e), hosts: e.way.hosts(), seek: directive(e), inErrors: e.inErrors, Source: e.gate.Source}
	w.findings = append(w.findings, f)
}

// directive is how an event is written in a Caddyfile: the name, and what stands with it.
func directive(e event) []string {
	switch e.h.name() {
	case "reverse_proxy":
		name := "reverse_proxy"
		var transport struct{ Protocol string }
		switch {
		case e.h.asks():
			name = "forward_auth"
		case e.h.into("transport", &transport) && transport.Protocol == "fastcgi":
			name = "php_fastcgi"
		}
		return append([]string{name}, e.h.upstreams()...)
	case "static_response":
		var to struct{ Location []string }
		if e.h.into("headers", &to) && len(to.Location) > 0 {
			return append([]string{"redir"}, to.Location...)
		}
		return []string{"respond"}
	case "headers":
		if e.h["response"] == nil {
			return []string{"request_header"}
		}
		return []string{"header"}
	case "authentication":
		return []string{"basic_auth"}
	}
	return []string{e.h.name()}
}

// called is how an event is called to people.
func called(e event) string {
	words := directive(e)
	if len(words) > 3 {
		words = append(words[:3:3], "…")
	}
	name := strings.Join(words, " ")
	if e.h.name() == "file_server" {
		if root := e.h.text("root"); root != "" {
			name += " (root " + root + ")"
		}
	}
	return name
}
