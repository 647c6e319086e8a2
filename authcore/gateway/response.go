package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// responseFilter keeps a backend from setting the gateway's cookies, and sets the renewed one.
type responseFilter struct {
	setCookie string // the gateway's own Set-Cookie; may be empty
	private   bool   // the answer is for this visitor: shared caches must not keep it unless the backend says how
	wrote     bool

	stream stream // its writer is where the answer goes; nothing else of it is set for who is signed out

	cacheControl [1]string // what filter sets, if it does
}

// Header implements http.ResponseWriter.
func (f *responseFilter) Header() http.Header { return f.stream.writer.Header() }

// WriteHeader implements http.ResponseWriter.
func (f *responseFilter) WriteHeader(status int) {
	f.filter(status)
	f.stream.writer.WriteHeader(status)
}

func (f *responseFilter) filter(status int) {
	if f.wrote {
		return
	}
	h := f.stream.writer.Header()
	if len(h["Set-Cookie"]) > 0 {
		dropCookies(h, isOwnCookie)
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // informational: the real answer is still to come
	}
	f.wrote = true
	if f.setCookie != "" {
		h["Set-Cookie"] = append(h["Set-Cookie"], f.setCookie)
		f.cacheControl[0] = "no-store"
		h["Cache-Control"] = f.cacheControl[:]
	} else if f.private && h["Cache-Control"] == nil {
		f.cacheControl[0] = "private"
		h["Cache-Control"] = f.cacheControl[:]
	}
}

// finish is to be called when the request is done. Where nothing was written, the server answers with the headers as they
// stand.
func (f *responseFilter) finish() {
	f.filter(http.StatusOK)
	f.stream.finish()
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
	if f.stream.ended.Load() {
		return 0, errStreamEnded // the writers below may know no deadlines, or set others
	}
	f.filter(http.StatusOK)
	return f.stream.writer.Write(b)
}

// atOnce is how much is copied before it is asked anew whether that is still allowed.
const atOnce = 1 << 20

// ReadFrom lets files go out by sendfile where the writer below can.
func (f *responseFilter) ReadFrom(r io.Reader) (n int64, err error) {
	f.filter(http.StatusOK)
	for !f.stream.ended.Load() {
		copied, err := io.CopyN(f.stream.writer, r, atOnce)
		switch n += copied; {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
	return n, errStreamEnded
}

func (f *responseFilter) Flush() { _ = f.FlushError() }

func (f *responseFilter) FlushError() error {
	if f.stream.ended.Load() {
		return errStreamEnded
	}
	f.filter(http.StatusOK)
	return http.NewResponseController(f.stream.writer).Flush()
}

func (f *responseFilter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(f.stream.writer).Hijack()
}

// Unwrap is for http.ResponseController.
func (f *responseFilter) Unwrap() http.ResponseWriter { return f.stream.writer }
