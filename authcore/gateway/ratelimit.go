package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// limited counts a request against the rate limit of its client before anything of it is read. Where it cannot be
// counted it is refused: guessing must not become free while a store is down.
func (g *Gateway) limited(do serve) serve {
	limit := g.realm.RateLimit
	if limit.Off {
		return do
	}
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		now := g.realm.Now()
		key := "sign-in " + clientKey(g.realm.ClientIP(r))
		a, err := g.realm.Challenges.Attempts.CountAttempt(r.Context(), key, limit.Window, now)
		if err != nil {
			return fmt.Errorf("gateway: rate limit: %w", err)
		}
		if a.Count > limit.Count {
			wait := max(1, (a.Reset.Sub(now)+time.Second-1)/time.Second)
			w.Header()["Retry-After"] = []string{strconv.FormatInt(int64(wait), 10)}
			return errTooMany
		}
		return do(w, r, v)
	}
}

// clientKey is how clients are told apart where they are counted. A provider gives a customer a /64 of IPv6 at least, so
// that single addresses of it would be as many clients as somebody likes. Requests of unknown address count together.
func clientKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return a.String()
}
