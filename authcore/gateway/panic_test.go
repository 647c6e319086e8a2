package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/policy"
)

// A mistake in the code must not open the door: the backend hears nothing, the client is told that it failed, whatever the
// server around does with a panic.
func TestPanicIsAFailureOfOneRequest(t *testing.T) {
	for name, ask := range map[string]func(*Gateway){
		"while it is decided":  func(g *Gateway) { g.policy = nil },
		"in one of its routes": func(g *Gateway) { g.routes["health/live"] = route{get: panics} },
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			ask(h.gateway)
			target := "/x"
			if name != "while it is decided" {
				target = h.gateway.site.Path + "/health/live"
			}
			w := httptest.NewRecorder()
			h.gateway.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the backend heard of it")
			})).ServeHTTP(w, httptest.NewRequest("GET", "https://app.example.com"+target, nil))
			if w.Code != 500 || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
}

func panics(http.ResponseWriter, *http.Request, *visitor) error { panic("a mistake") }

// What panics behind the gateway is not its own: a proxy hangs up by a panic.
func TestPanicBehindTheGatewayPasses(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) { s.Rules = []policy.Rule{{Anyone: true, Paths: []string{"/public/*"}}} })
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = h.gateway.Handle(httptest.NewRecorder(), httptest.NewRequest("GET", "https://app.example.com/public/x", nil), func(http.ResponseWriter, *http.Request) error {
		panic(http.ErrAbortHandler)
	})
	t.Error("the panic did not pass")
}
