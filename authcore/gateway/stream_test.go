package gateway

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore/policy"
)

// openStream starts a stream of events through the gateway as a page's fetch does, which accepts anything. The channel
// is closed when the backend is told that the stream ended.
func (h *house) openStream(headers []string) <-chan struct{} {
	h.t.Helper()
	before, over := h.realm.State.Streams(), make(chan struct{})
	server := httptest.NewServer(h.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})))
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", server.URL+"/events", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := server.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = a.Body.Close()
		server.Close()
	})
	if a.StatusCode != http.StatusOK {
		h.t.Fatalf("answered %d", a.StatusCode)
	}
	if n, err := io.ReadFull(a.Body, make([]byte, 9)); err != nil {
		h.t.Fatalf("read %d bytes: %v", n, err)
	}
	h.followed(before + 1)
	return over
}

// followed waits until so many requests are streams.
func (h *house) followed(n int) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); h.realm.State.Streams() < n; runtime.Gosched() {
		if time.Now().After(end) {
			h.t.Fatal("what goes on is no stream")
		}
	}
}

func mustEnd(t *testing.T, over <-chan struct{}) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Error("the stream goes on")
	}
}

// A page reads events by fetch, whose request looks like any other, and goes on reading after signing out.
func TestStreamThatOnlyTheAnswerTellsEndsWithItsSession(t *testing.T) {
	h := build(t)
	me := h.signInTokens(newSigner(1)).bearer()
	over := h.openStream(me)
	if a := h.do("POST", "sign-out", "", me...); a.Code != http.StatusNoContent {
		t.Fatalf("sign-out answered %d", a.Code)
	}
	mustEnd(t, over)
}

// What a stream may do is taken back by a reload, and the stream goes on by the rules under which it was opened.
func TestStreamIsJudgedAgainByNewConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name string
		site func(*Site)
		goes bool
	}{
		{"same rules", func(*Site) {}, true},
		{"denied now", func(s *Site) { s.Rules = []policy.Rule{{Deny: true, Paths: []string{"/events"}}} }, false},
		{"site is gone", func(s *Site) { s.Origin = "https://other.example.com" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t)
			over := h.openStream(h.signInTokens(newSigner(1)).bearer())
			next, err := NewRealm(h.realm.RealmConfig)
			if err != nil {
				t.Fatal(err)
			}
			s := Site{Origin: home}
			tt.site(&s)
			if _, err := New(next, s); err != nil {
				t.Fatal(err)
			}
			h.realm.Close()
			if !tt.goes {
				mustEnd(t, over)
				return
			}
			var open []*stream
			h.realm.State.mu.Lock()
			for _, streams := range h.realm.State.streams {
				open = slices.AppendSeq(open, maps.Keys(streams))
			}
			h.realm.State.mu.Unlock()
			for _, st := range open {
				if _, why, err := st.judge(t.Context()); why != "" || err != nil {
					t.Errorf("may not go on: %q, %v", why, err)
				}
			}
		})
	}
}

// A configuration that could not be loaded must leave the streams of the one that goes on alone.
func TestStreamOutlivesReloadThatFails(t *testing.T) {
	h := build(t)
	h.openStream(h.signInTokens(newSigner(1)).bearer())
	failed, err := NewRealm(h.realm.RealmConfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(failed, Site{Origin: home, Rules: []policy.Rule{{Deny: true}}}); err != nil {
		t.Fatal(err)
	}
	failed.Close()
	if doors := h.realm.State.doors(h.gateway); len(doors) != 1 || doors[0] != h.gateway {
		t.Errorf("judged by %d others", len(doors))
	}
}
