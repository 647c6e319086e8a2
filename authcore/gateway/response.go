package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore/policy"
)

// responseFilter keeps a backend from setting the gateway's cookies, and sets the renewed one.
type responseFilter struct {
	http.ResponseWriter
	setCookie string // the gateway's own Set-Cookie; may be empty
	private   bool   // the answer is for this visitor: shared caches must not keep it unless the backend says how
	wrote     bool

	// The request, as it is judged again should the answer turn out to be a stream.
	gateway *Gateway
	ticket  *ticket // nil: signed out, or a stream that is followed already
	asked   policy.Request
	stream  *stream

	cacheControl [1]string // what filter sets, if it does
}

func (f *responseFilter) WriteHeader(status int) {
	f.filter(status)
	f.ResponseWriter.WriteHeader(status)
}

func (f *responseFilter) filter(status int) {
	if f.wrote {
		return
	}
	h := f.ResponseWriter.Header()
	if len(h["Set-Cookie"]) > 0 {
		dropCookies(h, isOwnCookie)
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // informational: the real answer is still to come
	}
	f.wrote = true
	if f.ticket != nil && isStream(h.Get("Content-Type")) {
		f.follow()
	}
	if f.setCookie != "" {
		h["Set-Cookie"] = append(h["Set-Cookie"], f.setCookie)
		f.cacheControl[0] = "no-store"
		h["Cache-Control"] = f.cacheControl[:]
	} else if f.private && h["Cache-Control"] == nil {
		f.cacheControl[0] = "private"
		h["Cache-Control"] = f.cacheControl[:]
	}
}

// follow makes an answer end with the session where it is a stream that did not look like one in the request: a page
// that reads events by fetch asks for anything.
func (f *responseFilter) follow() {
	cut := func() {
		rc, past := http.NewResponseController(f.ResponseWriter), time.Unix(1, 0)
		_ = rc.SetReadDeadline(past) // in HTTP/1 this ends the request's context too
		_ = rc.SetWriteDeadline(past)
	}
	var live bool
	if f.stream, live = f.gateway.watch(f.ticket, f.asked, cut); !live {
		cut()
	}
}

// finish is to be called when the request is done. Where nothing was written, the server answers with the headers as they
// stand.
func (f *responseFilter) finish() {
	f.filter(http.StatusOK)
	if f.stream != nil {
		f.stream.finish()
	}
}

// dropCookies removes what would set a cookie of these names. A nameless cookie ("=authgate=x") is sent back by browsers
// as if its value were name and value (RFC 6265bis section 8.8), so leading "=" do not count.
func dropCookies(h http.Header, named func(string) bool) {
	var kept []string
	for _, line := range h["Set-Cookie"] {
		name, _, _ := strings.Cut(strings.TrimLeft(line, " \t="), "=")
		name, _, _ = strings.Cut(name, ";")
		if !named(strings.TrimRight(name, " \t")) {
			kept = append(kept, line)
		}
	}
	if kept == nil {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
}

func (f *responseFilter) Write(b []byte) (int, error) {
	f.filter(http.StatusOK)
	return f.ResponseWriter.Write(b)
}

// ReadFrom lets files go out by sendfile where the writer below can.
func (f *responseFilter) ReadFrom(r io.Reader) (int64, error) {
	f.filter(http.StatusOK)
	return io.Copy(f.ResponseWriter, r)
}

func (f *responseFilter) Flush() { _ = f.FlushError() }

func (f *responseFilter) FlushError() error {
	f.filter(http.StatusOK)
	return http.NewResponseController(f.ResponseWriter).Flush()
}

func (f *responseFilter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(f.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (f *responseFilter) Unwrap() http.ResponseWriter { return f.ResponseWriter }
