package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

// The routes by which other proxies ask about requests that they have: verify, with headers that tell of the request, and
// verify/… with the request's own method, host and path, as Envoy asks.
const (
	verifyRoute = "verify"
	verifyBelow = verifyRoute + "/"
	backRoute   = "back"
)

// answerProxy answers another proxy whether a request that it has may pass: 200 with the identity headers, or what is to be
// answered instead. It judges as Handle would judge that request, by Handle itself. Whatever happens, nothing but the
// decision to let it pass is answered with 2xx, since the proxy goes by that alone.
func (g *Gateway) answerProxy(w http.ResponseWriter, r *http.Request, sub string) {
	out := &verdict{ResponseWriter: w, gateway: g}
	defer func() {
		if p := recover(); p != nil {
			g.realm.Logger.LogAttrs(r.Context(), slog.LevelError, "panic", slog.Any("value", p), slog.String("stack", string(debug.Stack())))
			out.refuse(r, &Error{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong here.", Err: fmt.Errorf("panic: %v", p)})
		}
	}()
	asked, err := g.askedOf(r, sub)
	if err != nil {
		g.tellMisasked(r, asked, err)
		out.refuse(r, err)
		return
	}
	out.redirects = asked.redirects
	about := asked.request(r)
	switch _, own := g.ownPath(about); {
	case own:
		err = errOwnAsked
	default:
		err = g.strip.check(r.Header)
	}
	if err != nil {
		out.refuse(about, err)
		return
	}
	w.Header()["Cache-Control"] = []string{"no-store"}
	err = g.Handle(out, about, func(w http.ResponseWriter, passed *http.Request) error {
		g.tellIdentity(w.Header(), passed.Header)
		if strings.HasPrefix(sub, verifyBelow) {
			g.tellEnvoy(w.Header(), r.Header, passed.Header)
		}
		out.passed = true
		w.WriteHeader(http.StatusOK)
		return nil
	})
	if err != nil {
		out.refuse(about, err)
	}
}

var (
	errUntrustedProxy = &Error{Status: http.StatusForbidden, Code: "untrusted_proxy", Detail: "Only proxies that the server trusts may ask this: see trusted_proxies."}
	errOwnAsked       = &Error{Status: http.StatusForbidden, Code: "forbidden", Detail: "This path is one of the gateway's own: the proxy has to pass it on to the gateway, without asking."}
)

func badAsk(why string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: "The proxy does not tell well of the request: " + why + "."}
}

// askedOf answers the request that a proxy asks about.
func (g *Gateway) askedOf(r *http.Request, sub string) (forwarded, error) {
	var f forwarded
	var err *Error
	if !g.realm.TrustedProxy(r) {
		return f, errUntrustedProxy
	}
	if sub == verifyRoute {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return f, errMethodNotAllowed
		}
		switch r.URL.RawQuery {
		case "":
		case "redirect":
			f.redirects = true
		default:
			return f, badAsk("verify takes no other query than ?redirect")
		}
		err = f.readHeaders(r.Header)
	} else {
		f.redirects = true // Envoy hands on what it is answered
		err = f.readBelow(r, g.site.Path+"/"+verifyRoute)
	}
	if err == nil {
		err = f.check(g.origin, g.cookie.domain)
	}
	if err != nil {
		return f, err
	}
	if f.url, err = parseTarget(f.target); err != nil {
		return f, err
	}
	f.back = f.target
	if !g.origin.isHost(f.host) {
		f.back = g.site.Path + "/" + backRoute + "?to=" + url.QueryEscape(f.scheme+"://"+f.host+f.target)
	}
	return f, nil
}

// tellMisasked tells the log of a proxy that cannot be answered as it asks: what it is answered it drops, so that its
// visitors see an error page of its own, and nobody sees why. Each mistake is told once a minute, and ten of them at most;
// a request that no proxy makes well, for its method or target, is the client's.
func (g *Gateway) tellMisasked(r *http.Request, f forwarded, err error) {
	e, ok := err.(*Error)
	if !ok || e.Code != errUntrustedProxy.Code && e.Code != "invalid_request" {
		return
	}
	kind := refusalKey{code: e.Code, typed: sha256.Sum256([]byte(e.Detail))}
	if write, _ := g.asks.count(kind, refusal{}, g.realm.Now()); !write {
		return
	}
	g.realm.Logger.LogAttrs(r.Context(), slog.LevelWarn, "a proxy asks verify and cannot be answered: "+e.Detail,
		slog.String("code", e.Code), slog.String("origin", g.origin.text), slog.String("peer", remoteAddr(r).String()),
		slog.String("asked_scheme", f.scheme), slog.String("asked_host", f.host))
}

func parseTarget(target string) (*url.URL, *Error) {
	u, err := url.ParseRequestURI(target) // as net/http reads request lines
	if err != nil {
		return nil, errBadTarget
	}
	return u, nil
}

