package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func stripped(t *testing.T, h http.Header, websocket bool) http.Header {
	t.Helper()
	s := newStripper(Site{Headers: []Header{{Name: "X-WEBAUTH-USER", Value: "{username}"}}})
	r := &http.Request{Header: h, Trailer: http.Header{"Remote-User": nil}}
	s.strip(r, websocket, nil)
	if r.Trailer != nil {
		t.Error("the trailer was kept")
	}
	return r.Header
}

// A client claims to be somebody: under every spelling that a backend, or the CGI-like interface before it, might take
// for the header's name.
func TestForgedIdentityHeaderInEverySpelling(t *testing.T) {
	names := []string{"X-Webauth-User", "X-Authgate-Assertion"}
	for _, h := range defaultHeaders {
		names = append(names, h.Name)
	}
	for _, name := range names {
		spellings := []string{name, strings.ToLower(name), strings.ToUpper(name)}
		for _, sep := range []string{"_", ".", "+", " ", "~", "!", "'", "|"} {
			spellings = append(spellings, strings.ReplaceAll(name, "-", sep), strings.ToLower(strings.Replace(name, "-", sep, 1)))
		}
		for _, spelled := range spellings {
			h := http.Header{spelled: {"admin", "root"}, "Accept": {"*/*"}}
			if got := stripped(t, h, false); len(got) != 1 {
				t.Errorf("%q passed", spelled)
			}
		}
	}
}

// A client asks the backend to see another address or method than the one that was judged.
func TestOverrideHeaders(t *testing.T) {
	for _, name := range slices.Concat(overrides, prefixes) {
		for _, spelled := range []string{http.CanonicalHeaderKey(name), strings.ReplaceAll(name, "-", "_")} {
			if got := stripped(t, http.Header{spelled: {"/admin"}}, false); len(got) != 0 {
				t.Errorf("%q passed", spelled)
			}
		}
	}
}

// What a trusted proxy took from the path it tells the backend, which needs it for its links; nobody else does, and in no other
// spelling, which the proxy has not set.
func TestPrefixesOfTrustedProxies(t *testing.T) {
	s := newStripper(Site{})
	for _, name := range prefixes {
		for spelled, want := range map[string]int{http.CanonicalHeaderKey(name): 1, strings.ReplaceAll(name, "-", "+"): 0, strings.ToLower(name): 0} {
			for _, trusted := range []bool{false, true} {
				r := &http.Request{Header: http.Header{spelled: {"/public"}, "X-Original-Url": {"/admin"}}}
				s.strip(r, false, func(*http.Request) bool { return trusted })
				if passed := len(r.Header); trusted && passed != want || !trusted && passed > 0 {
					t.Errorf("%q, trusted %v: %v", spelled, trusted, r.Header)
				}
			}
		}
	}
}

// A client names our header in Connection, so that the reverse proxy drops it after it was set: the backend then takes
// the request for one from inside.
func TestIdentityHeaderNamedInConnection(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		ws   bool
		want []string
	}{
		{"alone", []string{"Remote-User"}, false, nil},
		{"several lines", []string{"X-Authgate-Subject", "Keep-Alive, close"}, false, nil},
		{"upgrade of a websocket", []string{"Upgrade, Remote-User"}, true, []string{"Upgrade"}},
		{"upgrade of something else", []string{"Upgrade, HTTP2-Settings"}, false, nil},
		{"odd white space and empty members", []string{" ,\tRemote-User ,, UPGRADE"}, true, []string{"Upgrade"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := stripped(t, http.Header{"Connection": tt.in}, tt.ws)
			if !slices.Equal(got["Connection"], tt.want) {
				t.Errorf("Connection: %q, want %q", got["Connection"], tt.want)
			}
		})
	}
}

// What a proxy has to drop for being named in Connection is still dropped, although the name is no longer passed on.
func TestHopByHopHeaderNamedInConnection(t *testing.T) {
	got := stripped(t, http.Header{"Connection": {"X-Hop, close"}, "X-Hop": {"1"}, "X-Other": {"2"}}, false)
	if got["X-Hop"] != nil || got["X-Other"] == nil {
		t.Errorf("got %v", got)
	}
}

// A client asks for a tunnel: after the switch of protocols it would speak to the backend directly.
func TestUpgradeToAnythingButWebsocket(t *testing.T) {
	for _, proto := range []string{"h2c", "websocket, h2c", "TLS/1.0", "foo"} {
		r := &http.Request{Method: "GET", ProtoMajor: 1, Header: http.Header{
			"Upgrade": {proto}, "Connection": {"Upgrade, HTTP2-Settings"}, "Http2-Settings": {"AAMAAABkAAQAAP__"},
		}}
		s := newStripper(Site{})
		s.strip(r, isWebsocket(r), nil)
		if len(r.Header) != 0 {
			t.Errorf("%s: %v passed", proto, r.Header)
		}
	}
}

func TestStripLeavesOtherHeaders(t *testing.T) {
	h := http.Header{
		"Accept": {"*/*"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Remote-User-Agent": {"x"}, "Remote-Users": {"x"},
		"Authorization": {"Basic eDp5"}, "X-Webauth-User-2": {"x"}, "Te": {"trailers"},
	}
	want := len(h)
	if got := stripped(t, h, false); len(got) != want {
		t.Errorf("got %v", got)
	}
}
