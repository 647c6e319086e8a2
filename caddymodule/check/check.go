// Package check reads a configuration of Caddy and tells what of it stands open, or cannot work, although nothing of it is
// invalid: what is served without asking a gate of Authgate, or beside one, and what a gate is told that comes to nothing.
//
// It walks what the servers of the http app do in the order in which Caddy does it: routes, subroutes, named routes, what
// is done with responses, and error routes. It knows no request: of two matchers it sees that one takes all that the other
// does where they are the same, or lists of paths, hosts or methods of which one is in the other; any others it takes for
// different.
//
// What it promises: a handler of the standard modules that hands out something, and that requests can reach without having
// passed a gate, is in the report, unless a gate is before it in the same matchers. What it will not do: judge what modules
// of others do (it names them), or say that what it does not report is safe.
package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Level is how bad a finding is.
type Level string

const (
	Error   Level = "error"   // a gate is passed by, or cannot work
	Warning Level = "warning" // what may be meant, and is worth a look
	Note    Level = "note"    // good to know
)

// Finding is one thing that was found.
type Finding struct {
	Level Level `json:"level"`
	// Code is for programs, and stays the same.
	Code string `json:"code"`
	// Site is the hosts of the site, or where its server listens; empty: it is about the whole configuration.
	Site string `json:"site,omitempty"`
	// Source is where it is written, "Caddyfile:12"; empty: that is not known.
	Source string `json:"source,omitempty"`
	// At is the place in Caddy's JSON, as the admin endpoint has it below /config.
	At      string `json:"at,omitempty"`
	Message string `json:"message"`          // what is so, and what comes of it
	Advice  string `json:"advice,omitempty"` // what to write instead

	hosts    []string // of the site
	seek     []string // a directive and what stands in it, to find Source
	inErrors bool     // it stands in handle_errors
}

// Configuration answers what there is to say about a configuration in Caddy's JSON, the worst first. What other modules
// make of it is not looked into: that it is valid is for Caddy to say.
func Configuration(text []byte) ([]Finding, error) {
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	w := walk{config: &c}
	w.servers()
	w.judge()
	slices.SortStableFunc(w.findings, func(a, b Finding) int {
		return cmp.Compare(rank(a.Level), rank(b.Level))
	})
	return w.findings, nil
}

func rank(l Level) int { return slices.Index([]Level{Error, Warning, Note}, l) }

// Count answers how many findings have the level.
func Count(findings []Finding, level Level) int {
	n := 0
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}
