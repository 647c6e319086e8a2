package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A site may stand before several hosts: that of its origin, and those below its cookie domain, where its sign-in counts too.
// Each is an origin of its own to browsers.

// sibling answers the host of a request, in lower case and without the port that is its scheme's own, where it is another
// than the origin's and the cookie domain covers it; else "".
func (g *Gateway) sibling(r *http.Request) string {
	if g.cookie.domain == "" || g.origin.isHost(r.Host) {
		return ""
	}
	host := withoutPort(strings.ToLower(r.Host), g.origin.scheme)
	if !isBelow(host, g.cookie.domain) {
		return ""
	}
	return host
}

// isBelow reports whether a host in lower case, with or without a port, is a domain or below it.
func isBelow(host, domain string) bool {
	name, port, has := strings.Cut(host, ":")
	if has {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	return validHost(name) && (name == domain || strings.HasSuffix(name, "."+domain))
}

// foreignPage reports whether a page of another origin sent the request than that of the host which it is for: siblings may
// belong to different people.
func (g *Gateway) foreignPage(r *http.Request) bool {
	host := g.sibling(r)
	if host == "" {
		return g.foreignOrigin(r)
	}
	from := r.Header["Origin"]
	if len(from) == 0 {
		return false
	}
	scheme, at, _ := strings.Cut(from[0], "://")
	return len(from) > 1 || !strings.EqualFold(scheme, g.origin.scheme) || !strings.EqualFold(at, host)
}

// wayBack answers the path and query on the origin by which somebody comes back to what they asked for, once they have
// signed in or confirmed there.
func (g *Gateway) wayBack(r *http.Request) string {
	to := g.safeReturn(g.realm.RequestURI(r))
	if isForwarded(r) {
		return to // where that was on another host, askedOf has seen to it
	}
	host := g.sibling(r)
	if _, own := g.ownPath(r); own || host == "" {
		return to
	}
	back := func(to string) string {
		return g.safeReturn(g.site.Path + "/" + backRoute + "?to=" + url.QueryEscape(g.origin.scheme+"://"+host+to))
	}
	if there := back(to); there != "/" {
		return there
	}
	return back("/") // too long: to the right host at least
}
