package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// A stream goes on when a reload with another store is refused: it is counted as before, and no longer than it goes on.
func TestStreamsAreCountedAcrossReloads(t *testing.T) {
	h := newHouse(t)
	over := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	t.Cleanup(backend.Close)
	site := "authgate\nreverse_proxy " + backend.Listener.Addr().String() + "\n"
	h.load(h.open(), site)
	token, _ := h.signIn()
	r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://localhost:%d/events", h.port), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	stream, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if _, err := io.ReadFull(stream.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	streams := func() float64 { return gathered(t, counted)["caddy_authgate_streams{}"] }
	await := func(want float64) {
		t.Helper()
		for end := time.Now().Add(time.Minute); streams() != want; <-time.After(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v streams, want %v", streams(), want)
			}
		}
	}
	await(1)
	broken, _ := h.unopenable()
	if err := caddy.Load(h.config(broken, site), true); err == nil {
		t.Fatal("the reload was not refused")
	}
	if n := streams(); n != 1 {
		t.Errorf("after a reload that was refused: %v streams", n)
	}
	close(over)
	await(0)
}
