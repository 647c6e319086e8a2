package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// changes are what a directive does to the headers of a request.
type changes struct {
	Set, Add map[string][]string
	Delete   []string
}

// identity looks at what becomes of identity headers between the gate and a backend.
func (w *walk) identity(e, g event) {
	for _, change := range append(w.before(e, headers), e) {
		if change.order < g.order {
			continue
		}
		var ops struct {
			Request changes `json:"request"`
		}
		if change.order == e.order {
			change.h.into("headers", &ops)
		} else {
			change.h.into("request", &ops.Request)
		}
		for _, list := range []map[string][]string{ops.Request.Set, ops.Request.Add} {
			for _, name := range slices.Sorted(maps.Keys(list)) {
				w.identitySet(change, g, name, strings.Join(list[name], " "))
			}
		}
		w.identityDeleted(change, g, ops.Request.Delete)
	}
}

// identitySet looks at a header that is set, or added, behind a gate.
func (w *walk) identitySet(change, g event, name, value string) {
	is := func(n string) bool { return spelled(n) == spelled(name) }
	told := g.gate.tells()
	if !slices.ContainsFunc(slices.Concat(told, gateway.PresetHeaders(""), gateway.PresetHeaders(g.gate.Preset)), is) {
		return
	}
	switch {
	case strings.Contains(value, "{http.request.") || strings.Contains(value, "{http.vars."):
		w.find(Error, "identity_from_client", change, fmt.Sprintf("%s is set behind authgate to what the client says (%s): anybody is whoever they write", name, value),
			"take that out; authgate sets it")
	case slices.ContainsFunc(told, is) && !strings.Contains(value, "{"): // what a placeholder says may be made of who it is
		w.find(Warning, "identity_overwritten", change, fmt.Sprintf("%s%s is set behind authgate to %s: the backend takes everybody for that", name, g.gate.asPreset(), value),
			"take that out; authgate sets it. For a header of another name or form write in authgate: header <name> <value>")
	}
}

// identityDeleted looks at headers that are deleted behind a gate. Of the default ones that is how a backend is told less.
func (w *walk) identityDeleted(change, g event, patterns []string) {
	var gone []string
	chosen := false // by name in the configuration
	for _, name := range g.gate.tells() {
		if !slices.ContainsFunc(patterns, func(p string) bool { return deletes(p, name) }) {
			continue
		}
		gone = append(gone, name)
		chosen = chosen || g.gate.Preset != "" || slices.ContainsFunc(g.gate.Headers, func(h gateHeader) bool { return h.Name == name })
	}
	if len(gone) == 0 {
		return
	}
	level, advice := Note, ""
	if chosen {
		level, advice = Warning, "take that out; what the backend shall not have, leave out in authgate, with headers off and a header <name> <value> for each that it shall"
	}
	w.find(level, "identity_deleted", change, fmt.Sprintf("%s%s is deleted behind authgate: the backend does not get it", strings.Join(gone, ", "), g.gate.asPreset()), advice)
}

// deletes reports whether a header goes by a name that is to be deleted, which may begin or end in *, or do both.
func deletes(pattern, name string) bool {
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	end, begins := strings.CutPrefix(pattern, "*")
	inner, ends := strings.CutSuffix(end, "*")
	switch {
	case pattern == "*":
		return true
	case begins && ends:
		return strings.Contains(name, inner)
	case begins:
		return strings.HasSuffix(name, end)
	case ends:
		return strings.HasPrefix(name, inner)
	}
	return name == pattern
}

// tells answers the names of the headers that a gate sends to its backends.
func (c gateConfig) tells() []string {
	var told []string
	if !c.NoDefaultHeaders {
		told = gateway.PresetHeaders(c.Preset)
	}
	for _, h := range c.Headers {
		told = append(told, h.Name)
	}
	return told
}

// stripped are the directives that take from a request what a gate would tell.
func (c gateConfig) stripped() []string {
	if c.Preset == "" && !c.NoDefaultHeaders && len(c.Headers) == 0 {
		return []string{"request_header -Remote-*", "request_header -X-Authgate-*"}
	}
	var list []string
	for _, name := range c.tells() {
		list = append(list, "request_header -"+name)
	}
	return list
}

// asPreset tells to people of which preset headers are, where one is chosen.
func (c gateConfig) asPreset() string {
	if c.Preset == "" {
		return ""
	}
	return " (headers " + c.Preset + ")"
}

// spelled is the name of a header in the one spelling in which backends may read all of them.
func spelled(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}
