package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// ends counts why streams were cut.
type ends struct {
	mu  sync.Mutex
	why []string
}

func (e *ends) StreamEnded(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why = append(e.why, why)
}

func (e *ends) Limited(string) {}

func (e *ends) only(t *testing.T, want string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.why) != 1 || e.why[0] != want {
		t.Errorf("cut because of %q, want %q", e.why, want)
	}
}

// cord is the connection of one request: it breaks where deadlines have passed.
type cord struct {
	*httptest.ResponseRecorder
	read, written         chan struct{}
	readOnce, writtenOnce sync.Once
}

func newCord() *cord {
	return &cord{ResponseRecorder: httptest.NewRecorder(), read: make(chan struct{}), written: make(chan struct{})}
}

func (w *cord) SetReadDeadline(time.Time) error {
	w.readOnce.Do(func() { close(w.read) })
	return nil
}

func (w *cord) SetWriteDeadline(time.Time) error {
	w.writtenOnce.Do(func() { close(w.written) })
	return nil
}

// longFile is a file so long that it is no answer, of which a stream is cut when some bytes are read.
type longFile struct {
	stream       *stream
	read, cutsAt int
}

func (e *longFile) Read(b []byte) (int, error) {
	if e.read > 16<<20 {
		return 0, io.EOF
	}
	if e.read += len(b); e.read > e.cutsAt {
		e.stream.ended.Store(true)
	}
	return len(b), nil
}

// Deadlines alone do not end a copy: the writers of a server may set their own for each piece of it. So it is asked anew after
// each MiB, whatever is written by then.
func TestCopyEndsWithItsStream(t *testing.T) {
	for cutsAt, want := range map[int]int64{-1: 1 << 20, 1 << 19: 1 << 20, 1<<20 + 1: 2 << 20, 5<<20 + 1<<19: 6 << 20} {
		f := &responseFilter{stream: stream{writer: httptest.NewRecorder()}}
		if n, err := f.ReadFrom(&longFile{stream: &f.stream, cutsAt: cutsAt}); !errors.Is(err, errStreamEnded) || n != want {
			t.Errorf("cut after %d bytes: copied %d, %v", cutsAt, n, err)
		}
	}
	f := &responseFilter{stream: stream{writer: httptest.NewRecorder()}}
	f.stream.ended.Store(true)
	if n, err := f.ReadFrom(strings.NewReader("x")); !errors.Is(err, errStreamEnded) || n != 0 {
		t.Errorf("cut before: copied %d, %v", n, err)
	}
	if n, err := f.Write([]byte("x")); !errors.Is(err, errStreamEnded) || n != 0 {
		t.Errorf("cut before: wrote %d, %v", n, err)
	}
	if err := f.FlushError(); !errors.Is(err, errStreamEnded) {
		t.Errorf("cut before: flushed, %v", err)
	}
}

// What is asked in between loses nothing of a file, and adds nothing to it.
func TestCopyIsWhole(t *testing.T) {
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		w := httptest.NewRecorder()
		f := &responseFilter{stream: stream{writer: w}}
		file := strings.Repeat("0123456789abcdef7", size/17+1)[:size]
		if n, err := f.ReadFrom(strings.NewReader(file)); err != nil || n != int64(size) || w.Body.String() != file {
			t.Errorf("of %d bytes copied %d, written %d, %v", size, n, w.Body.Len(), err)
		}
	}
}

// download is a request whose answer goes on, and tells nowhere that it does.
type download struct {
	cord    *cord
	began   time.Time
	release chan struct{}
	over    chan struct{}
}

// download starts one for who these headers sign in. It is for use where time is that of a bubble.
func (h *house) download(headers ...string) *download {
	h.t.Helper()
	d := &download{newCord(), time.Now(), make(chan struct{}), make(chan struct{})}
	r := httptest.NewRequest("GET", home+"/events", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	begun := make(chan struct{})
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = io.WriteString(w, "PK")
		close(begun)
		select {
		case <-d.cord.written:
			if _, err := io.WriteString(w, "more"); !errors.Is(err, errStreamEnded) {
				h.t.Errorf("written after the end: %v", err)
			}
		case <-d.release:
		}
	})
	go func() {
		defer close(d.over)
		h.gateway.Handler(next).ServeHTTP(d.cord, r)
	}()
	select {
	case <-begun:
	case <-d.over:
		h.t.Fatalf("answered %d", d.cord.Code)
	}
	return d
}

// goes reports whether the download goes on, once all that happens now has happened.
func (d *download) goes() bool {
	synctest.Wait()
	select {
	case <-d.over:
		return false
	default:
		return true
	}
}

// bubble makes a house where time is what its goroutines wait for.
func bubble(t *testing.T, change ...func(*RealmConfig, *Site)) (*house, *ends) {
	t.Helper()
	told := new(ends)
	return build(t, append([]func(*RealmConfig, *Site){func(c *RealmConfig, _ *Site) { c.Now, c.Traffic = time.Now, told }}, change...)...), told
}

