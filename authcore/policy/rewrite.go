package policy

import "strings"

func mergeSlashes(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

// resolveDots removes dot segments as RFC 3986 section 5.2.4 does. Empty segments are segments; backends that merge
// slashes before are covered by mergeSlashes.
func resolveDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	segments := strings.Split(s[1:], "/")
	kept := segments[:0]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			fallthrough
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// dropParameters removes ";…" from each segment, as servlet containers do ("/public/..;/admin").
func dropParameters(s string) string {
	if !strings.Contains(s, ";") {
		return s
	}
	return eachSegment(s, func(segment string) string {
		kept, _, _ := strings.Cut(segment, ";")
		return kept
	})
}

// backslashes reads a backslash as a slash, as Windows and URL parsers of browsers do.
func backslashes(s string) string { return strings.ReplaceAll(s, `\`, "/") }

// dropAuthority reads "//host/path" as a reference with an authority, as a backend does that resolves the request target
// against its own address.
func dropAuthority(s string) string {
	if !strings.HasPrefix(s, "//") {
		return s
	}
	_, path, _ := strings.Cut(strings.TrimLeft(s, "/"), "/")
	return "/" + path
}

// cutQuery reads a decoded "?" or "#" as the end of the path, as a backend does that decodes before it parses.
func cutQuery(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i]
	}
	return s
}

// trailing reports whether a segment ends in a dot or a space.
func trailing(s string) bool {
	last := s[len(s)-1]
	return last == '.' || last == ' ' || strings.Contains(s, "./") || strings.Contains(s, " /")
}

// trimKeepingDots removes dots and spaces at the end of a segment, as Windows does, but leaves dot segments.
func trimKeepingDots(segment string) string {
	if segment == "." || segment == ".." {
		return segment
	}
	return strings.TrimRight(segment, ". ")
}

// trimToDots does too, but stops where what is left is a dot segment (".. ", "...").
func trimToDots(segment string) string {
	trimmed := strings.TrimRight(segment, ". ")
	switch {
	case trimmed != "":
		return trimmed
	case strings.HasPrefix(segment, ".."):
		return ".."
	case strings.HasPrefix(segment, "."):
		return "."
	}
	return ""
}

// eachSegment applies f, which shortens segments, to each. Most paths have none that it shortens.
func eachSegment(s string, f func(string) string) string {
	var b strings.Builder
	copied := 0
	for start := 1; start <= len(s); {
		end := len(s)
		if i := strings.IndexByte(s[start:], '/'); i >= 0 {
			end = start + i
		}
		if short := f(s[start:end]); len(short) != end-start {
			b.WriteString(s[copied:start])
			b.WriteString(short)
			copied = end
		}
		start = end + 1
	}
	if copied == 0 {
		return s
	}
	b.WriteString(s[copied:])
	return b.String()
}
