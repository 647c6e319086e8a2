package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// reach is the set of requests that a rule names: paths by methods by addresses.
type reach struct {
	patterns []pattern
	methods  []string       // none: any
	from     []netip.Prefix // none: any
}

// checkReach refuses rules that can never decide anything, because the gateway answers there itself or because earlier
// rules take every request that they name. It is exact: methods and addresses of several rules are added up. Paths need
// not be, as no number of narrower patterns makes up a wider one.
func checkReach(rules []Rule, reaches []reach, mount string) error {
	mount = strings.TrimSuffix(foldExact(mount), "/")
	for i, r := range reaches {
		var rest []pattern
		for _, pat := range r.patterns {
			if mount == "" || !(pattern{mount, true}).covers(pat) {
				rest = append(rest, pat)
			}
		}
		if len(rest) == 0 {
			return fmt.Errorf("policy: %s can never decide anything: the gateway itself answers %s and everything below; take the rule out", describe(rules, i), mount)
		}
		r.patterns = rest
		before, shadowed := shadow(r, reaches[:i])
		if !shadowed {
			continue
		}
		names := make([]string, len(before))
		for k, j := range before {
			names[k] = describe(rules, j)
		}
		if len(names) == 1 {
			return fmt.Errorf("policy: %s can never decide anything: %s comes first and takes every request it names; move it before that rule or take it out",
				describe(rules, i), names[0])
		}
		return fmt.Errorf("policy: %s can never decide anything: %s come first and together take every request it names; move it before them or take it out",
			describe(rules, i), strings.Join(names, " and "))
	}
	return nil
}

// shadow reports whether earlier rules take every request that r names, and which: a single one if one does.
func shadow(r reach, earlier []reach) ([]int, bool) {
	for j := range earlier {
		if _, all := takers(r, earlier[j:j+1]); all {
			return []int{j}, true
		}
	}
	return takers(r, earlier)
}

func takers(r reach, earlier []reach) ([]int, bool) {
	// A rule for any method is for methods that no rule names, too, and only rules for any method take those. Whatever
	// takes them takes the others, so this one class ("") stands for all.
	methods := r.methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	var all []int
	for _, pat := range r.patterns {
		for _, method := range methods {
			var taken []netip.Prefix
			for j, e := range earlier {
				if len(e.methods) > 0 && !slices.Contains(e.methods, method) || !e.names(pat) {
					continue
				}
				taken = append(taken, addresses(e.from)...)
				all = append(all, j)
			}
			for _, prefix := range addresses(r.from) {
				if !covered(prefix, taken) {
					return nil, false
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), true
}

func (r reach) names(pat pattern) bool {
	return slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.covers(pat) })
}

var (
	everywhere = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	mapped     = netip.MustParsePrefix("::ffff:0:0/96")
)

func addresses(from []netip.Prefix) []netip.Prefix {
	if len(from) == 0 {
		return everywhere
	}
	return from
}

// unmap writes a network of IPv4-mapped IPv6 addresses as the IPv4 network it is, as clients' addresses are.
func unmap(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped.Bits() {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped.Bits())
	}
	return prefix.Masked()
}

// covered reports whether the networks together have every address of prefix that a client can have.
func covered(prefix netip.Prefix, by []netip.Prefix) bool {
	// Clients' addresses are unmapped, so there is nobody in here.
	if prefix.Bits() >= mapped.Bits() && mapped.Contains(prefix.Addr()) {
		return true
	}
	var inside []netip.Prefix
	for _, b := range by {
		if !b.Overlaps(prefix) {
			continue
		}
		if b.Bits() <= prefix.Bits() {
			return true
		}
		inside = append(inside, b)
	}
	if len(inside) == 0 {
		return false
	}
	low, high := halves(prefix)
	return covered(low, inside) && covered(high, inside)
}

// halves splits a network of more than one address.
func halves(prefix netip.Prefix) (low, high netip.Prefix) {
	bits := prefix.Bits()
	address := prefix.Addr().AsSlice()
	address[bits/8] |= 0x80 >> (bits % 8)
	upper, _ := netip.AddrFromSlice(address)
	return netip.PrefixFrom(prefix.Addr(), bits+1), netip.PrefixFrom(upper, bits+1)
}

// title names a rule by its place, counted from 1, and source.
func title(rules []Rule, i int) string {
	if rules[i].Source == "" {
		return fmt.Sprintf("rule %d", i+1)
	}
	return fmt.Sprintf("rule %d at %s", i+1, rules[i].Source)
}

// describe adds what the rule says.
func describe(rules []Rule, i int) string {
	rule := rules[i]
	words := []string{"allow"}
	switch {
	case rule.Deny:
		words[0] = "deny"
	case rule.Anyone:
		words = append(words, "anyone")
	case rule.SignedIn:
		words = append(words, "signed_in")
	}
	if len(rule.Roles) > 0 {
		words = append(append(words, "role"), rule.Roles...)
	}
	if len(rule.Users) > 0 {
		words = append(append(words, "user"), rule.Users...)
	}
	words = append(words, rule.Paths...)
	return fmt.Sprintf("%s (%s)", title(rules, i), strings.Join(words, " "))
}
