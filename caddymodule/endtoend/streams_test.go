//go:build unix

package endtoend

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// streamer is a backend whose requests go on until somebody ends them. It notes which of them it has.
type streamer struct {
	address string
	over    chan struct{} // the test is

	mu   sync.Mutex
	open map[string]bool // by the id in the query
}

func startStreamer(t *testing.T) *streamer {
	t.Helper()
	b := &streamer{over: make(chan struct{}), open: make(map[string]bool)}
	s := httptest.NewUnstartedServer(b)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() { close(b.over); s.CloseClientConnections(); s.Close() })
	b.address = s.Listener.Addr().String()
	return b
}

func (b *streamer) note(id string, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[id] = open
}

// has reports whether the request with this id arrived, and whether it goes on.
func (b *streamer) has(id string) (arrived, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	open, arrived = b.open[id]
	return arrived, open
}

func (b *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	b.note(id, true)
	defer b.note(id, false)
	rc := http.NewResponseController(w)
	write := func(text string) bool {
		_, err := io.WriteString(w, text)
		return err == nil && rc.Flush() == nil
	}
	switch strings.TrimPrefix(r.URL.Path, "/streams/") {
	case "download": // says nothing more
		w.Header().Set("Content-Type", "application/zip")
		write("PK")
		<-r.Context().Done()
	case "file": // has a length, and a client that does not hurry
		w.Header().Set("Content-Length", "1000000000")
		for n := 0; n < 1e9 && write(strings.Repeat("x", 1000)); n += 1000 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	case "events": // as a page's fetch reads them
		w.Header().Set("Content-Type", "text/event-stream")
		for write("data: x\n\n") {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	case "wait": // has not answered
		<-r.Context().Done()
	case "upload":
		_, _ = io.Copy(io.Discard, r.Body)
	case "stalled upload": // is not read, so that net/http does not look whether anybody is there
		b.note(id, false)
		select {
		case <-r.Context().Done():
		case <-b.over:
		}
	case "grpc":
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		write("\x00\x00\x00\x00\x00")
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Grpc-Status", "0")
	}
}

// going is a request that goes on, as its client sees it.
type going struct {
	name, id string
	over     chan struct{} // closed when the client knows that it is over
	got      atomic.Int64  // bytes
}

// slowBody is the body of an upload that does not end.
type slowBody struct{ ctx context.Context }

func (b slowBody) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return copy(p, "0123456789"), nil
	}
}

var streamKinds = []string{"download", "file", "events", "wait", "upload", "stalled upload", "grpc"}

// goOn starts requests of all kinds over all versions of HTTP, and answers when all have arrived.
func (g *gate) goOn(t *testing.T, b *streamer, who, header string) map[string]*going {
	t.Helper()
	clients := map[string]*http.Client{}
	if g.setup.tls {
		clients = g.clients(t)
	}
	h1 := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	h1.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { // the origin of a fleet is nobody's address
		return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprint("127.0.0.1:", g.port))
	}
	t.Cleanup(h1.CloseIdleConnections)
	clients["HTTP/1.1"] = &http.Client{Transport: h1}
	all := make(map[string]*going)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for proto, client := range clients {
		for _, kind := range streamKinds {
			if kind == "grpc" && proto != "HTTP/2.0" {
				continue
			}
			s := &going{name: proto + " " + kind, id: strings.ReplaceAll(fmt.Sprintf("%s %s %s", who, proto, kind), " ", "-"), over: make(chan struct{})}
			method, body := "GET", io.Reader(nil)
			if strings.Contains(kind, "upload") || kind == "grpc" {
				method, body = "POST", slowBody{ctx}
			}
			r, err := http.NewRequestWithContext(ctx, method, g.origin+"/streams/"+strings.ReplaceAll(kind, " ", "%20")+"?id="+s.id, body)
			if err != nil {
				t.Fatal(err)
			}
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
			if kind == "grpc" {
				r.Header.Set("Content-Type", "application/grpc")
				r.Header.Set("Te", "trailers")
			}
			go func() {
				defer close(s.over)
				resp, err := client.Do(r)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				buf := make([]byte, 4096)
				for err == nil {
					var n int
					n, err = resp.Body.Read(buf)
					s.got.Add(int64(n))
				}
			}()
			all[s.name] = s
		}
	}
	for name, s := range all {
		if !eventually(time.Minute, func() bool { arrived, _ := b.has(s.id); return arrived }) {
			t.Fatalf("%s does not arrive", name)
		}
	}
	return all
}

