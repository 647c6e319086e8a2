package gateway

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// assertion is a statement for one backend about who a request is.
type assertion struct {
	text  string
	until time.Time // when to make a new one: it still has half its life
}

// assertions are those about one user for other hosts than that of the origin, by host.
type assertions struct {
	mu sync.Mutex
	of map[string]assertion
}

const (
	maxOthers = 16  // hosts, of a user; with more of them assertions are signed more often
	maxHost   = 261 // bytes: a name of the DNS (RFC 1035 section 2.3.4), and a port
)

func (a *assertions) get(host string, now time.Time) (text string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.of[host]
	return found.text, now.Before(found.until)
}

func (a *assertions) set(host string, made assertion, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = make(map[string]assertion)
	}
	if _, is := a.of[host]; !is && len(a.of) >= maxOthers {
		maps.DeleteFunc(a.of, func(_ string, old assertion) bool { return !now.Before(old.until) })
		for some := range a.of {
			if len(a.of) < maxOthers {
				break
			}
			delete(a.of, some) // whichever: clients say what hosts there are
		}
	}
	a.of[strings.Clone(host)] = made // it is a part of a header
}

// assert answers a statement for the backend that is good for a minute at least. It is for the origin that the request is for:
// where there are several hosts, what the backend of one is told must not be good at another's. Clients say what host that is,
// so beyond the cookie domain it is for the site's own origin: else a user whom another site keeps out could have its
// backend's neighbour be told what that backend believes.
func (g *Gateway) assert(r *http.Request, t *ticket, now time.Time) (string, error) {
	if !g.headers.assertion {
		return "", nil
	}
	host := g.sibling(r)
	if host == "" || len(host) > maxHost {
		if a := t.assertion.Load(); a != nil && now.Before(a.until) {
			return a.text, nil
		}
		made, err := g.newAssertion(r, g.origin.text, t, now)
		if err == nil {
			t.assertion.Store(&made)
		}
		return made.text, err
	}
	if text, ok := t.others.get(host, now); ok {
		return text, nil
	}
	made, err := g.newAssertion(r, g.origin.scheme+"://"+host, t, now)
	if err == nil {
		t.others.set(host, made, now)
	}
	return made.text, err
}

// newAssertion signs a statement for an origin.
func (g *Gateway) newAssertion(r *http.Request, origin string, t *ticket, now time.Time) (assertion, error) {
	text, expires, err := g.realm.issuer.Assertion(r.Context(), origin, t.identity)
	if err != nil {
		return assertion{}, err
	}
	return assertion{text, now.Add(expires.Sub(now) / 2)}, nil
}
