package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// judge says what there is to say about what the walk has found.
func (w *walk) judge() {
	if !slices.ContainsFunc(w.events, func(e event) bool { return e.kind == gates && !e.inErrors }) {
		w.findings = append(w.findings, Finding{
			Level: Error, Code: "no_gate", At: "apps/http/servers",
			Message: "no site has authgate: all of them are served to anybody",
			Advice:  "write authgate into the sites that it shall guard",
		})
		return
	}
	guarded := w.guarded()
	ungated := make(map[string][]event) // sites without a gate
	var sites []string
	for _, e := range w.events {
		if _, dead := w.dead(e); dead && e.kind != gates {
			continue
		}
		switch {
		case e.kind == gates:
			w.judgeGate(e)
		case e.inErrors:
			w.inErrorRoutes(e, guarded)
		case e.kind == serves && len(w.before(e, gates)) > 0:
			w.behind(e)
		case e.kind == serves && w.intercepts(e, guarded):
		case e.kind == serves && w.leaks(e, guarded):
		case len(w.gatesOf(e)) > 0:
			w.beside(e)
		case e.kind == serves && len(w.before(e, guards)) == 0:
			site := e.server + " " + w.site(e)
			if ungated[site] == nil {
				sites = append(sites, site)
			}
			ungated[site] = append(ungated[site], e)
		}
	}
	for _, site := range sites {
		w.ungated(ungated[site])
	}
	w.judgeApp()
}

// guarded answers the places of the backends that stand behind a gate.
func (w *walk) guarded() map[string]event {
	at := make(map[string]event)
	for _, e := range w.events {
		if e.kind != serves || len(w.before(e, gates)) == 0 {
			continue
		}
		for _, dial := range e.h.upstreams() {
			if _, known := at[dial]; !known {
				at[dial] = e
			}
		}
	}
	return at
}

// shared answers an upstream of e that elsewhere stands behind a gate.
func shared(e event, guarded map[string]event) (string, event, bool) {
	for _, dial := range e.h.upstreams() {
		if behind, ok := guarded[dial]; ok {
			return dial, behind, true
		}
	}
	return "", event{}, false
}

// leaks finds backends that are behind a gate here and not there. Whoever trusts identity headers trusts them from there
// too, where they are the client's.
func (w *walk) leaks(e event, guarded map[string]event) bool {
	var partly []event
	for _, g := range w.gatesOf(e) {
		if g.order < e.order && !exclusive(g.way, e.way) {
			partly = append(partly, g)
		}
	}
	if len(partly) > 0 && len(w.before(e, guards)) == 0 {
		w.find(Error, "gate_partly", e,
			fmt.Sprintf("%s is behind authgate for some requests only (%s): all others come to it unasked, with whatever identity headers "+
				"the client writes; and a matcher knows one reading of a path, where backends have many", called(e), partly[0].way.paths()),
			"write authgate without a matcher, and the difference as rules: allow anyone <path>...")
		return true
	}
	dial, behind, ok := shared(e, guarded)
	if !ok {
		return false
	}
	w.find(Error, "backend_ungated", e,
		fmt.Sprintf("%s is reached%s without authgate, and behind it at %s: it would believe the identity headers that a client writes itself",
			dial, forWhat(e), w.site(behind)),
		"let all requests to it pass authgate, and write for what is public: allow anyone <path>...")
	return true
}

