package authcore

import (
	"strings"
	"testing"
)

func TestClientText(t *testing.T) {
	for in, want := range map[string]string{
		"Browser/1.0":                           "Browser/1.0",
		"a\r\nBcc: x@y.example":                 "aBcc: x@y.example",
		"a\u202eb\x00c\xffd":                    "abcd",
		strings.Repeat("é", 200):                strings.Repeat("é", 128),
		"x" + strings.Repeat("é", 200):          "x" + strings.Repeat("é", 127),
		strings.Repeat(" ", 3) + "\u00a0\u2028": "   ",
	} {
		if got := ClientText(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
