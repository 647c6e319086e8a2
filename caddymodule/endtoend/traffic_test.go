//go:build unix

package endtoend

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// line is a client that keeps its connection. It dials again where one ended without a byte of an answer, as every client
// has to: a server may close an idle connection at any moment (RFC 9112 section 9.5), and on a reload Caddy itself drops
// those that nobody has accepted yet.
type line struct {
	dial    func() (net.Conn, error)
	host    string
	conn    net.Conn
	in      *bufio.Reader
	redials int
}

// line is for goroutines too while the test changes the setup, of which TLS is no part.
func (g *gate) line() *line {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port))
	return &line{dial: func() (net.Conn, error) { return net.DialTimeout("tcp", address, 5*time.Second) }, host: g.host}
}

// connect dials where there is no connection.
func (l *line) connect() error {
	if l.conn != nil {
		return nil
	}
	conn, err := l.dial()
	if err != nil {
		return err
	}
	l.conn, l.in = conn, bufio.NewReader(conn)
	return nil
}

func (l *line) hangUp() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

func (l *line) do(text string) (answer, error) {
	var last error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); l.redials++ {
		if last = l.connect(); last != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		a, begun, err := l.once(text)
		if err == nil || begun {
			return a, err
		}
		last = err
	}
	return answer{}, last
}

// once reports begun where something of an answer came.
func (l *line) once(text string) (a answer, begun bool, err error) {
	keep := false
	defer func() {
		if !keep {
			l.hangUp()
		}
	}()
	if err := l.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return a, false, err
	}
	if _, err := io.WriteString(l.conn, strings.ReplaceAll(text, "%HOST%", l.host)); err != nil {
		return a, false, err
	}
	if _, err := l.in.Peek(1); err != nil {
		return a, errors.Is(err, os.ErrDeadlineExceeded), err // a request that hangs is not to be sent again
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return a, true, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	keep = err == nil && !resp.Close
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}, true, err
}

func (l *line) post(route string, v any, lines ...string) (answer, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return answer{}, err
	}
	return l.do(requestBody("POST", "/auth/"+route, string(body), append(lines, "Content-Type: application/json")...))
}

// want is do where one status is right, into decodes the body.
func (l *line) want(status int, into any, text string) error {
	a, err := l.do(text)
	return a.right(status, into, text, err)
}

func (l *line) wantPost(status int, into any, route string, v any, lines ...string) error {
	a, err := l.post(route, v, lines...)
	return a.right(status, into, "POST "+route, err)
}

// wantOut waits until a request is refused with 401.
func (l *line) wantOut(text string, limit time.Duration) error {
	var err error
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if err = l.want(401, nil, text); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (a answer) right(status int, into any, what string, err error) error {
	what, _, _ = strings.Cut(what, "\r\n")
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case a.status != status:
		return fmt.Errorf("%s: status %d, want %d: %s", what, a.status, status, head(a.body))
	case into != nil:
		return json.Unmarshal([]byte(a.body), into)
	}
	return nil
}

// upstream is a backend that is slow where it is told to be, streams events, and notes who should not have come.
type upstream struct {
	address string
	release chan struct{} // what requests for /reports/slow wait for
	waiting atomic.Int64  // these requests

	mu    sync.Mutex
	wrong []string
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{release: make(chan struct{})}
	s := httptest.NewServer(u)
	u.address = s.Listener.Addr().String()
	t.Cleanup(func() {
		closeOnce(u.release)
		s.CloseClientConnections()
		s.Close()
		for _, w := range u.wrong {
			t.Error("reached the backend: ", w)
		}
	})
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, user := r.URL.Path, r.Header.Get("Remote-User")
	closed := strings.HasPrefix(p, "/admin/") || strings.HasPrefix(p, "/internal/") || user == forged ||
		user == "" && !strings.HasPrefix(p, "/public/") && !strings.HasPrefix(p, "/flip/")
	if closed {
		u.mu.Lock()
		u.wrong = append(u.wrong, fmt.Sprintf("%s %s by %q", r.Method, p, user))
		u.mu.Unlock()
	}
	switch p {
	case eventsTarget:
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, firstEvent)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case "/reports/slow":
		u.waiting.Add(1)
		<-u.release
	}
	_, _ = io.WriteString(w, "backend "+user)
}

// traffic is clients that are busy until they are stopped, and what went wrong with them.
type traffic struct {
	new  func() *line
	over chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	failed []string
	steps  map[string]int
}

