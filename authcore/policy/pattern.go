package policy

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is a set of paths. One that ends in a slash names the path without it too: a backend that cleans paths drops
// the slash, so the pair would otherwise never be judged alike and the rule would let nobody through.
type pattern struct {
	text  string // folded; without the "/*" of a prefix
	below bool   // and everything below
}

func newPattern(folded string) pattern {
	if text, ok := strings.CutSuffix(folded, "/*"); ok {
		return pattern{text, true}
	}
	return pattern{folded, false}
}

// within reports whether every path of the pattern is at or below a folded path.
func (p pattern) within(dir string) bool {
	return p.text == dir || strings.HasPrefix(p.text, dir+"/")
}

// checkPath checks a pattern as it is written. One that some reading of its own path would not match can let nobody
// through, so only paths that all backends read alike can be named.
func checkPath(path string) error {
	if path == "" {
		return fmt.Errorf("a path is empty; write one that begins with a slash, or leave all paths out")
	}
	if !utf8.ValidString(path) || strings.IndexFunc(path, unicode.IsControl) >= 0 {
		return fmt.Errorf("path %q has control characters or is not UTF-8; such requests are always refused", path)
	}
	if path == "*" {
		return fmt.Errorf(`path "*" does not begin with a slash; write /* or leave all paths out`)
	}
	if path[0] != '/' {
		return fmt.Errorf("path %q does not begin with a slash; write /%s", path, path)
	}
	if strings.Contains(path, ",/") {
		// Taken for one path, it would name nothing that is ever asked for, and a deny rule would refuse nothing.
		return fmt.Errorf("path %q: paths stand with spaces between them; write %s", path, strings.ReplaceAll(path, ",/", " /"))
	}
	text := strings.TrimSuffix(path, "/*")
	if i := strings.IndexByte(text, '*'); i >= 0 {
		dir := text[:strings.LastIndexByte(text[:i], '/')]
		if text[i-1] == '/' || strings.ContainsRune(text[i:], '/') {
			return fmt.Errorf("path %q: a * stands only at the end, after a slash; write %s/* for everything below", path, dir)
		}
		return fmt.Errorf("path %q: a * stands only at the end, after a slash; write %s/* for everything below it, and other paths each in full", path, text[:i])
	}
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		return fmt.Errorf("path %q: rules judge the path only, never what follows a ? or #; write %s", path, path[:i])
	}
	if i := strings.IndexByte(text, ';'); i >= 0 {
		return fmt.Errorf("path %q: a path is judged without its ;parameters too; write %s", path, dropParameters(path))
	}
	if strings.Contains(text, `\`) {
		return fmt.Errorf("path %q: a path has slashes, no backslashes; write %s", path, backslashes(path))
	}
	if decoded, err := url.PathUnescape(text); err == nil && decoded != text {
		return fmt.Errorf("path %q: paths are written decoded; write %s", path, decoded+path[len(text):])
	} else if hasEscape(text) {
		return fmt.Errorf("path %q: paths are written decoded; write the characters themselves", path)
	}
	if text == "" {
		return nil
	}
	trimmed := eachSegment(resolveDots(mergeSlashes(text)), func(segment string) string { return strings.TrimRight(segment, ". ") })
	if clean := mergeSlashes(trimmed); clean != text {
		return fmt.Errorf("path %q: paths are judged without empty segments, dot segments, and dots and spaces at the end of a segment too; write %s",
			path, mergeSlashes(clean+path[len(text):]))
	}
	return nil
}

func hasEscape(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
	}
	return false
}