// beside finds what is served or answered in the site of a gate without asking it.
func (w *walk) beside(e event) {
	first := true // before every gate of its site
	for _, g := range w.gatesOf(e) {
		first = first && e.order < g.order
	}
	switch {
	case e.kind == serves && e.foreign:
		if first {
			w.find(Note, "unknown_before", e, fmt.Sprintf("the module %s comes before authgate%s; what it does is not known here", e.h.name(), forWhat(e)),
				"if it hands out anything, write it behind authgate, in the same route block")
		}
	case e.kind == serves && len(w.before(e, guards)) > 0:
		w.find(Note, "other_guard", e, called(e)+" is guarded by another mechanism than authgate"+forWhat(e), "")
	case e.kind == serves:
		where := "beside authgate"
		if first {
			where = "before authgate"
		}
		w.find(Warning, "served_ungated", e, fmt.Sprintf("%s stands %s%s, so it is served to anybody", called(e), where, forWhat(e)),
			"if that is not meant, write it behind authgate; what is public goes there too, by: allow anyone <path>...")
	case e.kind == answers && first && directive(e)[0] == "redir":
		w.find(Note, "redirect_before", e, fmt.Sprintf("%s answers%s before authgate, to anybody", called(e), forWhat(e)), "")
	case e.kind == answers && first && e.h["body"] != nil:
		w.find(Note, "answer_before", e, fmt.Sprintf("%s answers%s before authgate, to anybody", called(e), forWhat(e)), "")
	case e.kind == headers && first:
		w.headersBefore(e)
	}
}

// careful are response headers on which the gate's own answers depend.
var careful = []string{"Cache-Control", "Content-Security-Policy", "Location", "Set-Cookie", "Referrer-Policy", "Vary", "Www-Authenticate"}

