package endtoend

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// written answers what a program wrote that ended well.
func written(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

// toldServer is a backend that counts the requests of each name in a query, and reports those that it is told are of
// somebody else.
type toldServer struct {
	address string

	mu   sync.Mutex
	seen map[string]int
}

func startTold(t *testing.T) *toldServer {
	t.Helper()
	b := &toldServer{seen: make(map[string]int)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		how := crossed(r)
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "" {
			how += " and sees the credential"
		}
		for name, values := range r.Header {
			if slices.Contains(values, forged) {
				how += " and is told by the client " + name
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen[r.URL.Query().Get("name")]++
		if how != "" && !t.Failed() {
			t.Errorf("the backend, asked for %s: %s", r.URL, how)
		}
	}))
	t.Cleanup(s.Close)
	b.address = s.Listener.Addr().String()
	return b
}

// took answers how many requests of this name came since it was asked last.
func (b *toldServer) took(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.seen[name]
	delete(b.seen, name)
	return n
}

// Clients of HTTP/2 that are none of Go's, one by one and a hundred streams at a time: signed out they are refused and not
// redirected; with a token every request passes, as of who holds it, whatever else they say.
func TestNghttpAndH2load(t *testing.T) {
	t.Parallel()
	needs(t, "nghttp")
	needs(t, "h2load")
	backend := startTold(t)
	g := start(t, setup{tls: true, routes: "log_skip\n\treverse_proxy " + backend.address})
	target := func(s signedIn) string {
		return g.origin + "/reports/x?name=" + s.User.Username + "&id=" + s.User.ID
	}
	alice, bob, carol, dave := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob")), g.signIn(t, walletOf("carol")), g.signIn(t, walletOf("dave"))
	basic := "authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+g.accessToken(t, carol, "h2").Token))
	ways := []struct {
		name, header string
		owner        signedIn
	}{
		{"bearer token", "authorization: Bearer " + alice.AccessToken, alice},
		{"personal access token", "authorization: Bearer " + g.accessToken(t, bob, "h2").Token, bob},
		{"personal access token as password", basic, carol},
		{"personal access token as key", "x-api-key: " + g.accessToken(t, dave, "h2").Token, dave},
	}
	claim := []string{"-H", "remote-user: " + forged, "-H", "remote-groups: " + forged, "-H", "x_authgate_subject: " + forged}

	nghttp := func(args ...string) string {
		return written(t, "nghttp", append(append(args, "-v", "-n", "-y"), claim...)...)
	}
	const refused = ":status: 401"
	out := nghttp(target(alice))
	if !strings.Contains(out, refused) || !strings.Contains(out, "www-authenticate: Bearer") || strings.Contains(out, "location:") {
		t.Errorf("nghttp, signed out: %s", out)
	}
	if out := nghttp("-H", "authorization: Bearer agp_"+strings.Repeat("A", 64), target(bob)); !strings.Contains(out, refused) {
		t.Errorf("nghttp, with a token that is none: %s", out)
	}
	for _, way := range ways {
		const times = 20
		out := nghttp("-m", fmt.Sprint(times), "-H", way.header, target(way.owner))
		if n := strings.Count(out, ":status: 200"); n != times {
			t.Errorf("nghttp, %s: %d of %d: %s", way.name, n, times, tail(out, 2000))
		}
		if n := backend.took(way.owner.User.Username); n != times {
			t.Errorf("nghttp, %s: %d of %d requests reached the backend", way.name, n, times)
		}
	}

	// All at once, so that each may be taken for another.
	requests := load(200, 2000)
	h2load := func(args ...string) string {
		args = append([]string{"-n", fmt.Sprint(requests), "-c", "10", "-m", "10", fmt.Sprint("--connect-to=127.0.0.1:", g.port)}, args...)
		out := written(t, "h2load", append(args, claim...)...)
		if !strings.Contains(out, "Application protocol: h2\n") {
			t.Errorf("h2load speaks something else: %s", out)
		}
		return out
	}
	var all sync.WaitGroup
	all.Go(func() {
		if out := h2load(target(alice)); !strings.Contains(out, fmt.Sprintf("status codes: 0 2xx, 0 3xx, %d 4xx, 0 5xx", requests)) {
			t.Errorf("h2load, signed out: %s", out)
		}
	})
	for _, way := range ways {
		all.Go(func() {
			out := h2load("-H", way.header, target(way.owner))
			if !strings.Contains(out, fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", requests)) ||
				!strings.Contains(out, fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", requests)) {
				t.Errorf("h2load, %s: %s", way.name, out)
			}
		})
	}
	all.Wait()
	for _, way := range ways {
		if n := backend.took(way.owner.User.Username); n != requests {
			t.Errorf("h2load, %s: %d of %d requests reached the backend", way.name, n, requests)
		}
	}
}
