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

// stream is a request that may go on long after it was judged: a websocket or server-sent events.
type stream struct {
	gateway *Gateway
	session string
	request policy.Request
	cut     context.CancelFunc // ends it; may be called more than once

	mu    sync.Mutex
	timer *time.Timer
	done  bool
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
	s := &stream{gateway: g, session: t.identity.SessionID, request: asked, cut: cancel}
	if !g.realm.State.open(s.session, s) {
		cancel()
		return nil, nil, false
	}
	s.mu.Lock()
	// What the access token says holds until it expires; then the store is asked.
	s.timer = time.AfterFunc(t.expires.Sub(g.realm.Now()), func() { s.again(0) })
	s.mu.Unlock()
	return r.WithContext(ctx), s.finish, true
}

func (s *stream) finish() {
	s.mu.Lock()
	s.done = true
	s.timer.Stop()
	s.mu.Unlock()
	s.gateway.realm.State.close(s.session, s)
	s.cut()
}

// again judges the stream anew, as if it were a request of this moment.
func (s *stream) again(failures int) {
	g := s.gateway
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	now := g.realm.Now()
	next, failed := g.realm.AccessToken, 0
	switch allowed, err := s.judge(ctx, now); {
	case err != nil && failures+1 < maxUnavailable:
		next, failed = retryUnavailable, failures+1
	case err != nil, !allowed:
		s.cut()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.timer = time.AfterFunc(next, func() { s.again(failed) })
	}
}

// judge reports whether the session lives and may still do what the stream does; an error where the store cannot tell.
func (s *stream) judge(ctx context.Context, now time.Time) (bool, error) {
	g := s.gateway
	sess, err := g.realm.Stores.Sessions.Session(ctx, s.session)
	if err == nil && !sess.Live(now) {
		return false, nil
	}
	var id *authcore.Identity
	if err == nil {
		id, err = g.realm.identityOf(ctx, sess)
	}
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
