package endtoend

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// clients speak HTTP/2 and HTTP/3 to a gate with TLS.
func (g *gate) clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	// The certificate is of an authority that Caddy made a second ago.
	insecure := &tls.Config{InsecureSkipVerify: true}
	h2 := &http.Transport{TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: insecure.Clone()}
	t.Cleanup(func() { h2.CloseIdleConnections(); h3.Close() })
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return map[string]*http.Client{
		"HTTP/2.0": {Transport: h2, CheckRedirect: noRedirect}, "HTTP/3.0": {Transport: h3, CheckRedirect: noRedirect},
	}
}

// ask sends a request whose target goes out as it stands.
func (g *gate) ask(t *testing.T, client *http.Client, proto, method, target string, body io.Reader, header http.Header) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, g.origin, body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = &url.URL{Scheme: "https", Host: g.host, Opaque: target}
	if strings.HasPrefix(target, "//") || !strings.HasPrefix(target, "/") {
		// Opaque cannot say this; what is escaped goes out as escaped.
		if r.URL, err = url.Parse(g.origin + target); err != nil {
			t.Fatal(err)
		}
	}
	if header != nil {
		r.Header = header
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s %s: %v", proto, method, target, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.Proto != proto {
		t.Fatalf("answered in %s, want %s", resp.Proto, proto)
	}
	return resp.StatusCode, resp.Header
}

// What holds over HTTP/1.1 holds over HTTP/2 and 3, where names are lower-case and a request has no lines to confuse.
func TestForgedHeadersOverHTTP2And3(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	s := g.signIn(t, walletOf("alice"))
	browser := g.signInBrowser(t, walletOf("alice"))
	for proto, client := range g.clients(t) {
		t.Run(proto, func(t *testing.T) {
			for _, header := range slices.Concat(identityNames, overrideNames) {
				for _, spelling := range spellings(header) {
					in := http.Header{
						strings.ToLower(spelling): {forged, forged}, "X-Kept": {"1"}, "Authorization": {"Bearer " + s.AccessToken},
						"Cookie": {"a=1; " + browser.cookie},
					}
					if status, _ := g.ask(t, client, proto, "GET", "/reports/x", nil, in); status != 200 {
						t.Fatalf("%s: status %d", spelling, status)
					}
					a := g.backend.one(t)
					g.wantClean(t, spelling, a)
					if strings.Contains(a.raw, browser.cookie) || strings.Contains(a.raw, s.AccessToken) {
						t.Errorf("credentials reached the backend: %q", a.raw)
					}
				}
			}
			if status, header := g.ask(t, client, proto, "GET", "/reports/x", nil, http.Header{"Cookie": {browser.cookie}}); status != 200 {
				t.Errorf("by cookie: status %d", status)
			} else if header.Get("Alt-Svc") == "" && proto == "HTTP/2.0" {
				t.Log("HTTP/3 is not announced")
			}
			a := g.backend.one(t)
			if got := a.values("Remote-User"); !slices.Equal(got, []string{s.User.Username}) {
				t.Errorf("Remote-User: %q", got)
			}
		})
	}
}

// A plain listener takes HTTP/2 from clients that begin with it ("prior knowledge"), behind another proxy for instance.
func TestForgedHeadersOverPlainHTTP2(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signIn(t, walletOf("alice"))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	for _, header := range slices.Concat(identityNames, overrideNames) {
		r, err := http.NewRequest("GET", g.origin+"/reports/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{strings.ToLower(header): {forged, forged}, "X-Kept": {"1"}, "Authorization": {"Bearer " + s.AccessToken}}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Fatalf("%s over %s", resp.Status, resp.Proto)
		}
		a := g.backend.one(t)
		g.wantClean(t, header, a)
		if got := a.values("Remote-User"); !slices.Equal(got, []string{s.User.Username}) {
			t.Errorf("Remote-User: %q", got)
		}
	}
}

func TestPathsOverHTTP2And3(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	s := g.signIn(t, walletOf("alice"))
	for proto, client := range g.clients(t) {
		t.Run(proto, func(t *testing.T) {
			for _, target := range hidden {
				if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \\") || strings.HasPrefix(target, "//") {
					continue // cannot be sent by these clients
				}
				for _, header := range []http.Header{{}, {"Authorization": {"Bearer " + s.AccessToken}}} {
					status, _ := g.ask(t, client, proto, "GET", target, nil, header)
					if status != 401 && status != 403 && status != 400 {
						t.Errorf("%s: status %d", target, status)
					}
					g.backend.none(t)
				}
			}
			for _, target := range benign {
				if strings.HasPrefix(target, "//") {
					continue
				}
				status, _ := g.ask(t, client, proto, "GET", target, nil, http.Header{"Authorization": {"Bearer " + s.AccessToken}})
				if status != 200 {
					t.Errorf("%s: status %d", target, status)
					continue
				}
				if got := g.backend.one(t).target(); got != target {
					t.Errorf("%s arrives as %s", target, got)
				}
			}
		})
	}
}

// Trailers of HTTP/2 and 3 come as a second block of headers.
func TestTrailersOverHTTP2And3(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	for proto, client := range g.clients(t) {
		r, err := http.NewRequest("POST", g.origin+"/public/x", io.NopCloser(bytes.NewReader([]byte("hello"))))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = -1
		r.Trailer = http.Header{"Remote-User": {forged}, "X-Authgate-Subject": {forged}}
		r.Header.Set("X-Kept", "1")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.Proto != proto {
			t.Errorf("%s: %s", resp.Proto, resp.Status)
		}
		g.wantClean(t, proto+" trailer", g.backend.one(t))
	}
}

// CONNECT asks for a tunnel: there is no path to judge.
func TestConnectOverHTTP2And3(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	s := g.signIn(t, walletOf("admin"))
	for proto, client := range g.clients(t) {
		r, err := http.NewRequest("CONNECT", g.origin, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.AccessToken)
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("%s: CONNECT answers %s", proto, resp.Status)
			}
		}
		g.backend.none(t)
	}
}