// headersBefore looks at header directives, which Caddy puts before the gate: they are for the gate's answers too.
func (w *walk) headersBefore(e event) {
	var response struct {
		Deferred bool                `json:"deferred"`
		Set      map[string][]string `json:"set"`
		Add      map[string][]string `json:"add"`
		Delete   []string            `json:"delete"`
		Replace  map[string]any      `json:"replace"`
	}
	e.h.into("response", &response)
	var names []string
	changed := slices.Clone(response.Delete)
	for _, m := range []map[string][]string{response.Set, response.Add} {
		for name := range m {
			changed = append(changed, name)
		}
	}
	for name := range response.Replace {
		changed = append(changed, name)
	}
	open := false
	for _, name := range changed {
		open = open || strings.EqualFold(name, "Access-Control-Allow-Credentials")
		if slices.ContainsFunc(careful, func(c string) bool { return strings.EqualFold(c, name) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case response.Deferred && len(names) > 0:
		w.find(Warning, "header_overrides", e, fmt.Sprintf("header changes %s of the gate's own answers too, after the gate has set them", strings.Join(names, " and ")),
			"write it behind authgate: in a route block, or as header_down of reverse_proxy")
	case open:
		w.find(Warning, "header_cors", e, "header lets pages of other origins read the gate's own answers with the cookie of whoever looks at them",
			"write Access-Control-Allow-Credentials behind authgate: in a route block, or as header_down of reverse_proxy")
	case len(changed) > 0:
		slices.Sort(changed)
		w.find(Note, "header_before", e, fmt.Sprintf("header %s stands before authgate and is for the gate's own answers too", strings.Join(changed, ", ")), "")
	}
}

// inErrorRoutes finds what error routes hand out. What the gate refuses comes there, and so does what went wrong before it,
// with the headers that the client has sent.
func (w *walk) inErrorRoutes(e event, guarded map[string]event) {
	if e.kind != serves || e.foreign || len(w.gatesOf(e)) == 0 || len(w.before(e, gates)) > 0 || len(w.before(e, guards)) > 0 {
		return
	}
	w.refused(e, "handle_errors", "/{err.status_code}.html", comes(e.way), guarded)
}

// intercepts finds what an intercept hands out in place of what a gate behind it answers: as in error routes, to whom it has
// refused it. It answers whether that is what e does.
func (w *walk) intercepts(e event, guarded map[string]event) bool {
	if e.instead == nil || e.h.name() != "reverse_proxy" && e.h.name() != "file_server" || len(w.before(e, guards)) > 0 {
		return false
	}
	for _, g := range w.gatesOf(e) {
		if g.order > e.order && !exclusive(e.way, g.way) && (covers(g.way, e.way) || covers(e.instead.way, g.way)) {
			w.refused(e, "intercept", "/{resp.status_code}.html", e.instead.comes(), guarded)
			return true
		}
	}
	return false
}

// comes reports whether answers by which a gate refuses something come to an intercept, where that is certain.
func (i *instead) comes() bool {
	return !i.some && (len(i.of) == 0 || slices.ContainsFunc(i.of, func(n json.Number) bool {
		return slices.Contains([]string{"302", "3", "400", "4", "401", "403", "503", "5"}, n.String())
	}))
}

// refused finds what is handed out in place of refusals of a gate, which come there or may not.
func (w *walk) refused(e event, where, page string, come bool, guarded map[string]event) {
	fixed := slices.ContainsFunc(w.before(e, rewrites), func(r event) bool { return r.instead == e.instead && fixedTarget(r) })
	proxy := e.h.name() == "reverse_proxy"
	switch {
	case !fixed && come && proxy:
		w.find(Error, "errors_proxied", e, called(e)+" in "+where+" gets what authgate has refused: the backend answers it all the same",
			"write a rewrite to a page of errors before it, or files instead of a backend")
	case !fixed && come && e.h.name() == "file_server":
		w.find(Error, "errors_served", e, called(e)+" in "+where+" hands out the very file that authgate has refused",
			"write before it: rewrite * "+page)
	case proxy && !fixed:
		w.find(Warning, "errors_proxied", e, called(e)+" in "+where+" gets requests that no rule has judged, with whatever identity headers the client writes",
			"write a rewrite to a page of errors before it, or files instead of a backend")
	case proxy:
		dial, behind, ok := shared(e, guarded)
		if !ok {
			return
		}
		if names := w.before(behind, gates)[0].gate.stripped(); len(names) > 0 {
			w.find(Warning, "errors_forged", e, fmt.Sprintf("%s gets errors from before authgate, too, with whatever identity headers the client has written", dial),
				"write before it: "+strings.Join(names, ", ")+"; or files instead of a backend")
		}
	}
}

// fixedTarget reports whether a rewrite leads to one place, whatever was asked for.
func fixedTarget(e event) bool {
	uri := e.h.text("uri")
	return strings.HasPrefix(uri, "/") && !strings.Contains(uri, "{http.request.") && !strings.Contains(uri, "{http.regexp.")
}

// comes reports whether what the gate refuses comes by a way in error routes: those for some statuses only say which.
func comes(v way) bool {
	for _, s := range v {
		for _, set := range s.match {
			text := compact(set["expression"]) // a text, or an object with one
			if !strings.Contains(text, "http.error.status_code") || !strings.Contains(text, " in [") || strings.Contains(text, ">=") {
				continue
			}
			if !slices.ContainsFunc([]string{"400", "401", "403", "503"}, func(code string) bool { return strings.Contains(text, code) }) {
				return false
			}
		}
	}
	return true
}

// ungated finds a site without a gate, by what it serves.
func (w *walk) ungated(served []event) {
	first := served[0]
	if sender, ok := w.sends(first); ok {
		w.find(Warning, "cookie_given", first, fmt.Sprintf("the site has no authgate and is below the cookie domain of %s: browsers send it the session cookies, which %s gets",
			sender.gate.Origin, called(first)), "write authgate there too, or move it to another domain")
		return
	}
	var what []string
	for _, e := range served {
		if name := called(e); !slices.Contains(what, name) {
			what = append(what, name)
		}
	}
	w.find(Warning, "site_ungated", first, "the site has no authgate: anybody gets "+strings.Join(what, ", "),
		"if that is not meant, write authgate into it")
}

// sends answers a gate whose cookies browsers send to the site of e.
func (w *walk) sends(e event) (event, bool) {
	for _, g := range w.events {
		if g.kind != gates || g.gate.CookieDomain == "" {
			continue
		}
		for _, host := range e.way.hosts() {
			if host == g.gate.CookieDomain || strings.HasSuffix(host, "."+g.gate.CookieDomain) {
				return g, true
			}
		}
	}
	return event{}, false
}

// forWhat tells which requests of a site come to an event, where not all do.
func forWhat(e event) string {
	if paths := e.way.paths(); paths != "" {
		return " (" + paths + ")"
	}
	return ""
}
