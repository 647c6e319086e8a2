package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// stream is a request that may go on long after it was judged: a websocket, server-sent events or the like.
type stream struct {
	gateway *Gateway // that let it through
	session string
	user    string
	request policy.Request
	cut     func() // ends it; may be called more than once

	mu    sync.Mutex
	timer *time.Timer
	done  bool
	ended bool // it was cut
}

// retryUnavailable is how soon a stream is judged again when the store could not tell, and maxUnavailable how often.
const (
	retryUnavailable = 5 * time.Second
	maxUnavailable   = 12
)

// follow makes a request end when its session does. The function that comes back is to be called when the request is
// done. It reports false where the session has ended in the meantime.
func (g *Gateway) follow(r *http.Request, t *ticket, asked policy.Request) (*http.Request, func(), bool) {
	ctx, cancel := context.WithCancel(r.Context())
	s, live := g.watch(t, asked, cancel)
	if !live {
		cancel()
		return nil, nil, false
	}
	return r.WithContext(ctx), func() { s.finish(); cancel() }, true
}

// watch has cut called when what is asked is no longer allowed, until the stream that comes back is finished. It reports
// false where the session has ended in the meantime.
func (g *Gateway) watch(t *ticket, asked policy.Request, cut func()) (*stream, bool) {
	s := &stream{gateway: g, session: t.identity.SessionID, user: t.identity.Subject, request: asked, cut: cut}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !g.realm.State.open(s.session, s) {
		return nil, false
	}
	// What the access token says holds until it expires; then the store is asked.
	wait := t.expires.Sub(g.realm.Now())
	if !g.realm.State.inForce(g) {
		wait = 0 // its configuration ended while the request was under way
	}
	s.timer = time.AfterFunc(wait, func() { s.again(0) })
	return s, true
}

// Why streams are cut, as Traffic is told.
const (
	streamSessionEnded = "session_ended"
	streamRefused      = "refused"     // judged anew, it is not allowed any more
	streamUnavailable  = "unavailable" // nobody could say for a minute
)

// end cuts the stream unless it is done: what it was carried by may carry another request by then.
func (s *stream) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	s.cut()
	if !s.ended {
		s.ended = true
		if traffic := s.gateway.realm.Traffic; traffic != nil {
			traffic.StreamEnded(why)
		}
	}
}

func (s *stream) finish() {
	s.mu.Lock()
	s.done = true
	s.timer.Stop()
	s.mu.Unlock()
	s.gateway.realm.State.close(s.session, s)
}

// hurry has the stream judged again now.
func (s *stream) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.timer.Reset(0)
	}
}

// again judges the stream anew, as if it were a request of this moment.
func (s *stream) again(failures int) {
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	next, failed := s.gateway.realm.AccessToken, 0
	switch allowed, err := s.judge(ctx); {
	case err != nil && failures+1 < maxUnavailable:
		next, failed = retryUnavailable, failures+1
	case err != nil:
		s.end(streamUnavailable)
		return
	case !allowed:
		s.end(streamRefused)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.timer = time.AfterFunc(next, func() { s.again(failed) })
	}
}

// judge reports whether the session lives and may still do what the stream does; an error where the store cannot tell.
// After a reload the gateways of the new configuration say so, all of them where the site has more than one.
func (s *stream) judge(ctx context.Context) (bool, error) {
	doors := s.gateway.realm.State.doors(s.gateway)
	for _, g := range doors {
		if allowed, err := g.stillAllows(ctx, s); !allowed || err != nil {
			return false, err
		}
	}
	return len(doors) > 0, nil
}

func (g *Gateway) stillAllows(ctx context.Context, s *stream) (bool, error) {
	now := g.realm.Now()
	id, err := g.realm.present(ctx, s.session, now)
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	asked := s.request
	asked.Identity, asked.Now = id, now
	return g.policy.Judge(asked).Verdict == policy.Allow, nil
}
