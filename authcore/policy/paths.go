package policy

import (
	"fmt"
	"slices"
)

// Paths is a set of paths, written as those of rules. It implements authcore.Reach.
type Paths struct{ policy *Policy }

// CompilePaths makes a set of one or more patterns. Its errors say what to write instead.
func CompilePaths(patterns []string) (*Paths, error) {
	if len(patterns) == 0 {
		return nil, fmt.Errorf("policy: no path is named; write /* for all")
	}
	for i, path := range patterns {
		if err := checkPath(path); err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		if slices.Contains(patterns[:i], path) {
			return nil, fmt.Errorf("policy: path %q is named twice; name it once", path)
		}
	}
	p, err := Compile([]Rule{{Anyone: true, Paths: patterns}}, "")
	if err != nil {
		return nil, err
	}
	return &Paths{p}, nil
}

// Reaches implements authcore.Reach: a path is in the set where every reading of it is.
func (p *Paths) Reaches(path string) bool {
	return p.policy.strictest(Request{Method: "GET", Path: path}).Verdict == Allow
}
