package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// stream is a request of somebody who is signed in, from when it is handed over until it is done. Most are done before
// anybody looks; one that goes on is followed, so that it ends when it is no longer allowed: a websocket, server-sent
// events, a download, an upload, whatever it says that it is.
type stream struct {
	gateway *Gateway // that let it through
	ticket  *ticket
	asked   policy.Request
	writer  http.ResponseWriter
	cancel  context.CancelFunc // ends the request's context; nil: its deadlines do

	lane       *lane // where it waits while it is young; nil: it was followed at once
	next, prev *stream
	linked     bool  // it still waits there; these three are the lane's to guard
	turn       uint8 // so is this: which half of the lane

	mu       sync.Mutex
	timer    *time.Timer // nil: it is not followed yet
	judging  bool
	again    bool // to be judged once more when that is done
	done     bool
	failures uint8
	expired  uint8       // how often its deadlines were let pass
	ended    atomic.Bool // it was cut; set with mu held
}

var errStreamEnded = errors.New("gateway: what was asked for is no longer allowed")

// retryUnavailable is how soon a stream is judged again when the store could not tell, and maxUnavailable how often.
const (
	retryUnavailable = 5 * time.Second
	maxUnavailable   = 12
)

// Why streams are cut, as Traffic is told.
const (
	streamSessionEnded   = "session_ended"
	streamSessionExpired = "session_expired"
	streamUserDisabled   = "user_disabled" // or deleted
	streamUserChanged    = "user_changed"  // the rules refuse it to who the user is by now
	streamRulesChanged   = "rules_changed" // the rules of a new configuration refuse it, or its site is gone
	streamStepUp         = "step_up"       // the rules ask for a newer or stronger sign-in by now
	streamUnavailable    = "unavailable"   // nobody could say for a minute
)

// StreamReasons answers why streams are cut, in the words that Traffic is told.
func StreamReasons() []string {
	return []string{
		streamSessionEnded, streamSessionExpired, streamUserDisabled, streamUserChanged, streamRulesChanged, streamStepUp, streamUnavailable,
	}
}

// smallBody is how many bytes of a request may be on their way without the request being one that can stall.
const smallBody = 64 << 10

// begin has a request that is handed over end with its session. It answers the request to hand over instead, and false
// where the session has ended in the meantime. The stream's finish is to be called when the request is done.
func (s *stream) begin(r *http.Request, long bool) (*http.Request, bool) {
	if long || canStall(r) {
		ctx, cancel := context.WithCancel(r.Context())
		r, s.cancel = r.WithContext(ctx), cancel
	}
	if long {
		return r, s.follow()
	}
	s.gateway.realm.State.underway.add(s)
	return r, true
}

// canStall reports whether past deadlines may not end a request while its backend says nothing. In HTTP/1 they do where the
// body was read, and in HTTP/2; in HTTP/3 they end reads and writes only. These requests pay for a context of their own.
func canStall(r *http.Request) bool {
	return r.ProtoMajor == 3 || r.ContentLength < 0 || r.ContentLength > smallBody ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// follow has the stream cut when what it asked is no longer allowed. It reports false where the session has ended in the
// meantime.
func (s *stream) follow() bool {
	realm := s.gateway.realm
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return true
	}
	if !realm.State.open(s) {
		return false
	}
	// What the access token says holds until it expires; then the store is asked.
	wait := s.ticket.expires.Sub(realm.Now())
	if realm.State.overtakes(s) {
		wait = 0
	}
	s.timer = time.AfterFunc(wait, s.judgeAgain)
	return true
}

// A server's own writers may set deadlines before each read and write: one that was about to when the stream was cut has put
// off what was to end it. So they are let pass anew this often, at these intervals.
const (
	recuts     = 8
	recutAfter = 250 * time.Millisecond
)

// cut ends the request, with what is under way of its body and its answer. It needs s.mu, and that the stream is not done:
// what the request was carried by may carry another one by then.
func (s *stream) cut() {
	s.ended.Store(true)
	if s.cancel != nil {
		s.cancel()
	}
	s.expire()
}

// expire lets the deadlines of the connection pass. A client that does not read keeps no answer open, nor one that does not
// send a body. In HTTP/1 this ends the context of a request without one, too, and in HTTP/2 of any. It needs what cut needs.
func (s *stream) expire() {
	// Those between may be written for one goroutine only: Caddy's remember deadlines without a lock.
	rc, past := http.NewResponseController(innermost(s.writer)), time.Unix(1, 0)
	_ = rc.SetReadDeadline(past)
	_ = rc.SetWriteDeadline(past)
	if s.expired++; s.expired > recuts {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(recutAfter, s.judgeAgain)
		return
	}
	s.timer.Reset(recutAfter)
}

// innermost answers the writer of net/http or the like that others were put around.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		around, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = around.Unwrap()
	}
}

