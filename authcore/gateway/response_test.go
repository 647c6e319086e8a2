package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// A backend that was broken into, or a page it hosts for users, plants a session of the attacker's.
func TestBackendCannotSetTheCookie(t *testing.T) {
	lines := []string{
		"__Host-authgate=evil; Path=/", "__host-authgate=evil", " authgate=evil", "authgate =evil", "=authgate=evil",
		"__Secure-authgate=evil; Domain=example.com", "__Host-authgate-device=evil", "authgate-Device=; Max-Age=0", "authgate", "authgate; Path=/", "\t==__Host-authgate=evil",
	}
	for _, how := range []string{"WriteHeader", "Write", "Flush", "ReadFrom", "EarlyHints", "nothing"} {
		w := httptest.NewRecorder()
		f := &responseFilter{stream: stream{writer: w}, setCookie: "__Host-authgate=ours"}
		for _, l := range lines {
			f.Header().Add("Set-Cookie", l)
		}
		f.Header().Add("Set-Cookie", "app=1")
		want := []string{"app=1", "__Host-authgate=ours"}
		switch how {
		case "WriteHeader":
			f.WriteHeader(http.StatusNotFound)
		case "Write":
			_, _ = io.WriteString(f, "x")
		case "Flush":
			f.Flush()
		case "ReadFrom":
			_, _ = io.Copy(f, strings.NewReader("x"))
		case "EarlyHints":
			f.WriteHeader(http.StatusEarlyHints)
			want = want[:1]
		case "nothing": // as handlers do whose answer is 200 without a body
			f.finish()
		}
		if got := w.Header()["Set-Cookie"]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", how, got, want)
		}
	}
}

// A cache between would hand the renewed cookie, or somebody's page, to everybody.
func TestAnswersForOneVisitorAreNotCachedForAll(t *testing.T) {
	tests := []struct {
		name    string
		filter  *responseFilter
		backend string
		want    string
	}{
		{"renewed", &responseFilter{setCookie: "x=y"}, "public, max-age=60", "no-store"},
		{"identified", &responseFilter{private: true}, "", "private"},
		{"identified, backend decides", &responseFilter{private: true}, "public, max-age=60", "public, max-age=60"},
		{"public", &responseFilter{}, "", ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		tt.filter.stream.writer = w
		if tt.backend != "" {
			w.Header().Set("Cache-Control", tt.backend)
		}
		tt.filter.WriteHeader(http.StatusOK)
		if got := w.Header().Get("Cache-Control"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
