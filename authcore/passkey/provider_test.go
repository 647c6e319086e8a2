package passkey

import (
	"strings"
	"testing"
	"unicode"
)

func TestProvider(t *testing.T) {
	windows, err := ParseAAGUID("08987058-cadc-4b81-b6e1-30de50dcbe96")
	if err != nil {
		t.Fatal(err)
	}
	if got := Provider(windows); got != "Windows Hello" {
		t.Errorf("got %q", got)
	}
	// Most authenticators do not tell their model.
	if got := Provider(AAGUID{}); got != "" {
		t.Errorf("zeros: got %q", got)
	}
	for text, name := range providers {
		if a, err := ParseAAGUID(text); err != nil || a.String() != text {
			t.Errorf("%q is looked up by no AAGUID: %v", text, err)
		}
		if name == "" || len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is no label", name)
		}
	}
}
