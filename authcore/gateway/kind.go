package gateway

import (
	"net/http"
	"strings"
)

// isWebsocket reports whether a request asks for a websocket: RFC 6455 section 4.1 on HTTP/1.1, RFC 8441 on HTTP/2 (where
// net/http tells the protocol as a header), RFC 9220 on HTTP/3 (where it stands in Proto).
func isWebsocket(r *http.Request) bool {
	switch {
	case r.Method == http.MethodConnect:
		return r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket"
	case r.Method != http.MethodGet || r.ProtoMajor != 1:
		return false
	}
	up := r.Header["Upgrade"]
	// The length keeps out what folds to it in Unicode only, a long s say, which a backend would take for something else.
	return len(up) == 1 && len(up[0]) == len("websocket") && strings.EqualFold(up[0], "websocket") &&
		listHas(r.Header["Connection"], "upgrade")
}

// listHas reports whether a comma-separated list in headers has this token, whatever its case.
func listHas(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// isEventStream reports whether a request asks for server-sent events, an answer that may go on for hours.
func isEventStream(h http.Header) bool {
	return strings.HasPrefix(h.Get("Accept"), "text/event-stream")
}

// isNavigation reports whether the answer to a request becomes a page in front of a person, who can be sent to sign in.
// Anything else is a program, which a redirect would only confuse. Browsers say so themselves (W3C Fetch Metadata,
// sections 2.1 and 2.2); of older ones, and programs, the other headers tell.
func (g *Gateway) isNavigation(r *http.Request) bool {
	h := r.Header
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		dest := h.Get("Sec-Fetch-Dest")
		return mode == "navigate" && dest != "empty" && dest != "object" && dest != "embed"
	}
	switch {
	case h.Get("X-Requested-With") != "", h.Get("Authorization") != "", h.Get("Upgrade") != "", h.Get("Origin") != "" && r.Method == http.MethodGet:
		return false
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return false
	case strings.HasPrefix(h.Get("Content-Type"), "application/grpc"):
		return false
	}
	for _, line := range h["Accept"] {
		if strings.Contains(line, "text/html") || strings.Contains(line, "application/xhtml+xml") {
			return true
		}
	}
	return false
}