func (s *going) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// wantOver checks that all end, for the client and for the backend, within a second of when it began.
func wantOver(t *testing.T, b *streamer, what string, all map[string]*going, began time.Time) {
	t.Helper()
	for name, s := range all {
		left := time.Until(began.Add(patience(time.Second)))
		if !eventually(max(left, 0), func() bool { _, open := b.has(s.id); return s.isOver() && !open }) {
			_, open := b.has(s.id)
			t.Errorf("%v after %s: %s: over for the client %t, open for the backend %t", time.Since(began), what, name, s.isOver(), open)
		}
	}
}

// wantGoing checks that all go on, and that what says something says more.
func wantGoing(t *testing.T, b *streamer, all map[string]*going) {
	t.Helper()
	for name, s := range all {
		before := s.got.Load()
		speaks := strings.HasSuffix(name, " events") || strings.HasSuffix(name, " file")
		_, open := b.has(s.id)
		open = open || strings.HasSuffix(name, " stalled upload")
		if s.isOver() || !open || speaks && !eventually(time.Minute, func() bool { return s.got.Load() > before }) {
			t.Errorf("%s was cut", name)
		}
	}
}

// streams answers how many streams the gate has.
func (g *gate) streams(t *testing.T) int {
	t.Helper()
	return g.metric(t, "caddy_authgate_streams ")
}