// end cuts the stream and reports true, unless it is done or was cut before.
func (s *stream) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.ended.Load() {
		return false
	}
	s.cut()
	return true
}

func (s *stream) finish() {
	if s.gateway == nil {
		return
	}
	if s.lane == nil || !s.lane.remove(s) {
		s.mu.Lock()
		s.done = true
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
		s.gateway.realm.State.close(s)
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// hurry has the stream judged again now.
func (s *stream) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.done || s.ended.Load():
	case s.judging:
		s.again = true // what is being read may be of before
	default:
		s.timer.Reset(0)
	}
}

// judgeAgain judges the stream anew, as if it were a request of this moment; one that was cut has its deadlines let pass.
func (s *stream) judgeAgain() {
	s.mu.Lock()
	if s.ended.Load() && !s.done {
		s.expire()
	}
	if s.done || s.ended.Load() || s.judging {
		s.mu.Unlock()
		return
	}
	s.judging = true
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	until, why, err := s.judge(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.judging = false
	if s.done || s.ended.Load() {
		return
	}
	realm := s.gateway.realm
	next := min(realm.AccessToken, until.Sub(realm.Now()))
	switch {
	case err != nil && s.failures+1 < maxUnavailable:
		next = retryUnavailable
		s.failures++
	case err != nil:
		why = streamUnavailable
	default:
		s.failures = 0
	}
	if why != "" {
		s.cut()
		realm.streamsEnded(why, 1)
		return
	}
	if s.again {
		s.again, next = false, 0
	}
	s.timer.Reset(next)
}

// judge answers until when the session lives, or why it may no longer do what the stream does; an error where the store
// cannot tell. After a reload the gateways of the new configuration say so, all of them where the site has more than one.
func (s *stream) judge(ctx context.Context) (until time.Time, why string, err error) {
	doors := s.gateway.realm.State.doors(s.gateway)
	if len(doors) == 0 {
		return until, streamRulesChanged, nil
	}
	for _, g := range doors {
		if until, why, err = g.stillAllows(ctx, s); why != "" || err != nil {
			return until, why, err
		}
	}
	return until, "", nil
}

func (g *Gateway) stillAllows(ctx context.Context, s *stream) (until time.Time, why string, err error) {
	asked := s.asked
	asked.Now = g.realm.Now()
	if asked.Identity, until, why, err = g.realm.standing(ctx, s.ticket, asked.Now); why != "" || err != nil {
		return until, why, err
	}
	switch v := g.policy.Judge(asked).Verdict; {
	case v == policy.Allow:
		return until, "", nil
	case v == policy.StepUp:
		return until, streamStepUp, nil
	case g != s.gateway:
		return until, streamRulesChanged, nil
	}
	return until, streamUserChanged, nil
}

// standing answers who a ticket is of as the store has it at this moment, and until when at the latest; or why that is
// nobody any more.
func (r *Realm) standing(ctx context.Context, t *ticket, now time.Time) (id *authcore.Identity, until time.Time, why string, err error) {
	if t.personal != nil {
		var stored authcore.PersonalAccessToken
		if stored, err = r.livePersonal(ctx, t.personal.id, now); err == nil {
			id, err = r.personalIdentity(ctx, stored)
		}
		if until = stored.Expires; until.IsZero() {
			until = now.Add(r.AccessToken)
		}
	} else {
		var sess authcore.Session
		if sess, err = r.Stores.Sessions.Session(ctx, t.identity.SessionID); err == nil && !sess.Live(now) {
			err = authcore.ErrSessionNotFound
		}
		if err == nil {
			err = r.recheck(ctx, sess) // nothing else may renew the session while a stream of it goes on
		}
		if err == nil {
			id, err = r.identityOf(ctx, sess)
		}
		until = earlier(sess.IdleUntil, sess.Until)
	}
	switch {
	case !errors.Is(err, authcore.ErrSessionNotFound):
		return id, until, "", err
	case !until.IsZero() && !now.Before(until):
		return nil, until, streamSessionExpired, nil
	}
	return nil, until, r.whyEnded(ctx, t.identity.Subject), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// whyEnded answers why a session of a user is gone, as far as the store knows.
func (r *Realm) whyEnded(ctx context.Context, userID string) string {
	switch u, err := r.Stores.Users.User(ctx, userID); {
	case errors.Is(err, authcore.ErrUserNotFound), err == nil && u.Disabled:
		return streamUserDisabled
	}
	return streamSessionEnded
}

// streamsEnded tells how many streams were cut.
func (r *Realm) streamsEnded(why string, n int) {
	if r.Traffic == nil {
		return
	}
	for range n {
		r.Traffic.StreamEnded(why)
	}
}

// tellEnded is streamsEnded where a session of a user ended: the store is asked why, when the streams are cut.
func (r *Realm) tellEnded(userID string, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	r.streamsEnded(r.whyEnded(ctx, userID), n)
}
