package gateway

import (
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// maxReturn is how long a path to return to may be: it travels in a URL.
const maxReturn = 2048

// signInPages are the pages of which signing in is the end.
var signInPages = []string{"sign-in", "register", "forgot", "activate", "reset"}

// safeReturn answers target where it is a path on this origin to which somebody can be sent after signing in, else "/".
// What it answers begins with one slash and is printable ASCII without backslash, and means the same path to a browser
// and to a server: an open redirect at the door of a site is what phishing wishes for.
func (g *Gateway) safeReturn(target string) string {
	if len(target) > g.longestReturn(target) || !strings.HasPrefix(target, "/") || !utf8.ValidString(target) {
		return "/"
	}
	for _, c := range target {
		// Browsers take a backslash for a slash and drop tabs and line breaks (WHATWG URL, section 4.4), so that "/\host",
		// or "/", tab, "/host", would leave the origin.
		if c == '\\' || c < 0x20 || c == 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(target)
	if err != nil || strings.HasPrefix(target, "//") || hasDotSegment(u.Path) {
		return "/"
	}
	// The same once decoded, for servers and scripts that decode what they pass on.
	if strings.HasPrefix(u.Path, "//") || strings.ContainsFunc(u.Path, func(c rune) bool { return c == '\\' || c < 0x20 || c == 0x7f }) {
		return "/"
	}
	// Signing in leads away from the pages by which one signs in, not back to them.
	for _, page := range signInPages {
		if strings.EqualFold(path.Clean(u.Path), g.site.Path+"/"+page) {
			return "/"
		}
	}
	if g.away() && strings.EqualFold(path.Clean(u.Path), g.site.Path+"/"+handOffRoute) {
		return "/"
	}
	return escapeRest(target)
}

// longestReturn is how long a place to return to may be. Those with another one in them are longer.
func (g *Gateway) longestReturn(target string) int {
	if _, is := g.isHandOff(target); is {
		return maxHandOff + len(g.site.Path) + len(handOffRoute) + 2
	}
	if g.away() && strings.HasPrefix(target, g.site.Path+"/"+confirmPage+"?") {
		return maxConfirm
	}
	return maxReturn
}

// hasDotSegment reports whether a decoded path has "." or ".." in it, which would be resolved on the way: "/.//host"
// becomes "//host" in some hands. Browsers never send any.
func hasDotSegment(p string) bool {
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// escapeRest percent-encodes spaces and what is not ASCII, so that the result can stand in a header.
func escapeRest(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
