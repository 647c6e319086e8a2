package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func manyRules(n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = Rule{Roles: []string{"editor"}, Paths: []string{fmt.Sprintf("/apps/app%d/*", i)}, Methods: []string{"GET", "POST"}}
	}
	return rules
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			p := mustCompile(b, manyRules(n)...)
			req := get(fmt.Sprintf("/apps/app%d/items/17", n-1), alice)
			b.ReportAllocs()
			for b.Loop() {
				if p.Judge(req).Verdict != Allow {
					b.Fatal("refused")
				}
			}
		})
	}
}

// All rules name the same path, and only the last fits.
func BenchmarkJudgeSamePath(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules := make([]Rule, n)
			for i := range rules {
				rules[i] = Rule{SignedIn: true, From: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}}
			}
			p := mustCompile(b, append(rules, Rule{SignedIn: true})...)
			req := get("/x", alice)
			b.ReportAllocs()
			for b.Loop() {
				if p.Judge(req).Verdict != Allow {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkJudgeReadings(b *testing.B) {
	p := mustCompile(b, manyRules(1000)...)
	for name, path := range map[string]string{
		"upper":         "/apps/App7/Items",
		"space":         "/files/My%20Document.pdf",
		"encoded slash": "/api/projects/group%2Fname",
		"parameters":    "/x;jsessionid=1F/y",
		"hostile":       "/public/..;/%2e%2e%2Fadmin%5C..%252e/x.",
		"hostile, long": "/" + strings.Repeat("a;b%2F..%252f%2e%2e%5C.%20//", 200),
		"hostile, big":  "/" + strings.Repeat("a/", maxPath/2-10) + "..%2F;.",
	} {
		b.Run(name, func(b *testing.B) {
			req := get(path, alice)
			b.ReportAllocs()
			for b.Loop() {
				p.Judge(req)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	rules := manyRules(1000)
	for b.Loop() {
		mustCompile(b, rules...)
	}
}
