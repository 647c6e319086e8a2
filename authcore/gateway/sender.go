package gateway

import "net/http"

// isForeignFetch reports whether a browser says that a page of another site sent the request, unless somebody only followed a
// link from there.
func isForeignFetch(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "cross-site" && site != "same-site" {
		return false
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// checkSender refuses what a page of another origin makes a browser send (cross-site request forgery, sign-in and
// sign-out included), and what somebody may be replaying. It looks at headers only, so that it can stand before all
// else.
func (g *Gateway) checkSender(r *http.Request) error {
	// RFC 8470 section 5.1: data of the first flight of TLS 1.3 can be replayed by whoever saw it. Early-Data is how a
	// proxy before this server says so.
	if r.TLS != nil && !r.TLS.HandshakeComplete || r.Header.Get("Early-Data") == "1" {
		return errTooEarly
	}
	if g.foreignOrigin(r) {
		return errCrossSite
	}
	// Browsers that left Origin out for a same-origin request, or for "null", still send this one (W3C Fetch Metadata,
	// section 2.4). "same-site" is a sibling, which may belong to somebody else.
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return errCrossSite
		}
	}
	return nil
}
