package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checkReach refuses the rule with this index where it can never decide anything, because the gateway answers there
// itself or because earlier rules, which the tree has so far, take every request that it names. It is exact: the methods
// and addresses of several rules are added up. Paths need not be, as no number of narrower patterns makes up a wider one.
func (p *Policy) checkReach(rules []Rule, index int, patterns []pattern, mount string) error {
	var named [][]int // for each pattern, the earlier rules that name all of it
	for _, pat := range patterns {
		if mount == "" || !pat.within(mount) {
			named = append(named, p.exact.covering(pat))
		}
	}
	if len(named) == 0 {
		return fmt.Errorf("policy: %s can never decide anything: the gateway itself answers %s and everything below; take the rule out", describe(rules, index), mount)
	}
	before := p.shadow(index, named)
	if len(before) == 0 {
		return nil
	}
	names := make([]string, len(before))
	for i, other := range before {
		names[i] = describe(rules, other)
	}
	if len(names) == 1 {
		return fmt.Errorf("policy: %s can never decide anything: %s comes first and takes every request it names; move it before that rule or take it out",
			describe(rules, index), names[0])
	}
	return fmt.Errorf("policy: %s can never decide anything: %s come first and together take every request it names; move it before them or take it out",
		describe(rules, index), strings.Join(names, " and "))
}

// shadow answers the rules that take every request that a rule names: a single one if one does, none if some are left.
func (p *Policy) shadow(index int, named [][]int) []int {
	for _, other := range named[0] {
		if !slices.ContainsFunc(named[1:], func(list []int) bool { return !slices.Contains(list, other) }) && p.take(index, []int{other}) != nil {
			return []int{other}
		}
	}
	var all []int
	for _, list := range named {
		takers := p.take(index, list)
		if takers == nil {
			return nil
		}
		all = append(all, takers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// take answers those of the rules in others that together fit every method and address that a rule fits, or nil.
func (p *Policy) take(index int, others []int) []int {
	// A rule for any method is for methods that no rule names, too, and only rules for any method take those. Whatever
	// takes them takes the others, so this one class ("") stands for all.
	methods := p.rules[index].methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	var takers []int
	for _, method := range methods {
		var taken []netip.Prefix
		for _, other := range others {
			rule := &p.rules[other]
			if len(rule.methods) == 0 || slices.Contains(rule.methods, method) {
				taken = append(taken, addresses(rule.from)...)
				takers = append(takers, other)
			}
		}
		for _, prefix := range addresses(p.rules[index].from) {
			if !covered(prefix, taken) {
				return nil
			}
		}
	}
	return takers
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
	return fmt.Sprintf("%s (%s)", title(rules, i), strings.Join(rules[i].head(), " "))
}
