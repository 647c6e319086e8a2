package pages

import (
	"regexp"
	"strings"
)

// Assets and templates are written for people; browsers get them without comments, and without space that means nothing.

// leanScript answers an ES module without comments and needless space. Line breaks that may end a statement stay. It
// knows strings, templates and regular expressions; that what it answers are modules still is tested.
func leanScript(source string) string {
	var b strings.Builder
	prev := byte('\n') // the last that was written
	write := func(s string) {
		b.WriteString(s)
		prev = s[len(s)-1]
	}
	for i := 0; i < len(source); {
		c := source[i]
		switch {
		case c == '\'' || c == '"' || c == '`':
			end := i + quoted(source[i:])
			write(source[i:end])
			i = end
		case strings.HasPrefix(source[i:], "//"):
			for i < len(source) && source[i] != '\n' {
				i++
			}
		case c == '/' && beginsPattern(b.String()):
			end := i + pattern(source[i:])
			write(source[i:end])
			i = end
		case c == ' ' || c == '\t' || c == '\n':
			lines := false
			for i < len(source) && strings.IndexByte(" \t\n", source[i]) >= 0 || strings.HasPrefix(source[i:], "//") {
				if source[i] == '/' {
					for i < len(source) && source[i] != '\n' {
						i++
					}
					continue
				}
				lines = lines || source[i] == '\n'
				i++
			}
			if i == len(source) {
				break
			}
			switch next := source[i]; {
			case lines && strings.IndexByte("{([,;:?=&|\n", prev) < 0 && !strings.HasSuffix(b.String(), "=>") && strings.IndexByte("}).],;:?&|", next) < 0:
				write("\n")
			case isWord(prev) && isWord(next), prev == next && strings.IndexByte("+-", next) >= 0, prev == '/' || next == '/':
				write(" ")
			}
		default:
			if c == '}' && prev == ';' && !strings.HasSuffix(b.String(), ");") { // that of an empty loop is no end of a statement
				rest := strings.TrimSuffix(b.String(), ";")
				b.Reset()
				b.WriteString(rest)
			}
			write(source[i : i+1])
			i++
		}
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '#' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted answers how long the string or template is that s begins with.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[0] == '`' && strings.HasPrefix(s[i:], "${"):
			for depth := 0; i < len(s); i++ {
				if s[i] == '{' {
					depth++
				} else if s[i] == '}' {
					if depth--; depth == 0 {
						break
					}
				} else if strings.IndexByte("'\"`", s[i]) >= 0 {
					i += quoted(s[i:]) - 1
				}
			}
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}

// beginsPattern reports whether a slash after this code begins a regular expression; else it divides.
func beginsPattern(code string) bool {
	code = strings.TrimRight(code, " \n")
	return code == "" || strings.IndexByte("(,=:[!&|?{};", code[len(code)-1]) >= 0 || strings.HasSuffix(code, "return") || strings.HasSuffix(code, "=>")
}

// pattern answers how long the regular expression is that s begins with, without its flags.
func pattern(s string) int {
	class := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			class = true
		case ']':
			class = false
		case '/':
			if !class {
				return i + 1
			}
		}
	}
	return len(s)
}

var (
	styleComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	styleSpace   = regexp.MustCompile(`\s+`)
	styleAround  = regexp.MustCompile(` ?([{};,>]) ?|(:) `)
)

// leanStyle answers a style sheet without comments and needless space. It has no strings with spaces in them.
func leanStyle(source string) string {
	s := styleComment.ReplaceAllString(source, "")
	s = styleSpace.ReplaceAllString(s, " ")
	s = styleAround.ReplaceAllString(s, "$1$2")
	return strings.TrimSpace(strings.ReplaceAll(s, ";}", "}"))
}

var indent = regexp.MustCompile(`\n\s+`)

// leanTemplate answers a template without indentation and empty lines. No page has an element in which they count.
func leanTemplate(source string) string { return indent.ReplaceAllString(source, "\n") }
