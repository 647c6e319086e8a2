package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
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
		if err := g.count(w, r, "sign-in ", limit.Count, limit.Window); err != nil {
			return err
		}
		return do(w, r, v)
	}
}

// How many mails a client may cause in a window, whoever they go to.
const (
	mailsPerClient = 20
	mailWindow     = time.Hour
)

// countMail answers what counts a request that has a mail sent to whom it names. It is no rate limit of sign-ins, and stays
// where that is off.
func (g *Gateway) countMail(w http.ResponseWriter, r *http.Request) func() error {
	return func() error { return g.count(w, r, "mail ", mailsPerClient, mailWindow) }
}

// How often a user may ask for another username. Each that they ever had is kept from all others for good, so that one
// account could take a whole dictionary.
const (
	usernamesPerUser = 10
	usernameWindow   = 24 * time.Hour
)

// countUsername counts that a user asks for another username.
func (g *Gateway) countUsername(w http.ResponseWriter, r *http.Request, userID string) error {
	return g.countOf(w, r, "username ", userID, usernamesPerUser, usernameWindow)
}

// How often a user may change what is an event each time and needs nobody's leave. Events are kept for a year, and one account
// could fill the disk with them.
const (
	changesPerUser = 120
	changesWindow  = time.Hour
)

// countChange counts that a user changes something of their own account.
func (g *Gateway) countChange(w http.ResponseWriter, r *http.Request, userID string) error {
	return g.countOf(w, r, "changes ", userID, changesPerUser, changesWindow)
}

// How often a user may be handed over to other sites: once for each that a browser opens, or a restored tab of it.
const (
	handOffsPerUser = 60
	handOffWindow   = time.Minute
)

// count counts a request of a client under a name, and refuses it where it is one too many.
func (g *Gateway) count(w http.ResponseWriter, r *http.Request, name string, limit int, window time.Duration) error {
	return g.countOf(w, r, name, clientKey(g.realm.ClientIP(r)), limit, window)
}

// countOf is count for whoever it is that is counted.
func (g *Gateway) countOf(w http.ResponseWriter, r *http.Request, name, who string, limit int, window time.Duration) error {
	now := g.realm.Now()
	a, err := g.realm.Challenges.Attempts.CountAttempt(r.Context(), name+who, window, now)
	if err != nil {
		return fmt.Errorf("gateway: rate limit: %w", err)
	}
	if a.Count > limit {
		if traffic := g.realm.Traffic; traffic != nil {
			traffic.Limited(strings.TrimSpace(name))
		}
		wait := max(1, (a.Reset.Sub(now)+time.Second-1)/time.Second)
		w.Header()["Retry-After"] = []string{strconv.FormatInt(int64(wait), 10)}
		return errTooMany
	}
	return nil
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