// Whatever goes on long enough is a stream: it is cut, within a second of what makes it no longer allowed, with the reason
// told; and where that happens before it was seen to be a stream, within a second of that too.
func TestStreamsAreCutWithTheirReason(t *testing.T) {
	withRole := func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Roles: []string{"reader"}, Paths: []string{"/events"}}}
	}
	for _, tt := range []struct {
		name  string
		cause func(h *house, me []string, id string)
		want  string
	}{
		{"sign-out", func(h *house, me []string, _ string) {
			if a := h.do("POST", "sign-out", "", me...); a.Code != http.StatusNoContent {
				h.t.Errorf("sign-out answered %d", a.Code)
			}
		}, streamSessionEnded},
		{"sessions ended by an administrator", func(h *house, _ []string, id string) {
			open, err := h.store.SessionsOf(h.t.Context(), id, time.Now())
			if err != nil {
				h.t.Error(err)
			}
			for _, s := range open {
				if err := h.realm.endSessions(h.t.Context(), s.ID); err != nil {
					h.t.Error(err)
				}
			}
		}, streamSessionEnded},
		{"disabled", func(h *house, _ []string, id string) {
			if err := h.realm.Disable(h.t.Context(), authcore.Trace{Actor: authcore.Operator}, id, true); err != nil {
				h.t.Error(err)
			}
		}, streamUserDisabled},
		{"deleted", func(h *house, _ []string, id string) {
			if err := h.realm.Delete(h.t.Context(), authcore.Trace{Actor: authcore.Operator}, id, true); err != nil {
				h.t.Error(err)
			}
		}, streamUserDisabled},
		{"role taken", func(h *house, _ []string, id string) {
			h.setRoles(id)
			h.realm.changed(h.t.Context(), id)
		}, streamUserChanged},
		{"notices missed", func(h *house, _ []string, id string) {
			h.setRoles(id)
			h.realm.State.mistrust(time.Now())
		}, streamUserChanged},
		{"rule changed", func(h *house, _ []string, _ string) {
			h.reload(Site{Origin: home, Rules: []policy.Rule{{Deny: true, Paths: []string{"/events"}}}})
		}, streamRulesChanged},
		{"rule changed by the second reload", func(h *house, _ []string, _ string) {
			synctest.Wait()
			h.reload(Site{Origin: home, Rules: []policy.Rule{{Roles: []string{"reader"}}}})
			synctest.Wait() // what the first one asks is answered
			h.reload(Site{Origin: home, Rules: []policy.Rule{{Deny: true, Paths: []string{"/events"}}}})
		}, streamRulesChanged},
		{"site gone", func(h *house, _ []string, _ string) { h.reload(Site{Origin: "https://other.example.com"}) }, streamRulesChanged},
		{"rule asks for more", func(h *house, _ []string, _ string) {
			h.reload(Site{Origin: home, Rules: []policy.Rule{{Roles: []string{"reader"}, With: []authcore.Method{authcore.Passkey}}}})
		}, streamStepUp},
	} {
		for age, wait := range map[string]time.Duration{"young": 0, "long": time.Hour} {
			t.Run(tt.name+", "+age, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h, told := bubble(t, withRole, passkeysOn)
					me := h.signInTokens(newSigner(1)).bearer()
					id := h.signedInAs(me)
					h.setRoles(id, "reader")
					h.realm.changed(t.Context(), id)
					time.Sleep(2 * time.Second)
					me = h.signInTokens(newSigner(1)).bearer() // which has the role
					d := h.download(me...)
					for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(time.Minute) {
						if !d.goes() {
							t.Fatal("cut for nothing")
						}
					}
					tt.cause(h, me, id)
					if wait > 0 && d.goes() {
						t.Error("it goes on")
					}
					time.Sleep(time.Second)
					if d.goes() {
						t.Error("a second later it goes on")
						close(d.release)
					}
					<-d.over
					told.only(t, tt.want)
					if n := h.realm.State.Streams(); n != 0 {
						t.Errorf("%d streams are open", n)
					}
				})
			})
		}
	}
}

// reload puts another configuration of the site in place.
func (h *house) reload(s Site) {
	h.t.Helper()
	before := h.realm
	next, err := NewRealm(before.RealmConfig)
	if err == nil {
		_, err = New(next, s)
	}
	if err != nil {
		h.t.Error(err)
		return
	}
	h.realm = next
	before.Close()
}

