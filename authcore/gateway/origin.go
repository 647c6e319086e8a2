package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// origin is where a site lives, as the browser shows it (RFC 6454).
type origin struct {
	text   string // canonical: lower case, no default port
	scheme string
	host   string // without port, without brackets
	hostIs string // host and port as in a Host header of a request to it
}

// parseOrigin accepts https origins, and http ones on a host that browsers treat as secure: anywhere else cookies would
// travel in the clear.
func parseOrigin(s string) (origin, error) {
	fail := func(why string) (origin, error) {
		return origin{}, fmt.Errorf("gateway: origin %q: %s; write it as the browser shows it, https://app.example.com", s, why)
	}
	if s == "" {
		return fail("is missing")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fail("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fail("has no http or https scheme")
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return fail("has more than scheme, host and port")
	case u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "*_ ") || strings.HasSuffix(u.Hostname(), "."):
		return fail("has no usable host name")
	case strings.HasSuffix(u.Host, ":"):
		return fail("has an empty port")
	}
	host := strings.ToLower(u.Hostname())
	for _, c := range host {
		if c > 0x7e {
			return fail("is not ASCII (use the xn-- form)")
		}
	}
	if u.Scheme == "http" && !loopback(host) {
		return fail("is plain http, which is for localhost only")
	}
	o := origin{scheme: u.Scheme, host: host, hostIs: host}
	if strings.Contains(host, ":") {
		o.hostIs = "[" + host + "]"
	}
	if p := u.Port(); p != "" && !(p == "443" && u.Scheme == "https") && !(p == "80" && u.Scheme == "http") {
		o.hostIs = net.JoinHostPort(host, p)
	}
	o.text = o.scheme + "://" + o.hostIs
	return o, nil
}

// loopback reports whether browsers treat http on this host as a secure context (W3C Secure Contexts, section 3.1).
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (o origin) secure() bool { return o.scheme == "https" }

// isHost reports whether a request's Host header names this origin.
func (o origin) isHost(host string) bool {
	if len(host) == len(o.hostIs) && strings.EqualFold(host, o.hostIs) {
		return true
	}
	port := ":80"
	if o.secure() {
		port = ":443"
	}
	return strings.EqualFold(host, o.hostIs+port)
}
