package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// overrides are the headers by which a client could make a backend see another URL or method than was judged.
var overrides = []string{
	"X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method",
	"X-Method-Override", "X-Forwarded-Uri", "X-Forwarded-Url", "X-Forwarded-Method", "X-Forwarded-Path",
	"X-HTTP-Path-Override", "X-Waf-Url", "X-Override-URL", "X-Original-Path", "X-Envoy-Original-Path", "Request-Uri", "Base-Url",
	"Http2-Settings",
}

// prefixes are the headers by which a proxy tells a backend what it took from the beginning of the path. Backends take the
// same from the path that was judged, so from clients they are overrides too; those that a trusted proxy sends in this one
// spelling are passed on.
var prefixes = []string{"X-Forwarded-Prefix", "X-Forwarded-Pathbase", "X-Script-Name"}

// stripper removes what a client may not say to the backend.
type stripper struct {
	names    map[string]struct{} // folded
	lengths  [maxFolded + 1]bool // of names: most headers are let through by a look at their length
	families []string            // folded: what begins so goes too
}

// maxFolded bounds the names that are compared; configured names are no longer than that.
const maxFolded = 64

func newStripper(site Site) stripper {
	s := stripper{names: make(map[string]struct{})}
	add := func(name string) {
		f := foldName(name)
		s.names[f] = struct{}{}
		if len(f) <= maxFolded {
			s.lengths[len(f)] = true
		}
	}
	preset, _ := site.preset()
	for _, list := range [][]Header{defaultHeaders, preset.headers, site.Headers} {
		for _, h := range list {
			add(h.Name)
		}
	}
	for _, list := range [][]string{overrides, prefixes, preset.names} {
		for _, name := range list {
			add(name)
		}
	}
	for _, begin := range preset.families {
		s.families = append(s.families, foldName(begin))
	}
	return s
}

// isOfFamily reports whether a name begins, in any spelling, as those of a family do.
func (s *stripper) isOfFamily(name string) bool {
	var buf [maxFolded]byte
	for _, begin := range s.families {
		if len(name) < len(begin) {
			continue
		}
		b := buf[:copy(buf[:], name[:len(begin)])]
		fold(b)
		if string(b) == begin {
			return true
		}
	}
	return false
}

// foldName makes one spelling of all that a backend might take for the same header: CGI-like interfaces turn '-' into
// '_', some servers any other character too, and case never counts.
func foldName(name string) string {
	b := []byte(name)
	fold(b)
	return string(b)
}

func fold(b []byte) {
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case !isAlnum(c):
			b[i] = '-'
		}
	}
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// strip removes the identity and override headers in every spelling, and everything by which they could be smuggled past
// or dropped on the way. It keeps Upgrade only where the request is a websocket's, and prefixes only of a proxy that is
// trusted; nil trusts none.
func (s *stripper) strip(r *http.Request, websocket bool, trusted func(*http.Request) bool) {
	h := r.Header
	if conn, ok := h["Connection"]; ok {
		s.connection(h, conn, websocket)
	}
	if !websocket {
		// Any other protocol would leave the door behind: what is said after the switch is judged by nobody.
		delete(h, "Upgrade")
	}
	var buf [maxFolded]byte
	for name := range h {
		if len(s.families) > 0 && s.isOfFamily(name) {
			delete(h, name)
			continue
		}
		if len(name) > maxFolded || !s.lengths[len(name)] {
			continue
		}
		b := buf[:copy(buf[:], name)]
		fold(b)
		if _, ours := s.names[string(b)]; ours && (trusted == nil || !slices.Contains(prefixes, name) || !trusted(r)) {
			delete(h, name)
		}
	}
	// A trailer reaches the backend as well, and some servers merge it into the headers.
	delete(h, "Trailer")
	r.Trailer = nil
}

// connection does what RFC 9110 section 7.6.1 asks of a proxy, here and not later: what stands in Connection is removed
// now, so that a client cannot name an identity header there and have it dropped after it was set.
func (s *stripper) connection(h http.Header, lines []string, websocket bool) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.Trim(name, " \t"); {
			case strings.EqualFold(name, "keep-alive"):
				delete(h, "Keep-Alive") // as below, without the work for a name that nearly every browser sends
			case !strings.EqualFold(name, "upgrade"):
				h.Del(name)
			}
		}
	}
	if websocket {
		h["Connection"] = []string{"Upgrade"}
	} else {
		delete(h, "Connection")
	}
}
