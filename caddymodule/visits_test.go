package caddymodule

import (
	"fmt"
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