// busy has a client do the same again and again. What it does begins with the step's own first request.
func (tr *traffic) busy(name string, step func(l *line, i int) error) {
	tr.all.Go(func() {
		l := tr.new()
		defer l.hangUp()
		for i := 0; ; i++ {
			select {
			case <-tr.over:
				return
			case <-time.After(3 * time.Millisecond): // some rest for who reloads, on a machine with two cores
			}
			err := step(l, i)
			tr.mu.Lock()
			tr.steps[name]++
			if err != nil {
				tr.failed = append(tr.failed, fmt.Sprintf("%s, step %d: %v", name, i, err))
			}
			tr.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

// stop ends it and answers how much each client did.
func (tr *traffic) stop(t *testing.T) {
	t.Helper()
	close(tr.over)
	tr.all.Wait()
	for _, f := range tr.failed {
		t.Error(f)
	}
	for name, n := range tr.steps {
		if n == 0 {
			t.Errorf("%s did nothing", name)
		}
	}
	t.Logf("done under load: %v", tr.steps)
}

// people are who is signed in before the traffic begins.
type people struct {
	program, browser, refreshing signedIn
	email                        string // of a password account; empty: none
}

func (g *gate) people(t *testing.T, s *mailServer) (p people) {
	t.Helper()
	p = people{program: g.signIn(t, walletOf("alice")), browser: g.signInBrowser(t, walletOf("bob")), refreshing: g.signIn(t, walletOf("dave"))}
	if s != nil {
		p.email = "erin@example.net"
		g.enrol(t, s, p.email)
	}
	return p
}

// startTraffic lets everybody loose: who is signed in, who is not and tries what is forbidden, who refreshes tokens and
// who signs in and out. The refreshing program's tokens go from one call to the next.
func startTraffic(p *people, client func() *line, out time.Duration) *traffic {
	tr := &traffic{new: client, over: make(chan struct{}), steps: make(map[string]int)}
	get := func(target string, lines ...string) string { return request("GET", target, lines...) }
	tr.busy("by bearer", func(l *line, _ int) error { return l.want(200, nil, get("/reports/x", p.program.bearer())) })
	tr.busy("by cookie", func(l *line, _ int) error { return l.want(200, nil, get("/reports/x", p.browser.cookieLine())) })
	tr.busy("anonymous", func(l *line, i int) error {
		if i%2 == 1 {
			l.hangUp()
		}
		return l.want(200, nil, get("/public/x", "Remote-User: "+forged))
	})
	tr.busy("trespassing", func(l *line, _ int) error {
		return errors.Join(
			l.want(401, nil, get("/reports/x", "Remote-User: "+forged)),
			l.want(403, nil, get("/admin/x", p.program.bearer())),
			l.want(403, nil, get("/internal/x", p.browser.cookieLine())),
			l.want(401, nil, get("/reports/x", "Authorization: Bearer "+p.program.AccessToken[:len(p.program.AccessToken)-6]+"AAAAAA")))
	})
	tr.busy("refreshing", func(l *line, _ int) error {
		var next signedIn
		if err := l.wantPost(200, &next, "token/refresh", map[string]any{"refresh_token": p.refreshing.RefreshToken}); err != nil {
			return err
		}
		p.refreshing = next
		return l.want(200, nil, get("/reports/x", next.bearer()))
	})
	tr.busy("signing in", func(l *line, i int) error {
		w := walletOf(fmt.Sprint("visitor ", i%7))
		var c struct{ ChallengeMessage string }
		if err := l.wantPost(200, &c, "challenge/create", map[string]any{"address": w.address}); err != nil {
			return err
		}
		var s signedIn
		if err := l.wantPost(200, &s, "challenge/sign", signed(c.ChallengeMessage, w)); err != nil {
			return err
		}
		return errors.Join(
			l.wantPost(404, nil, "challenge/sign", signed(c.ChallengeMessage, w)),
			l.want(200, nil, get("/reports/x", s.bearer())),
			l.want(204, nil, requestBody("POST", "/auth/sign-out", "", s.bearer())),
			l.wantOut(get("/reports/x", s.bearer()), out))
	})
	if p.email != "" {
		tr.busy("by password", func(l *line, _ int) error {
			return l.wantPost(200, nil, "password/sign-in", map[string]any{"email": p.email, "password": passphrase})
		})
	}
	return tr
}

// openEvents opens a stream of server-sent events and reads the first.
func (g *gate) openEvents(t *testing.T, header string) net.Conn {
	t.Helper()
	conn, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, strings.ReplaceAll(request("GET", eventsTarget, "Accept: text/event-stream", header), "%HOST%", g.host)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, len(firstEvent))); err != nil {
		t.Fatal(err)
	}
	return conn
}

// footprint is what a process holds.
type footprint map[string]int

// heapBytes is the entry that is measured in bytes.
const heapBytes = "bytes of heap"

// beyond answers what grew by more than it does of itself.
func (f footprint) beyond(before footprint) (grown []string) {
	for what, n := range f {
		limit := before[what]
		if what == heapBytes {
			limit += limit/8 + 4<<20 // buffers of a busy moment are 2 MB; each of dozens of configurations would leave some hundred kilobytes
		} else {
			limit += 8 // pools have as many connections as were needed at once; each of 15 configurations or more would leave one
		}
		if n > limit {
			grown = append(grown, fmt.Sprintf("%s: %d, were %d", what, n, before[what]))
		}
	}
	slices.Sort(grown)
	return grown
}
