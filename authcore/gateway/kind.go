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

// kind is what sent a request, as far as it decides in which form a refusal is of use to it.
type kind int

const (
	program    kind = iota // curl, DAV, scripts: a problem document, and every way to authenticate
	navigation             // a person waits for a page: the page to sign in, or one that tells what is wrong
	ofPage                 // what a page loads or prepares by itself, in whatever way: a problem document, and no dialog
	socket                 // a websocket, of a page or not: as ofPage
	call                   // gRPC, gRPC-Web: a status of its own
)

// kindOf tells kinds apart.
func (g *Gateway) kindOf(r *http.Request) kind {
	switch {
	case isCall(r):
		return call
	case isWebsocket(r):
		return socket
	case g.isNavigation(r):
		return navigation
	case isOfPage(r):
		return ofPage
	}
	return program
}

// isCall reports whether a request is a call of gRPC or gRPC-Web. What other proxies ask about is none: they make of an HTTP
// status what they need.
func isCall(r *http.Request) bool {
	rest, is := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return is && r.Method == http.MethodPost && (rest == "" || strings.IndexByte("+;-", rest[0]) >= 0) && !isForwarded(r)
}

// isPrefetch reports whether a browser asks for a page that nobody has opened yet. Where it is answered with a redirect,
// people find the page to sign in behind a link that would be open by then; of a refusal browsers make nothing and ask
// again ("Sec-Purpose" in Fetch, section 3.7; the others are of older browsers).
func isPrefetch(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := h[name]; len(v) > 0 && (strings.HasPrefix(v[0], "prefetch") || strings.HasPrefix(v[0], "prerender") || v[0] == "preview") {
			return true
		}
	}
	return false
}

// isNavigation reports whether the answer to a request becomes a page in front of a person, who can be sent to sign in.
// Anything else is a program, which a redirect would only confuse. Browsers say so themselves (W3C Fetch Metadata,
// sections 2.1 and 2.2); of older ones, and programs, the other headers tell.
func (g *Gateway) isNavigation(r *http.Request) bool {
	h := r.Header
	if isPrefetch(h) || h["Service-Worker"] != nil { // scripts of service workers must not be redirected (Service Workers, "Update")
		return false
	}
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		dest := h.Get("Sec-Fetch-Dest")
		// A service worker that fetches the navigation it was told of sends it on with an empty destination; a link to
		// download has one, too, and asks for no page.
		return mode == "navigate" && dest != "object" && dest != "embed" && (dest != "empty" || acceptsPages(h))
	}
	switch {
	case h.Get("X-Requested-With") != "", h.Get("Authorization") != "", h.Get("Upgrade") != "", h.Get("Origin") != "" && r.Method == http.MethodGet:
		return false
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return false
	case strings.HasPrefix(h.Get("Content-Type"), "application/grpc"):
		return false
	}
	return acceptsPages(h)
}

func acceptsPages(h http.Header) bool {
	for _, line := range h["Accept"] {
		if strings.Contains(line, "text/html") || strings.Contains(line, "application/xhtml+xml") {
			return true
		}
	}
	return false
}

// isOfPage reports whether a browser sent a request for a page, or could have: to a challenge for a password it would show
// a dialog, whatever sent the request.
func isOfPage(r *http.Request) bool {
	h := r.Header
	if site := h.Get("Sec-Fetch-Site"); site != "" || h["Sec-Fetch-Mode"] != nil || h["Sec-Fetch-Dest"] != nil {
		// "none" is what nothing but the user asked for; mail programs that are browsers underneath synchronise so.
		return site != "none" || !isDAV(r.Method)
	}
	switch {
	case h["X-Requested-With"] != nil, h["Origin"] != nil, h["Service-Worker"] != nil, isPrefetch(h):
		return true
	case isDAV(r.Method):
		return false // whatever it accepts or calls itself: Konqueror is a "Mozilla" as well
	}
	// Browsers tell nothing of fetches to origins without TLS, older ones never.
	return acceptsPages(h) || strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// isDAV reports whether a method is of DAV only (RFC 4918, 3253, 3744, 4791, 5323, 5842).
func isDAV(method string) bool {
	switch method {
	case "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "MKCALENDAR", "ACL", "SEARCH", "BIND", "UNBIND", "REBIND":
		return true
	}
	return false
}

// preflightFor answers the method of the request that a CORS preflight asks to make (Fetch, section 4.8).
func preflightFor(r *http.Request) (method string, is bool) {
	asked := r.Header["Access-Control-Request-Method"]
	if r.Method != http.MethodOptions || len(asked) != 1 || len(r.Header["Origin"]) != 1 {
		return "", false
	}
	return asked[0], true
}
