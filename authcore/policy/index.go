package policy

import (
	"slices"
	"strings"
)

// node is a place in the tree of path segments that the patterns of all rules make. The cost of a look-up is that of the
// path's segments, not of the rules.
type node struct {
	children map[string]*node
	here     []int // rules that name exactly this path, ascending
	below    []int // rules that name this path and everything below it, ascending
}

// add enters a pattern of the rule with this index. Rules are added in ascending order.
func (n *node) add(pat pattern, rule int) {
	at := n
	if pat.text != "" {
		for segment := range strings.SplitSeq(pat.text[1:], "/") {
			// A slash at the end is the last segment, an empty one. The path without it is named too (see pattern).
			if segment == "" && at != n {
				at.here = appendOnce(at.here, rule)
			}
			next := at.children[segment]
			if next == nil {
				next = &node{}
				if at.children == nil {
					at.children = make(map[string]*node)
				}
				at.children[segment] = next
			}
			at = next
		}
	}
	if pat.below {
		at.below = appendOnce(at.below, rule)
	} else {
		at.here = appendOnce(at.here, rule)
	}
}

func appendOnce(rules []int, rule int) []int {
	if len(rules) > 0 && rules[len(rules)-1] == rule {
		return rules
	}
	return append(rules, rule)
}

// covering answers the rules that name every path of a pattern, in no order.
func (n *node) covering(pat pattern) []int {
	rules := slices.Clone(n.below)
	if pat.text != "" {
		for segment := range strings.SplitSeq(pat.text[1:], "/") {
			if n = n.children[segment]; n == nil {
				return rules
			}
			rules = append(rules, n.below...)
		}
	}
	if !pat.below {
		rules = append(rules, n.here...)
	}
	return rules
}

// find answers the index of the first rule that names the path and fits the request, unnamed or misfit.
func (p *Policy) find(root *node, path string, req *Request) int {
	found := p.fit(root.below, unnamed, req)
	for at, rest := root, path[1:]; ; {
		end := strings.IndexByte(rest, '/')
		segment := rest
		if end >= 0 {
			segment = rest[:end]
		}
		if at = at.children[segment]; at == nil {
			return found
		}
		found = p.fit(at.below, found, req)
		if end < 0 {
			return p.fit(at.here, found, req)
		}
		rest = rest[end+1:]
	}
}

// fit answers the first of the rules that fits, where it comes before the one found so far.
func (p *Policy) fit(rules []int, found int, req *Request) int {
	if len(rules) > 0 && found == unnamed {
		found = misfit
	}
	for _, i := range rules {
		if found >= 0 && i >= found {
			break
		}
		if p.rules[i].fits(req.Method, req.Client) {
			return i
		}
	}
	return found
}