// request is the request as it would have come here, with the headers of the one that asks: proxies send the client's.
func (f *forwarded) request(r *http.Request) *http.Request {
	about := &http.Request{
		Method: f.method, URL: f.url, RequestURI: f.target, Host: f.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.Header.Clone(), Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
	}
	if f.websocket {
		about.Method = http.MethodGet // an extended CONNECT asks for what a GET does
		about.Header["Upgrade"], about.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	}
	return about.WithContext(context.WithValue(r.Context(), forwardedKey{}, f.back))
}

// forwardedKey is for the target of a request that another proxy asks about, in its context.
type forwardedKey struct{}

// isForwarded reports whether another proxy asks about a request, so that its body is not here.
func isForwarded(r *http.Request) bool { return r.Context().Value(forwardedKey{}) != nil }

// withForwarded answers what RealmConfig.RequestURI is to be: to requests that other proxies ask about one comes back by
// another target than that of the request that asks.
func withForwarded(uri func(*http.Request) string) func(*http.Request) string {
	return func(r *http.Request) string {
		if target, ok := r.Context().Value(forwardedKey{}).(string); ok {
			return target
		}
		return uri(r)
	}
}

// verifyNames are the headers by which proxies tell of a request, in their one spelling.
var verifyNames = []string{forwardedMethod, forwardedURI, originalMethod, originalURL, originalURI}

// check refuses a request with a header that Handle would take from it for the sake of the backend: the proxy has the
// request, and it is not certain that it takes it, in every spelling, from what it passes on.
func (s *stripper) check(h http.Header) error {
	rest := h.Clone()
	for _, name := range verifyNames {
		delete(rest, name)
	}
	for _, name := range []string{"Connection", "Upgrade", "Trailer", "Http2-Settings"} {
		delete(rest, name) // of the connection
	}
	r := &http.Request{Header: maps.Clone(rest)}
	s.strip(r, false, nil)
	for name := range rest {
		if _, left := r.Header[name]; !left {
			return badAsk("it came with " + headerText(name) + ", which no client may send")
		}
	}
	return nil
}

// identityOf answers the names of the identity headers in a request that was let through: what a client could have sent of
// them was taken from it before.
func (s *stripper) identityOf(h http.Header) []string {
	r := &http.Request{Header: maps.Clone(h)}
	s.strip(r, true, nil)
	var names []string
	for name := range h {
		if _, left := r.Header[name]; !left {
			names = append(names, name)
		}
	}
	return names
}

// tellIdentity answers a proxy who the request is.
func (g *Gateway) tellIdentity(answer, passed http.Header) {
	for _, name := range g.strip.identityOf(passed) {
		answer[name] = passed[name]
	}
}

// tellEnvoy names what Envoy is to remove from the request, since it only replaces what it is given.
func (g *Gateway) tellEnvoy(answer, came, passed http.Header) {
	var remove []string
	for _, name := range slices.Sorted(maps.Keys(g.strip.names)) {
		if passed[http.CanonicalHeaderKey(name)] == nil {
			remove = append(remove, name)
		}
	}
	for _, name := range []string{"Authorization", "Cookie", keyHeader} { // with nothing in it but what is the gateway's
		if came[name] != nil && passed[name] == nil {
			remove = append(remove, strings.ToLower(name))
		}
	}
	answer["X-Envoy-Auth-Headers-To-Remove"] = []string{strings.Join(remove, ",")}
}

// verdict is what a proxy is answered. It makes certain that only what passed is 2xx.
type verdict struct {
	http.ResponseWriter
	gateway   *Gateway
	redirects bool // the proxy hands on what it is answered, so that a redirect reaches the browser as it is
	passed    bool
	wrote     bool
}

// refuse writes a refusal.
func (v *verdict) refuse(r *http.Request, err error) {
	if v.wrote {
		return
	}
	if err == errMethodNotAllowed {
		v.Header()["Allow"] = []string{"GET, HEAD"}
	}
	v.gateway.WriteError(v, r, err)
}

// WriteHeader implements http.ResponseWriter.
func (v *verdict) WriteHeader(status int) {
	if v.wrote || status < http.StatusOK {
		return
	}
	v.wrote = true
	h := v.ResponseWriter.Header()
	if to := h.Get("Location"); strings.HasPrefix(to, "/") {
		h["Location"] = []string{v.gateway.origin.text + to} // some proxies take it for one of this server
	}
	switch {
	case v.passed:
	case status < http.StatusMultipleChoices:
		status = http.StatusForbidden
	case status < http.StatusBadRequest && !v.redirects:
		status = http.StatusUnauthorized
		v.gateway.setErrorHeaders(h, errSignedOut)
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (v *verdict) Write(b []byte) (int, error) {
	v.WriteHeader(http.StatusOK)
	return v.ResponseWriter.Write(b)
}

// leadBack is GET back: to where somebody was on another host below the cookie domain, and to no other.
func (g *Gateway) leadBack(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	to := "/"
	if f, ok := splitTold(r.URL.Query().Get("to")); ok && f.check(g.origin, g.cookie.domain) == nil {
		to = f.scheme + "://" + f.host + g.safeReturn(f.target)
	}
	w.Header()["Location"] = []string{to}
	w.WriteHeader(http.StatusFound)
	return nil
}
