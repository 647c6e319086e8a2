package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds on what is judged. A path beyond them has no sane reading: nobody needs one, and refusing it keeps the cost
// of a hostile request small.
const (
	maxPath   = 8 << 10  // bytes of a path
	maxStates = 256      // intermediate forms of a path, readings among them
	maxText   = 64 << 10 // bytes of all of them together
)

type shape int

const (
	special      shape = iota // has to be read
	plain                     // has one reading: itself
	plainButCase              // has one reading: itself in lower case
)

// shapeOf tells the paths that every backend reads alike from the others. It errs towards special.
func shapeOf(path string) shape {
	if path == "" || path[0] != '/' || len(path) > maxPath {
		return special
	}
	found := plain
	last := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		case 'A' <= c && c <= 'Z':
			found = plainButCase
		case c == '/':
			// An empty segment, a dot segment or a dot at the end of a segment.
			if last == '/' || last == '.' {
				return special
			}
		case c <= ' ' || c >= 0x7f || c == '%' || c == ';' || c == '\\' || c == '?' || c == '#':
			return special
		}
		last = c
	}
	if last == '.' {
		return special
	}
	return found
}

// form is a path on its way through a backend. Passes of decoding and rewriting steps alternate in any order:
//
//	stage 0  as it was sent, with the escapes of ordinary characters decoded (nobody tells "a" from "%61")
//	stage 1  decoded: a reading; "%2F" and "%2E" may still stand for a slash and a dot that were not decoded
//	stage 2  as stage 0, for a backend that decodes again
//	stage 3  decoded twice: a reading
type form struct {
	text  string
	stage int
}

// rewrites are what backends do to a path beside decoding it. Each takes a path that begins with a slash and answers one.
var rewrites = []func(string) string{mergeSlashes, resolveDots, dropParameters, backslashes, dropAuthority, cutQuery}

// trims are the ways in which backends drop dots and spaces at the end of segments: both with regard to dot segments, or
// one kind without.
var trims = []func(string) string{
	trimKeepingDots, trimToDots,
	func(segment string) string { return strings.TrimRight(segment, ".") },
	func(segment string) string { return strings.TrimRight(segment, " ") },
}

// readings answers every reading that a backend might give an escaped path, at least one. It answers false where the path
// has no sane reading, or more of them than the bounds allow.
//
// The readings are all that any sequence of rewrites and at most two passes of decoding leads to. A second pass leaves
// what is no escape as it is, as lenient decoders do; where that is everything, it adds nothing.
func readings(path string) ([]string, bool) {
	if path == "" || path[0] != '/' || len(path) > maxPath || strings.ContainsAny(path, "#?\\ ") {
		return nil, false
	}
	start, ok := decodeOrdinary(path, true)
	if !ok {
		return nil, false
	}
	var texts []string
	read := make(map[string]bool)
	seen := map[form]bool{}
	var todo []form
	size := 0
	add := func(text string, stage int) {
		if f := (form{text, stage}); !seen[f] {
			seen[f] = true
			todo = append(todo, f)
			size += len(text)
		}
	}
	add(start, 0)
	for i := 0; i < len(todo); i++ {
		if len(todo) > maxStates || size > maxText {
			return nil, false
		}
		at := todo[i]
		if at.stage%2 == 1 && !read[at.text] {
			read[at.text] = true
			texts = append(texts, at.text)
		}
		for _, rewrite := range rewrites {
			if text := rewrite(at.text); text != at.text {
				add(text, at.stage)
			}
		}
		if trailing(at.text) {
			for _, trim := range trims {
				add(eachSegment(at.text, trim), at.stage)
			}
		}
		switch {
		case !strings.Contains(at.text, "%"):
			if at.stage%2 == 0 {
				add(at.text, at.stage+1)
			}
		case at.stage == 1:
			text, ok := decodeOrdinary(at.text, false)
			if !ok {
				return nil, false
			}
			add(text, 2)
		case at.stage%2 == 0:
			add(strings.ReplaceAll(at.text, "%2F", "/"), at.stage)
			add(strings.ReplaceAll(at.text, "%2E", "."), at.stage)
			add(decodeRest.Replace(at.text), at.stage+1)
		}
	}
	return texts, true
}

// decodeRest ends a pass of decoding.
var decodeRest = strings.NewReplacer("%25", "%", "%3B", ";", "%5C", `\`, "%20", " ", "%3F", "?", "%23", "#")

// decodeOrdinary decodes the escapes of all characters that no rewrite looks at and leaves those of / . ; \ % ? # and
// space, in upper case. It answers false for what no backend should be given: control characters (NUL ends a name in C;
// CR and LF end a line), invalid UTF-8 (an overlong form of "/" is one for lenient decoders) and, where strict, invalid
// escapes. Where not strict, a "%" that begins no escape stands for itself.
func decodeOrdinary(path string, strict bool) (string, bool) {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			if strict {
				return "", false
			}
			b.WriteString("%25")
			continue
		}
		c = unhex(path[i+1])<<4 | unhex(path[i+2])
		if strings.IndexByte(`/.;\%?# `, c) >= 0 {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		} else {
			b.WriteByte(c)
		}
		i += 2
	}
	text := b.String()
	return text, utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
