package policy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// The exact folding joins what strings.EqualFold joins; the loose one, what any mapping of case joins. Neither makes a
// character that has a meaning in paths out of another.
func TestFoldings(t *testing.T) {
	upper, lower := cases.Upper(language.Und), cases.Lower(language.Und)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || r > '\u3000' && !unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Lm, unicode.M, unicode.N, unicode.S) {
			continue // the others, ideographs and what is not assigned, have no case
		}
		s := string(r)
		if r < utf8.RuneSelf {
			if foldExact(s) != strings.ToLower(s) || foldLoose(s) != strings.ToLower(s) {
				t.Errorf("ASCII %q folds to %q and %q", s, foldExact(s), foldLoose(s))
			}
			continue
		}
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			if foldExact(s) != foldExact(string(next)) {
				t.Errorf("exact: %q and %q", s, string(next))
			}
		}
		for _, other := range []string{foldExact(s), strings.ToUpper(s), strings.ToLower(s), strings.ToTitle(s), upper.String(s), lower.String(s), cases.Fold().String(s), foldLoose(s)} {
			if foldLoose(other) != foldLoose(s) {
				t.Errorf("loose: %q (%U) is %q, %q is %q", s, r, foldLoose(s), other, foldLoose(other))
			}
		}
		if !strings.EqualFold(s, foldExact(s)) {
			t.Errorf("exact: %q becomes %q", s, foldExact(s))
		}
		for _, folded := range []string{foldExact(s), foldLoose(s)} {
			if strings.ContainsAny(folded, `/.;\%?# `) {
				t.Errorf("%q becomes %q", s, folded)
			}
		}
	}
}

// What is public under one folding only is not public.
func TestBothFoldingsMustAllow(t *testing.T) {
	p := mustCompile(t, Rule{Anyone: true, Paths: []string{"/public/*", "/größe/*"}}, Rule{Deny: true, Paths: []string{"/strasse/*"}})
	tests := []struct {
		path string
		want Verdict
	}{
		{"/publ%C4%B1c/x", SignIn},
		{"/publ%C4%B0c/x", SignIn},
		{"/%EF%AC%81le", SignIn},
		{"/grösse/x", SignIn},
		{"/größe/x", Allow},
		{"/GRÖẞE/x", Allow},
		{"/straße/x", Forbidden},
		{"/ſtraſſe/x", Forbidden},
	}
	for _, test := range tests {
		if d := p.Judge(get(test.path, nil)); d.Verdict != test.want {
			t.Errorf("%s: %v, want %s", test.path, d, test.want)
		}
	}
}
