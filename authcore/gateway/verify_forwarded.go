package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// The headers by which proxies tell of a request: those of Traefik and Caddy, which HAProxy and Envoy can be made to send,
// and those of nginx.
const (
	forwardedMethod = "X-Forwarded-Method"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedHost   = "X-Forwarded-Host"
	forwardedURI    = "X-Forwarded-Uri"
	originalMethod  = "X-Original-Method"
	originalURL     = "X-Original-Url"
	originalURI     = "X-Original-Uri" // said by some beside the others
)

// forwarded is a request that another proxy has, as it tells of it.
type forwarded struct {
	method string
	scheme string // http or https
	host   string // lower case, without the scheme's own port
	target string // path and query as they stand in the request line
	url    *url.URL

	websocket bool   // it asks for one, or looks like it
	redirects bool   // the proxy hands on what it is answered
	back      string // the target on the origin by which one comes back to it
}

// readHeaders reads a request that is told of in headers alone. All that is told must agree: a client can say what a proxy
// leaves unsaid.
func (f *forwarded) readHeaders(h http.Header) *Error {
	told, err := readTold(h)
	switch {
	case err != nil:
		return err
	case told.uri != "" && told.method != "" && told.proto != "" && told.host != "":
		f.method, f.scheme, f.host, f.target = told.method, told.proto, told.host, told.uri
	case told.originalURL != "" && told.originalMethod != "":
		u, ok := splitTold(told.originalURL)
		if !ok {
			return badAsk(originalURL + " is not scheme, host and path")
		}
		f.method, f.scheme, f.host, f.target = told.originalMethod, u.scheme, u.host, u.target
	default:
		return badAsk("it takes " + forwardedMethod + ", -Proto, -Host and -Uri, or X-Original-Method and X-Original-URL")
	}
	return f.agree(told, h)
}

// readBelow reads a request that is told of by the request itself, its path after this one, and the scheme in a header.
func (f *forwarded) readBelow(r *http.Request, below string) *Error {
	told, err := readTold(r.Header)
	if err != nil {
		return err
	}
	target, ok := strings.CutPrefix(r.RequestURI, below)
	if !ok {
		return errBadTarget
	}
	if told.proto == "" {
		return badAsk("it takes " + forwardedProto)
	}
	f.method, f.scheme, f.host, f.target = r.Method, told.proto, strings.ToLower(r.Host), target
	return f.agree(told, r.Header)
}

// told is what headers tell; empty where one does not.
type told struct {
	method, proto, host, uri                 string
	originalMethod, originalURL, originalURI string
}

// readTold reads the headers, each of which may stand once.
func readTold(h http.Header) (told, *Error) {
	var t told
	for _, one := range []struct {
		name string
		into *string
	}{
		{forwardedMethod, &t.method},
		{forwardedProto, &t.proto},
		{forwardedHost, &t.host},
		{forwardedURI, &t.uri},
		{originalMethod, &t.originalMethod},
		{originalURL, &t.originalURL},
		{originalURI, &t.originalURI},
	} {
		if len(h[one.name]) > 1 {
			return t, badAsk(one.name + " stands twice")
		}
		*one.into = h.Get(one.name)
	}
	t.proto, t.host = toldScheme(t.proto), strings.ToLower(t.host)
	return t, nil
}

// toldScheme answers the scheme of a request; some proxies call that of a websocket so.
func toldScheme(s string) string {
	switch s = strings.ToLower(s); s {
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return s
}

// splitTold splits an absolute URL without changing anything of its path.
func splitTold(text string) (f forwarded, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	i := strings.IndexByte(rest, '/')
	if !ok || i <= 0 {
		return f, false
	}
	f.scheme, f.host, f.target = toldScheme(scheme), strings.ToLower(rest[:i]), rest[i:]
	return f, true
}

// agree refuses headers that tell of another request than f, and sees whether it asks for a websocket.
func (f *forwarded) agree(t told, h http.Header) *Error {
	f.host = withoutPort(f.host, f.scheme)
	also := *f
	if t.originalURL != "" {
		u, ok := splitTold(t.originalURL)
		if !ok {
			return badAsk(originalURL + " is not scheme, host and path")
		}
		also = u
	}
	for _, one := range []struct{ name, is, said string }{
		{forwardedMethod, f.method, t.method},
		{originalMethod, f.method, t.originalMethod},
		{forwardedProto, f.scheme, t.proto},
		{originalURL, f.scheme, also.scheme},
		{forwardedHost, f.host, withoutPort(t.host, f.scheme)},
		{originalURL, f.host, withoutPort(also.host, f.scheme)},
		{forwardedURI, f.target, t.uri},
		{originalURL, f.target, also.target},
		{originalURI, f.target, t.originalURI},
	} {
		if one.said != "" && one.said != one.is {
			return badAsk(one.name + " tells of another request than the rest")
		}
	}
	return f.seeUpgrade(h)
}

// seeUpgrade reports in f whether a websocket is asked for. Many a proxy keeps Upgrade to itself when it asks, so the headers
// that come with it count too: what is taken for a websocket is refused to pages of other origins.
func (f *forwarded) seeUpgrade(h http.Header) *Error {
	for _, protocol := range h["Upgrade"] {
		if !strings.EqualFold(protocol, "websocket") || len(protocol) != len("websocket") {
			return badAsk("it asks to go on in another protocol than that of websockets")
		}
	}
	f.websocket = (f.method == http.MethodGet || f.method == http.MethodConnect) &&
		(h["Upgrade"] != nil || h["Sec-Websocket-Key"] != nil || h["Sec-Websocket-Version"] != nil)
	return nil
}

// check refuses a request that is not to be judged here: rules, cookies and tokens are of one origin, or of the hosts below
// one domain.
func (f *forwarded) check(home origin, domain string) *Error {
	if f.scheme != home.scheme {
		return badAsk("the scheme is not that of " + home.text)
	}
	if !strings.HasPrefix(f.target, "/") {
		return errBadTarget
	}
	if home.isHost(f.host) {
		return nil
	}
	if !isBelow(f.host, domain) {
		return badAsk("the host is neither that of " + home.text + " nor below its cookie_domain")
	}
	return nil
}

// withoutPort answers a host without the port that is its scheme's own.
func withoutPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// validHost accepts names of plain labels, so that a URL can be made of one.
func validHost(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
