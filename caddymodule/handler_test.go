package caddymodule

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// server is the running server of the house, to be asked without sockets.
func (h *house) server() *caddyhttp.Server {
	h.t.Helper()
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		h.t.Fatal(err)
	}
	return app.(*caddyhttp.App).Servers["srv0"]
}

// requests answers a function that sends one signed-in request through a site of these lines, and checks the answer.
func (h *house) requests(site, token string) func() {
	h.load(h.open(), site)
	server := h.server()
	return func() {
		r := httptest.NewRequest("GET", "/reports/2024", nil)
		r.Host = fmt.Sprintf("localhost:%d", h.port)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != 200 {
			h.t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}

const gated = `authgate {
	allow anyone /public/*
	allow role admin /admin/*
	allow signed_in /reports/*
}
respond ok
`

// The way of every request is to stay cheap: what the gate adds to a request that is let through is counted.
func TestGateAddsFewAllocations(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), gated)
	token, _ := h.signIn()
	through := testing.AllocsPerRun(200, h.requests(gated, token))
	bare := testing.AllocsPerRun(200, h.requests("respond ok\n", token))
	t.Logf("%v allocations, %v of them the gate's", through, through-bare)
	if through-bare > 10 {
		t.Errorf("the gate adds %v allocations", through-bare)
	}
}
