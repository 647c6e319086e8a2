package caddymodule

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/ethereum/go-ethereum/crypto"
)

// BenchmarkChain measures what authgate adds to a request on its way through Caddy's handlers, against a site of the same
// Caddy that differs only in having no authgate. There is no socket in it, so that nothing hides the difference.
//
// Both sites get the same requests, in turns of some hundred microseconds, so that whatever else the machine does hits
// both. Times are lower quartiles over the turns, since what disturbs a turn only ever adds to it; allocations are exact.
func BenchmarkChain(b *testing.B) {
	c := newChain(b, 1, 10, 1000)
	plain := c.sites[0]
	for _, carrier := range []string{"cookie", "bearer"} {
		for _, n := range []int{1, 10, 1000} {
			gated := c.sites[n]
			b.Run(fmt.Sprintf("%s/rules=%d", carrier, n), func(b *testing.B) {
				header := gated.signedIn[carrier]
				compare(b, plain.get(header, http.StatusOK), gated.get(header, http.StatusOK))
			})
		}
	}
	b.Run("rules=1000-instead-of-1", func(b *testing.B) {
		one, thousand := c.sites[1], c.sites[1000]
		compare(b, one.get(one.signedIn["cookie"], http.StatusOK), thousand.get(thousand.signedIn["cookie"], http.StatusOK))
	})
	for name, refused := range map[string]struct {
		header http.Header
		status int
	}{
		"navigation": {browser(""), http.StatusFound},
		"program":    {program(""), http.StatusUnauthorized},
		"bad-token":  {program("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA"), http.StatusUnauthorized},
	} {
		b.Run("anonymous/"+name, func(b *testing.B) {
			compare(b, plain.get(refused.header, http.StatusOK), c.sites[10].get(refused.header, refused.status))
		})
	}
}

// compare runs two ways of doing a thing in turns and reports what the second costs more than the first.
func compare(b *testing.B, first, second func()) {
	const batch = 128
	turn := func(do func()) float64 {
		start := time.Now()
		for range batch {
			do()
		}
		return float64(time.Since(start)) / batch / 1000
	}
	for range 2 * batch { // caches are warm in the life of a server
		first()
		second()
	}
	allocs1, bytes1 := allocated(first)
	allocs2, bytes2 := allocated(second)
	var was, is []float64
	for i := 0; b.Loop(); i++ {
		var x, y float64
		if i%2 == 0 {
			x, y = turn(first), turn(second)
		} else {
			y, x = turn(second), turn(first)
		}
		was, is = append(was, x), append(is, y)
	}
	b.ReportMetric(0, "ns/op") // it would be that of a pair of turns
	b.ReportMetric(quartile(was), "without-µs/op")
	b.ReportMetric(quartile(is), "with-µs/op")
	b.ReportMetric(quartile(is)-quartile(was), "added-µs/op")
	b.ReportMetric(allocs2-allocs1, "added-allocs/op")
	b.ReportMetric(bytes2-bytes1, "added-B/op")
}

// quartile is the value that a quarter of x does not exceed.
func quartile(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/4]
}