// A stream ends when its session does, to the second, and not only when an access token would have been renewed: twelve
// hours after the last use, or at the absolute end however much it is used. What the stream itself carries is no use.
func TestStreamsEndWhenTheirSessionExpires(t *testing.T) {
	for name, used := range map[string]bool{"idle": false, "absolute": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Neither end is a multiple of the life of an access token, at which streams are looked at.
				h, told := bubble(t, func(c *RealmConfig, _ *Site) { c.AccessToken = 11 * time.Minute })
				me := h.signInCookie(newSigner(1))
				d := h.download(me...)
				id := h.signedInAs(me)
				for n := 0; d.goes(); n++ {
					if used && n%60 == 0 {
						h.signedInAs(me)
					}
					open, err := h.store.SessionsOf(t.Context(), id, time.Now())
					if err != nil || len(open) != 1 {
						t.Errorf("%d sessions, %v: it goes on", len(open), err)
						close(d.release)
						break
					}
					time.Sleep(min(time.Minute, time.Until(earlier(open[0].Until, open[0].IdleUntil))))
				}
				<-d.over
				want := 12 * time.Hour
				if used {
					want = 7 * 24 * time.Hour
				}
				if age := time.Since(d.began).Round(time.Minute); age != want {
					t.Errorf("cut after %v, want %v", age, want)
				}
				told.only(t, streamSessionExpired)
			})
		})
	}
}

// A stream is not cut because a store hangs for some seconds; after a minute nobody can say that it is allowed, and it is.
func TestStreamsOutliveAStoreThatIsDownForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := bubble(t)
		d := h.download(h.signInCookie(newSigner(1))...)
		time.Sleep(time.Second)
		h.faults.breakDown("Session")
		time.Sleep(5*time.Minute + 30*time.Second)
		if !d.goes() {
			t.Error("cut while the store is down for half a minute")
		}
		h.faults.repair()
		time.Sleep(5 * time.Minute)
		if !d.goes() {
			t.Error("cut after the store came back")
		}
		h.faults.breakDown("Session")
		time.Sleep(7 * time.Minute)
		if d.goes() {
			t.Error("nobody says that it is allowed, and it goes on")
			close(d.release)
		}
		<-d.over
		told.only(t, streamUnavailable)
	})
}

// What is done in time is never touched: nothing is left of it that could cut the next request on its connection, and
// nothing wakes up for it.
func TestShortRequestsAreNoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := bubble(t)
		me := h.signInTokens(newSigner(1)).bearer()
		for _, lasts := range []time.Duration{0, 100 * time.Millisecond, 299 * time.Millisecond} {
			d := h.download(me...)
			time.Sleep(lasts)
			if n := h.realm.State.Streams(); n != 0 {
				t.Errorf("%d streams after %v", n, lasts)
			}
			close(d.release)
			<-d.over
		}
		d := h.download(me...)
		time.Sleep(2 * aTurn)
		if n := h.realm.State.Streams(); n != 1 {
			t.Errorf("%d streams after two turns, want 1", n)
		}
		close(d.release)
		<-d.over
		h.do("POST", "sign-out", "", me...)
		synctest.Wait()
		time.Sleep(time.Hour)
		for _, broken := range []chan struct{}{d.cord.read, d.cord.written} {
			select {
			case <-broken:
				t.Error("a request that is done was cut")
			default:
			}
		}
		if len(told.why) != 0 || h.realm.State.underway.ticking.Load() {
			t.Errorf("told %q; ticking", told.why)
		}
	})
}

// A server's own writers may set a deadline after the stream was cut; so it is let pass anew for two seconds, and no longer:
// what is done is left alone.
func TestDeadlinesAreLetPassAnew(t *testing.T) {
	for name, done := range map[string]int{"stalls": 0, "done after three": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := bubble(t)
				me := h.signInCookie(newSigner(1))
				w := &passing{ResponseRecorder: httptest.NewRecorder()}
				r := httptest.NewRequest("GET", home+"/events", nil)
				r.Header.Add(me[0], me[1])
				release, over := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(over)
					h.gateway.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })).ServeHTTP(w, r)
				}()
				time.Sleep(time.Second)
				h.do("POST", "sign-out", "", me...)
				cut := time.Now()
				want := 9 // at once, and eight times
				if done > 0 {
					want = done
					time.Sleep(time.Duration(done-1)*recutAfter + time.Millisecond)
					close(release)
					<-over
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if w.reads != want || w.writes != want || w.past != 2*want {
					t.Errorf("let pass %d and %d times, %d of them past", w.reads, w.writes, w.past)
				}
				if last := w.last.Sub(cut); done == 0 && (last < time.Second || last > 2*time.Second) {
					t.Errorf("the last time after %v", last)
				}
				if done == 0 {
					close(release)
					<-over
				}
			})
		})
	}
}

// passing counts how often deadlines are let pass.
type passing struct {
	*httptest.ResponseRecorder
	reads, writes, past int
	last                time.Time
}

func (w *passing) SetReadDeadline(at time.Time) error {
	w.reads++
	return w.note(at)
}

func (w *passing) SetWriteDeadline(at time.Time) error {
	w.writes++
	return w.note(at)
}

func (w *passing) note(at time.Time) error {
	if w.last = time.Now(); at.Before(w.last) {
		w.past++
	}
	return nil
}
