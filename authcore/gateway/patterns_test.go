package gateway

import (
	"fmt"
	"net/http"
	"testing"
)

func TestPatterns(t *testing.T) {
	p := newPatterns(map[string]route{
		"session": {}, "credentials/*": {}, "admin/users": {}, "admin/users/*": {}, "admin/users/*/roles": {}, "admin/users/*/roles/*": {},
		"admin/users/*/*": {}, "admin/*/log": {},
	})
	for _, one := range []struct{ path, want string }{
		{"credentials/7", "credentials/* [7]"},
		{"credentials/*", "credentials/* [*]"},
		{"credentials", " []"},
		{"credentials/7/8", " []"},
		{"admin/users/u1", "admin/users/* [u1]"},
		{"admin/users/u1/roles", "admin/users/*/roles [u1]"},
		{"admin/users/u1/other", "admin/users/*/* [u1 other]"},
		{"admin/users/*/roles", "admin/users/*/roles [*]"},
		{"admin/users/u1/roles/ed", "admin/users/*/roles/* [u1 ed]"},
		{"admin/users/log", "admin/users/* [log]"},
		{"admin/rules/log", "admin/*/log [rules]"},
		{"other/users/u1", " []"},
		{"", " []"},
	} {
		pattern, values := p.match(one.path)
		if got := fmt.Sprint(pattern, " ", values); got != one.want {
			t.Errorf("%s: got %q, want %q", one.path, got, one.want)
		}
	}
}

// The path values end up where handlers look for them, also where a client writes the star itself.
func TestPathValues(t *testing.T) {
	h := build(t)
	for path, want := range map[string]string{"a/1/b/2": "1 2", "a/*/b/*": "* *", "c/x": " x", "c/*": " *"} {
		h.gateway.routes = map[string]route{}
		for _, pattern := range []string{"a/*/b/*", "c/*"} {
			h.gateway.routes[pattern] = route{get: func(w http.ResponseWriter, r *http.Request, _ *visitor) error {
				return writeJSON(w, r, r.PathValue("of")+" "+r.PathValue("name"))
			}}
		}
		h.gateway.patterns = newPatterns(h.gateway.routes)
		var got string
		if h.do("GET", path, "").ok(&got); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
