package gateway

import (
	"fmt"
	"testing"
	"time"
)

func (h *house) from(addr, method, sub, body string) answer {
	h.t.Helper()
	r := h.request(method, sub, body)
	r.RemoteAddr = addr
	return h.serve(r)
}

func TestRateLimit(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Count: 3, Window: time.Minute} })
	const client = "192.0.2.1:1000"
	h.from(client, "POST", "challenge/create", `{}`).ok(new(map[string]any))
	h.from("192.0.2.1:2000", "POST", "challenge/create", `{}`).ok(new(map[string]any))
	h.from(client, "POST", "challenge/sign", `{}`).refused(400, "invalid_request")
	h.now = h.now.Add(29500 * time.Millisecond)
	for _, route := range []string{"challenge/create", "challenge/sign"} { // they are counted together
		a := h.from(client, "POST", route, `not even JSON`).refused(429, "too_many_requests")
		if got := a.Header().Get("Retry-After"); got != "31" {
			t.Errorf("Retry-After = %s, want 31", got)
		}
	}
	// Nobody else, and nothing else, is slowed down by it.
	h.from("192.0.2.2:1000", "POST", "challenge/create", `{}`).ok(new(map[string]any))
	h.from(client, "POST", "token/refresh", `{"refresh_token":"x"}`).refused(401, "invalid_grant")
	if a := h.from(client, "POST", "sign-out", ""); a.Code != 204 {
		t.Errorf("sign-out answered %d", a.Code)
	}
	h.now = h.now.Add(31 * time.Second)
	h.from(client, "POST", "challenge/create", `{}`).ok(new(map[string]any))
}

// A customer's /64 has more addresses than there are guesses to make; it counts as one client.
func TestRateLimitCountsIPv6ByNetwork(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Count: 3, Window: time.Minute} })
	for i := range 3 {
		h.from(fmt.Sprintf("[2001:db8::%x]:1000", i+1), "POST", "challenge/create", `{}`).ok(new(map[string]any))
	}
	h.from("[2001:db8::ffff]:1000", "POST", "challenge/create", `{}`).refused(429, "too_many_requests")
	h.from("[2001:db8:0:1::1]:1000", "POST", "challenge/create", `{}`).ok(new(map[string]any))
}

func TestRateLimitOff(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Off: true, Count: 1} })
	for range 3 {
		h.do("POST", "challenge/create", `{}`).ok(new(map[string]any))
	}
}

// With the counter down (F6) nobody may try as often as he likes.
func TestRateLimitWhileItsStoreIsDown(t *testing.T) {
	h := build(t)
	h.faults.breakDown("CountAttempt")
	h.do("POST", "challenge/create", `{}`).refused(503, "unavailable")
	h.do("POST", "challenge/sign", `{}`).refused(503, "unavailable")
}