// allocated is what one run of do allocates.
func allocated(do func()) (count, size float64) {
	const runs = 2000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		do()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// chain is a running Caddy with several sites.
type chain struct {
	sites map[int]*chainSite // by number of rules; 0: the one without authgate
}

// chainSite is a site that is called without a connection.
type chainSite struct {
	server   *caddyhttp.Server
	host     string
	signedIn map[string]http.Header // "cookie", "bearer": a request of somebody who is signed in
}

func newChain(b testing.TB, rules ...int) *chain {
	b.Helper()
	c := &chain{sites: map[int]*chainSite{}}
	var sites strings.Builder
	for _, n := range append([]int{0}, rules...) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer listener.Close()
		host := "localhost:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		c.sites[n] = &chainSite{host: host, signedIn: map[string]http.Header{}}
		fmt.Fprintf(&sites, "http://%s {\nbind 127.0.0.1\n", host)
		if n > 0 {
			sites.WriteString("authgate {\n")
			for i := range n - 1 {
				fmt.Fprintf(&sites, "allow role editor /apps/app%d/* {\nmethod GET POST\n}\n", i)
			}
			sites.WriteString("allow signed_in /reports/*\n}\n")
		}
		sites.WriteString("respond hello\n}\n")
		listener.Close()
	}
	caddyfile := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	log {
		output discard
	}
	authgate {
		store sqlite %s
		registration open
		rate_limit off
		session {
			access_token 1h
		}
	}
}
%s`, filepath.Join(b.TempDir(), "authgate.db"), &sites)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			b.Error(err)
		}
	})
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	for n, s := range c.sites {
		_, port, _ := net.SplitHostPort(s.host)
		for _, server := range app.(*caddyhttp.App).Servers {
			if strings.HasSuffix(server.Listen[0], ":"+port) {
				s.server = server
			}
		}
		if n > 0 {
			s.signIn(b)
		}
	}
	return c
}

// signIn signs a wallet in, as a browser and as a program.
func (s *chainSite) signIn(b testing.TB) {
	b.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	s.post(b, "challenge/sign", s.solved(b, key, ""), &tokens)
	s.signedIn["bearer"] = program(tokens.Access)
	header := s.post(b, "challenge/sign", s.solved(b, key, `,"session":"cookie"`), new(any))
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	s.signedIn["cookie"] = browser(cookie)
}

// post sends JSON to one of the gateway's routes, reads what it answers, and answers the header.
func (s *chainSite) post(b testing.TB, route, body string, answer any) http.Header {
	b.Helper()
	w := s.send(route, body, "127.0.0.1:4711")
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil || w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", route, w.Code, w.Body)
	}
	return w.Header()
}

func (s *chainSite) send(route, body, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://"+s.host+"/auth/"+route, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	return w
}

// solved asks for a message and answers the body that presents its signature; more holds further members.
func (s *chainSite) solved(b testing.TB, key *ecdsa.PrivateKey, more string) string {
	b.Helper()
	var asked struct{ ChallengeMessage string }
	s.post(b, "challenge/create", fmt.Sprintf(`{"address":%q}`, crypto.PubkeyToAddress(key.PublicKey).Hex()), &asked)
	m := asked.ChallengeMessage
	signature, err := crypto.Sign(crypto.Keccak256(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(m), m)), key)
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprintf(`{"challenge":%q,"signature":"0x%x"%s}`, m, signature, more)
}

// browser is what a browser sends with a navigation.
func browser(cookie string) http.Header {
	h := http.Header{
		"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Encoding":           {"gzip, deflate, br, zstd"},
		"Accept-Language":           {"en-US,en;q=0.5"},
		"Connection":                {"keep-alive"},
		"Priority":                  {"u=0, i"},
		"Referer":                   {"http://localhost/reports"},
		"Sec-Fetch-Dest":            {"document"},
		"Sec-Fetch-Mode":            {"navigate"},
		"Sec-Fetch-Site":            {"same-origin"},
		"Sec-Fetch-User":            {"?1"},
		"Upgrade-Insecure-Requests": {"1"},
		"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	}
	if cookie != "" {
		h["Cookie"] = []string{"theme=dark; " + cookie}
	}
	return h
}

// program is what an API client sends.
func program(token string) http.Header {
	h := http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"example/1.0"}}
	if token != "" {
		h["Authorization"] = []string{"Bearer " + token}
	}
	return h
}

// get answers a function that does one request, all that net/http would make anew for it being new.
func (s *chainSite) get(header http.Header, status int) func() {
	target := url.URL{Path: "/reports/2026/q3", RawQuery: "page=2"}
	return func() {
		u := target
		h := make(http.Header, len(header)) // net/http makes room for as many
		for name, values := range header {
			h[name] = values
		}
		w := recorder{header: make(http.Header)}
		s.server.ServeHTTP(&w, &http.Request{
			Method: http.MethodGet, URL: &u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: http.NoBody,
			Host: s.host, RemoteAddr: "127.0.0.1:4711", RequestURI: "/reports/2026/q3?page=2",
		})
		if w.status != status {
			panic(fmt.Sprintf("%s answered %d, want %d", s.host, w.status, status))
		}
	}
}

// recorder is a http.ResponseWriter that costs next to nothing.
type recorder struct {
	header http.Header
	status int
}

func (w *recorder) Header() http.Header { return w.header }

// Caddy sets deadlines, and where it cannot, errors that no real connection has.
func (w *recorder) SetReadDeadline(time.Time) error  { return nil }
func (w *recorder) SetWriteDeadline(time.Time) error { return nil }

func (w *recorder) WriteHeader(status int) { w.status = status }

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return len(b), nil
}
