package check

import (
	"encoding/json"
	"slices"
	"strings"
)

// step is one route on the way to a handler.
type step struct {
	list     int // which list of routes
	index    int // the place in it
	group    string
	terminal bool
	match    []map[string]json.RawMessage // sets of which one must match; none: always
}

// way is the routes through which a request comes to a handler, from the server on.
type way []step

// exclusive reports whether no request comes by both ways, as they part at routes of which the first that matches ends it
// for the others.
func exclusive(a, b way) bool {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x.list != y.list {
			return false
		}
		if x.index == y.index {
			continue
		}
		earlier := x
		if y.index < x.index {
			earlier = y
		}
		return x.group != "" && x.group == y.group || earlier.terminal
	}
	return false
}

// covers reports whether every request that comes by the way b would match all that the way a asks for.
func covers(a, b way) bool {
	for _, x := range a {
		if len(x.match) == 0 {
			continue
		}
		if !slices.ContainsFunc(b, func(y step) bool { return within(y.match, x.match) }) {
			return false
		}
	}
	return true
}

// within reports whether whatever matches inner matches outer, where that is certain.
func within(inner, outer []map[string]json.RawMessage) bool {
	if len(inner) == 0 {
		return len(outer) == 0
	}
	for _, set := range inner {
		if !slices.ContainsFunc(outer, func(wider map[string]json.RawMessage) bool { return setWithin(set, wider) }) {
			return false
		}
	}
	return true
}

func setWithin(inner, outer map[string]json.RawMessage) bool {
	for name, wide := range outer {
		narrow, ok := inner[name]
		if !ok || !matcherWithin(name, narrow, wide) {
			return false
		}
	}
	return true
}

func matcherWithin(name string, inner, outer json.RawMessage) bool {
	if compact(inner) == compact(outer) {
		return true
	}
	var narrow, wide []string
	if json.Unmarshal(inner, &narrow) != nil || json.Unmarshal(outer, &wide) != nil {
		return false
	}
	var fits func(narrow, wide string) bool
	switch name {
	case "path":
		fits = pathWithin
	case "host":
		fits = hostWithin
	case "method", "protocol":
		fits = func(narrow, wide string) bool { return narrow == wide }
	default:
		return false
	}
	for _, n := range narrow {
		if !slices.ContainsFunc(wide, func(w string) bool { return fits(n, w) }) {
			return false
		}
	}
	return true
}

// pathWithin reports whether each path of one pattern of Caddy's is one of the other, where that is certain.
func pathWithin(narrow, wide string) bool {
	narrow, wide = strings.ToLower(narrow), strings.ToLower(wide)
	if narrow == wide || wide == "*" || wide == "/*" {
		return true
	}
	prefix, ok := strings.CutSuffix(wide, "*")
	if !ok || strings.ContainsAny(prefix, "*?[%") || strings.Contains(narrow, "%") {
		return false
	}
	fixed, _, _ := strings.Cut(narrow, "*")
	return strings.HasPrefix(fixed, prefix)
}

// hostWithin is pathWithin for hosts: a label that is * stands for one label.
func hostWithin(narrow, wide string) bool {
	n, w := strings.Split(strings.ToLower(narrow), "."), strings.Split(strings.ToLower(wide), ".")
	if len(n) != len(w) {
		return false
	}
	for i := range n {
		if w[i] != "*" && w[i] != n[i] {
			return false
		}
	}
	return true
}

// hosts are those that the way is for; none: all.
func (v way) hosts() []string {
	for _, s := range v {
		var all []string
		for _, set := range s.match {
			var list []string
			if raw, ok := set["host"]; !ok || json.Unmarshal(raw, &list) != nil {
				all = nil
				break
			}
			all = append(all, list...)
		}
		if len(all) > 0 {
			return all
		}
	}
	return nil
}

// paths tells for people which requests of a site the way is for; empty: all.
func (v way) paths() string {
	var parts []string
	for _, s := range v {
		var sets []string
		for _, set := range s.match {
			var words []string
			for _, name := range sortedNames(set) {
				if name == "host" {
					continue
				}
				if name == responses {
					words = append(words, "some responses")
					continue
				}
				words = append(words, name+" "+values(set[name]))
			}
			if len(words) == 0 {
				sets = nil
				break
			}
			sets = append(sets, strings.Join(words, ", "))
		}
		if len(sets) > 0 {
			parts = append(parts, strings.Join(sets, " or "))
		}
	}
	return strings.Join(parts, "; ")
}

func sortedNames(set map[string]json.RawMessage) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func values(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	return compact(raw)
}
