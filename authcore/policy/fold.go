package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// Paths are compared without case, and there is more than one way to forget case. Backends that compare by lower case,
// by upper case or by Unicode folding agree on most letters but not on all: "ı" becomes "I" in upper case and is not "i"
// in any folding; "ß" is "ss" in full folding and a letter of its own in simple folding. So patterns and paths are
// compared twice: under the exact folding, which joins as little as strings.EqualFold does, and under the loose one,
// which joins whatever any of these ways joins. What is public must be so under both; what is restricted is restricted
// where either says so.

// foldExact maps strings that are equal under strings.EqualFold, and only those, to the same string.
func foldExact(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(foldRune, s)
}

// foldRune answers the smallest member of the rune's folding orbit, in lower case where that is an ASCII letter.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// foldLoose maps strings that are equal under any mapping of case (simple or full folding, upper case, lower case) to
// the same string.
func foldLoose(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(foldRune, cases.Fold().String(turkic.Replace(s)))
}

// turkic joins the two letters that no folding joins with "i" but upper and lower case do. In full lower case U+0130 is
// an "i" with a dot above.
var turkic = strings.NewReplacer("ı", "i", "İ", "i", "i\u0307", "i", "I\u0307", "i")

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
