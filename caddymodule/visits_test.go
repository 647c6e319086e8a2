package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

func TestVisitsEndWithTheLast(t *testing.T) {
	v := newVisits()
	for range 2 {
		if !v.begin() {
			t.Fatal("no visit may begin")
		}
	}
	v.leave()
	v.end()
	if v.over() {
		t.Error("over before the last one is")
	}
	if v.begin() {
		t.Error("one begins after the end")
	}
	v.leave()
	if !v.over() {
		t.Error("not over after the last one")
	}
	if v.begin() {
		t.Error("one begins after all are over")
	}
}

func TestVisitsRaceWithTheirEnd(t *testing.T) {
	for range 200 {
		v := newVisits()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for v.begin() {
					if v.over() {
						t.Error("over while one is under way")
					}
					v.leave()
				}
			})
		}
		all.Go(v.end)
		all.Wait()
		if !v.over() {
			t.Error("not over though none is under way")
		}
	}
}

// The servers of the configuration from before may still hand on a request when the reload was acknowledged. It is judged
// by the rules that hold now, and where the site is gone it is refused.
func TestOldConfigurationObeysTheNewOne(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), "authgate {\nallow anyone /a/*\n}\nrespond old\n")
	old := h.server()
	ask := func(path string, want int) http.Header {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.Host = fmt.Sprintf("localhost:%d", h.port)
		w := httptest.NewRecorder()
		old.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
		return w.Header()
	}
	ask("/a/x", 200)
	h.load(h.open(), "authgate {\nallow anyone /b/*\n}\nrespond new\n")
	ask("/a/x", 401)
	ask("/b/x", 200)
	h.load(h.open(), "respond bare\n")
	if header := ask("/b/x", 503); header.Get("Retry-After") == "" || header.Get("Connection") != "close" {
		t.Errorf("got %v, want when to try again, and the end of the connection", header)
	}
}

// A request that an old connection brings is judged by the gateway of the new configuration, with its stores: those must not
// be closed by a further reload while it is under way.
func TestOldConnectionsVisitTheNewConfiguration(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), plain)
	old := h.server()
	h.load(h.open(), plain)
	app, err := runningApp()
	if err != nil {
		t.Fatal(err)
	}
	body, client := io.Pipe()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r := httptest.NewRequest("POST", "/auth/challenge/create", body)
		r.Host = fmt.Sprintf("localhost:%d", h.port)
		r.Header.Set("Content-Type", "application/json")
		old.ServeHTTP(httptest.NewRecorder(), r)
	}()
	// Who takes the body is in the middle of the request.
	if _, err := client.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if n := app.visits.n.Load(); n != 1 {
		t.Errorf("%d visits of the new configuration, want 1", n)
	}
	client.Close()
	<-answered
	if n := app.visits.n.Load(); n != 0 {
		t.Errorf("%d visits afterwards, want 0", n)
	}
}
