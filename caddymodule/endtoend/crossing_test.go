package endtoend

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// crossed answers how what the backend is told differs from who asked, whose name and id are in the query.
func crossed(r *http.Request) string {
	name, id := r.URL.Query().Get("name"), r.URL.Query().Get("id")
	for header, want := range map[string]string{"Remote-User": name, "X-Authgate-Subject": id, "X-Authgate-Wallet": name} {
		if got := r.Header[header]; len(got) != 1 || got[0] != want {
			return fmt.Sprintf("%s is %q, want %q", header, got, want)
		}
	}
	parts := strings.Split(r.Header.Get("X-Authgate-Assertion"), ".")
	if len(parts) != 3 {
		return "no assertion"
	}
	var claims struct{ Sub string }
	if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err != nil || json.Unmarshal(body, &claims) != nil || claims.Sub != id {
		return fmt.Sprintf("the assertion is of %q, want %q", claims.Sub, id)
	}
	return ""
}

// Two hundred users ask at once, by cookie and by bearer token, over connections that carry each request of somebody else:
// what the backend is told is who asked, each time. AUTHGATE_SOAK=1 sends a million requests.
func TestIdentitiesDoNotCross(t *testing.T) {
	t.Parallel()
	const users, workers = 200, 32
	requests := int64(load(5000, 20000))
	if os.Getenv("AUTHGATE_SOAK") != "" {
		requests = 1_000_000
	}
	var seen, wrong atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		if how := crossed(r); how != "" && wrong.Add(1) < 10 {
			t.Errorf("%s: %s", r.URL, how)
		}
	}))
	t.Cleanup(backend.Close)
	g := start(t, setup{routes: "log_skip\n\treverse_proxy " + backend.Listener.Addr().String()})
	type user struct{ target, name, value string }
	var everybody [users]user
	for i := range everybody {
		w := walletOf(fmt.Sprint("user ", i))
		var s signedIn
		header := ""
		if i%2 == 0 {
			s = g.signIn(t, w)
			header = s.bearer()
		} else {
			s = g.signInBrowser(t, w)
			header = s.cookieLine()
		}
		name, value, _ := strings.Cut(header, ": ")
		everybody[i] = user{g.origin + "/reports/x?name=" + s.User.Username + "&id=" + s.User.ID, name, value}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	var sent atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := sent.Add(1); n <= requests; n = sent.Add(1) {
				u := everybody[int(n*7919%users)]
				r, err := http.NewRequest("GET", u.target, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set(u.name, u.value)
				resp, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("%s: status %d", u.target, resp.StatusCode)
					return
				}
			}
		})
	}
	all.Wait()
	if seen.Load() != requests || wrong.Load() != 0 {
		t.Errorf("%d of %d requests arrived, %d of them as somebody else", seen.Load(), requests, wrong.Load())
	}
}