// metric answers the value of the line that begins so.
func (g *gate) metric(t *testing.T, series string) (n int) {
	t.Helper()
	for line := range strings.Lines(g.metrics(t)) {
		if value, ok := strings.CutPrefix(line, series); ok {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}

// wantStreamsEnded checks how many streams were cut for a reason, at the least: what was cut young counts, too.
func (g *gate) wantStreamsEnded(t *testing.T, why string, n int) {
	t.Helper()
	var got int
	if !eventually(time.Minute, func() bool {
		got = g.metric(t, fmt.Sprintf("caddy_authgate_streams_ended_total{reason=%q} ", why))
		return got >= n
	}) {
		t.Errorf("%d streams were cut since %s, want %d", got, why, n)
	}
}

func (b *streamer) routes() string {
	return fmt.Sprintf("reverse_proxy /streams/grpc h2c://%s\n\treverse_proxy %[1]s {\n\t\tstream_close_delay 1h\n\t}", b.address)
}

// Downloads and uploads last for hours and look like any other request when they begin; they must not outlive the session,
// over no version of HTTP, whether or not client and backend have anything to say.
func TestWhateverGoesOnEndsWithItsSession(t *testing.T) {
	t.Parallel()
	b := startStreamer(t)
	g := start(t, setup{top: "metrics", tls: true, routes: b.routes()})
	alice, bob := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	hers, his := g.goOn(t, b, "alice", alice.bearer()), g.goOn(t, b, "bob", bob.bearer())
	soon(t, "what goes on is a stream", func() bool { return g.streams(t) == len(hers)+len(his) })
	wantGoing(t, b, hers)
	began := time.Now()
	g.signOut(t, alice.bearer())
	wantOver(t, b, "the sign-out", hers, began)
	g.wantStreamsEnded(t, "session_ended", len(hers))
	wantGoing(t, b, his)

	// What has hardly begun ends as soon.
	young := g.goOn(t, b, "bob again", bob.bearer())
	began = time.Now()
	g.signOut(t, bob.bearer())
	wantOver(t, b, "the sign-out", young, began)
	wantOver(t, b, "the sign-out", his, began)
	if !eventually(time.Minute, func() bool { return g.streams(t) == 0 }) {
		t.Errorf("%d streams are left", g.streams(t))
	}
}

// A reload that allows what goes on cuts nothing of it, websockets neither where reverse_proxy does not; one that refuses it
// cuts all of it within a second.
func TestReloadCutsWhatItRefuses(t *testing.T) {
	t.Parallel()
	b, sockets := startStreamer(t), startBackend(t)
	g := start(t, setup{top: "metrics", tls: true, routes: fmt.Sprintf("reverse_proxy /ws %s {\n stream_close_delay 1h\n }\n", sockets.address) + b.routes()})
	alice := g.signIn(t, walletOf("alice"))
	all := g.goOn(t, b, "alice", alice.bearer())
	// After a reload Caddy closes connections of HTTP/3 when its grace_period is over.
	maps.DeleteFunc(all, func(name string, _ *going) bool { return strings.HasPrefix(name, "HTTP/3") })
	socket, a := g.open(t, "/ws", alice.bearer())
	a.want(t, 101)
	soon(t, "what goes on is a stream", func() bool { return g.streams(t) >= len(all)+1 })
	for _, rule := range []string{"", "\n\t\tallow role nobody /other/*"} { // Caddy itself does nothing where the text is the same
		g.setup.site = defaultRules + rule
		g.mustReload(t)
	}
	wantGoing(t, b, all)
	if !echoes(t, socket) {
		t.Error("a websocket was cut by a reload that allows it")
	}
	g.setup.site = defaultRules + "\n\t\tdeny /streams/* /ws"
	g.mustReload(t)
	began := time.Now()
	if !endsWithin(t, socket, patience(time.Second)) {
		t.Error("a websocket that new rules refuse is open")
	}
	wantOver(t, b, "the reload", all, began)
	g.wantStreamsEnded(t, "rules_changed", len(all)+1)
}

// What ends or is taken away on one instance ends what goes on on another, within a second.
func TestStreamsEndOnOtherInstances(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PostgreSQL and Redis", "PostgreSQL alone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startStreamer(t)
			p := kinds[name]
			p.setup.top, p.setup.routes = "metrics", b.routes()
			p.setup.site = defaultRules + "\n\t\tallow role watcher /streams/*"
			f := startFleet(t, p)
			g, other := f.gates[0], f.gates[1]
			asBoss := g.signInBrowser(t, walletOf("admin")).cookieLine()
			change := func(method string, who signedIn, sub, body string) {
				t.Helper()
				lines := []string{asBoss, "Origin: " + g.origin, "Content-Type: application/json"}
				if a := g.send(t, requestBody(method, "/auth/admin/users/"+who.User.ID+sub, body, lines...)); a.status != 200 && a.status != 204 {
					t.Fatalf("%s %s answers %d %s", method, sub, a.status, a.body)
				}
			}
			people := map[string]signedIn{}
			for _, who := range []string{"session_ended", "user_disabled", "user_changed", "stays"} {
				people[who] = g.signInBrowser(t, walletOf(who))
				change("POST", people[who], "/roles", `{"role":"watcher"}`)
				soon(t, "the role is given", func() bool {
					return other.get(t, "/streams/nothing", people[who].cookieLine()).status == 200
				})
			}
			open := map[string]map[string]*going{}
			for who, s := range people {
				open[who] = other.goOn(t, b, strings.ReplaceAll(name+" "+who, " ", "-"), s.cookieLine())
			}
			n := len(open["stays"])
			soon(t, "what goes on is a stream", func() bool { return other.streams(t) == len(open)*n })
			for _, c := range []struct {
				why string
				do  func()
			}{
				{"session_ended", func() { g.signOut(t, people["session_ended"].cookieLine()) }},
				{"user_disabled", func() { change("POST", people["user_disabled"], "/disable", "") }},
				{"user_changed", func() { change("DELETE", people["user_changed"], "/roles/watcher", "") }},
			} {
				c.do()
				wantOver(t, b, c.why, open[c.why], time.Now())
				other.wantStreamsEnded(t, c.why, n)
			}
			wantGoing(t, b, open["stays"])
		})
	}
}

// A client that sends more than its request at once keeps net/http from looking whether it is there: nothing reaches it any
// more all the same.
func TestStreamOfClientThatPipelines(t *testing.T) {
	t.Parallel()
	b := startStreamer(t)
	g := start(t, setup{routes: b.routes()})
	alice := g.signIn(t, walletOf("alice"))
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := request("GET", "/streams/events?id=1", alice.bearer()) + request("GET", "/streams/download?id=2", alice.bearer())
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, "%HOST%", g.host)); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).Peek(1); err != nil {
		t.Fatal(err)
	}
	g.signOut(t, alice.bearer())
	if !endsWithin(t, conn, patience(time.Second)) {
		t.Error("it goes on")
	}
	if arrived, _ := b.has("2"); arrived {
		t.Error("the next request on the connection was let through")
	}
}
