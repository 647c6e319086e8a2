package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// String is the rule as it would be written in a Caddyfile, in one form whatever way it was written: whom it is about, the
// paths, and then a block with what else it asks for.
func (r Rule) String() string {
	var b strings.Builder
	writeLine(&b, r.head())
	var block [][]string
	add := func(name string, values ...string) {
		if len(values) > 0 {
			block = append(block, append([]string{name}, values...))
		}
	}
	add("method", r.Methods...)
	add("from", texts(r.From)...)
	add("with", methodNames(r.With)...)
	if r.Within > 0 {
		add("within", shortDuration(r.Within))
	}
	if r.Strict {
		add("revocation", "strict")
	}
	if r.Preflight {
		block = append(block, []string{"preflight"})
	}
	if len(block) == 0 {
		return b.String()
	}
	b.WriteString(" {\n")
	for _, line := range block {
		b.WriteByte('\t')
		writeLine(&b, line)
		b.WriteByte('\n')
	}
	b.WriteByte('}')
	return b.String()
}

// head is the first line of a rule, in words.
func (r Rule) head() []string {
	words := []string{"allow"}
	switch {
	case r.Deny:
		words[0] = "deny"
	case r.Anyone:
		words = append(words, "anyone")
	case r.SignedIn:
		words = append(words, "signed_in")
	}
	if len(r.Roles) > 0 {
		words = append(append(words, "role"), r.Roles...)
	}
	if len(r.Users) > 0 {
		words = append(append(words, "user"), r.Users...)
	}
	return append(words, r.Paths...)
}

func writeLine(b *strings.Builder, words []string) {
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoted(word))
	}
}

// quoted is a word as a token of a Caddyfile.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \"`{}#\\") {
		return word
	}
	return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
}

func texts[T fmt.Stringer](list []T) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = v.String()
	}
	return all
}

func methodNames(list []authcore.Method) []string {
	all := make([]string, len(list))
	for i, m := range list {
		all[i] = string(m)
	}
	return all
}

// shortDuration leaves out what is zero: "5m" rather than "5m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	if s, ok := strings.CutSuffix(text, "m0s"); ok {
		text = s + "m"
	}
	if s, ok := strings.CutSuffix(text, "h0m"); ok {
		text = s + "h"
	}
	return text
}
