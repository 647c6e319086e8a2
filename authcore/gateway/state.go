package gateway

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// State is what an instance remembers across reloads of its configuration: what unexpired access tokens do not know, that
// a session ended say, and the streams that are open. Everything else is in a store.
type State struct {
	mu      sync.RWMutex
	ended   map[string]time.Time // session id → when its last access token has expired
	streams map[string]map[*stream]struct{}
	inUse   map[*Realm][]*Gateway // the realms that are not closed, and their gateways
	// What access tokens of users and sessions do not tell yet, or still do, while they are unexpired.
	outdated map[string]since  // by user: credentials were taken away
	stepped  map[string]stepUp // by session: more was proven
	changes  int64             // how many outdated has seen
	any      atomic.Bool       // whether ended, outdated or stepped has entries, so that the common case takes no lock

	underway underway // what may yet become a stream

	// What chains have said for roles, and who asked them: what a lying endpoint said goes with it.
	holdings *wallet.HoldingAnswers
	asked    *wallet.Contracts

	forms keptForms

	born  atomic.Int64 // Unix seconds; sessions that ended before are not in ended
	doubt atomic.Int64 // how often that was moved on: what was verified before must be again
}

type since struct {
	issued int64 // Unix seconds; access tokens issued before are to be renewed
	until  time.Time
	change int64 // tells this change from every other one
	again  bool  // there was another one before, after which tokens were dated alike
}

type stepUp struct {
	methods []authcore.MethodUse
	until   time.Time
}

// NewState makes an empty state.
func NewState() *State {
	s := &State{
		ended: make(map[string]time.Time), streams: make(map[string]map[*stream]struct{}),
		inUse: make(map[*Realm][]*Gateway), outdated: make(map[string]since), stepped: make(map[string]stepUp),
	}
	s.underway.init()
	return s
}

// holdingsBy answers what chains have said to contracts so far.
func (s *State) holdingsBy(contracts *wallet.Contracts) *wallet.HoldingAnswers {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holdings == nil || s.asked != contracts {
		s.holdings, s.asked = wallet.NewHoldingAnswers(), contracts
	}
	return s.holdings
}

// outdate makes what was taken away from a user count on this instance at once: access tokens issued until now are to be
// renewed before they are believed. The time until is when the last of them has expired.
func (s *State) outdate(userID string, now, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	before := s.outdated[userID].issued
	issued := max(now.Unix()+1, before) // tokens tell whole seconds
	s.outdated[userID] = since{issued: issued, until: until, change: s.changes, again: issued == before}
	s.any.Store(true)
	s.judgeAgain(func(st *stream) bool { return st.ticket.identity.Subject == userID })
}

// judgeAgain has streams judged again now. It needs s.mu.
func (s *State) judgeAgain(which func(*stream) bool) {
	for _, open := range s.streams {
		for st := range open {
			if which(st) {
				go st.hurry()
			}
		}
	}
}

// steppedUp makes what was proven in a session count on this instance at once, whichever cookie of it arrives.
func (s *State) steppedUp(sess authcore.Session, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stepped[sess.ID] = stepUp{slices.Clone(sess.Methods), until}
	s.any.Store(true)
}

// outdates reports whether an access token may tell what was taken away from its user; and whether it may also be of after that:
// it was issued in the second of several changes, here or elsewhere, after the first of them at least. Only the store knows.
func (s *State) outdates(t *ticket) (is, unsure bool) {
	if !s.any.Load() {
		return false, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, issued := s.outdated[t.identity.Subject], t.issued.Unix()
	unsure = o.again && issued == o.issued && t.change != o.change
	return issued < o.issued || unsure, unsure
}

// lastChange tells the last change of a user that is remembered from every other one, also from one in the same second.
func (s *State) lastChange(userID string) int64 {
	if !s.any.Load() {
		return 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.outdated[userID].change
}

// outdatedUntil answers from when on access tokens of a user must be issued not to be outdated.
func (s *State) outdatedUntil(userID string) time.Time {
	if !s.any.Load() {
		return time.Time{}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Unix(s.outdated[userID].issued, 0)
}

// lacks reports whether an access token does not tell yet what was proven in its session.
func (s *State) lacks(id *authcore.Identity) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.stepped[id.SessionID].methods, func(proven authcore.MethodUse) bool {
		return !slices.ContainsFunc(id.Methods, func(told authcore.MethodUse) bool {
			// Tokens tell whole seconds.
			same := told.UserVerified == proven.UserVerified && told.DeviceBound == proven.DeviceBound
			return told.Method == proven.Method && (told.Time.Unix() > proven.Time.Unix() || same && told.Time.Unix() == proven.Time.Unix())
		})
	})
}

// end makes the end of a session hold on this instance at once: its access tokens count no more, its streams close.
// The time is when the last of its access tokens has expired. What comes back is how many streams were cut, and whose.
func (s *State) end(id string, until time.Time) (cut int, userID string) {
	s.mu.Lock()
	s.ended[id] = until
	s.any.Store(true)
	open := s.streams[id]
	delete(s.streams, id)
	s.mu.Unlock()
	for st := range open {
		if userID = st.ticket.identity.Subject; st.end() {
			cut++
		}
	}
	return cut, userID
}

func (s *State) isEnded(id string) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[id]
	return ended
}

// open registers a stream, or reports false where its session has ended in the meantime.
func (s *State) open(st *stream) bool {
	id := st.ticket.identity.SessionID
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := s.ended[id]; ended {
		return false
	}
	if s.streams[id] == nil {
		s.streams[id] = make(map[*stream]struct{})
	}
	s.streams[id][st] = struct{}{}
	return true
}

// overtakes reports whether anything has changed since it was told who asks for a stream, and by which rules it is judged.
func (s *State) overtakes(st *stream) bool {
	outdated, _ := s.outdates(st.ticket)
	return !s.inForce(st.gateway) || outdated || s.doubt.Load() != st.ticket.doubt
}

// Streams answers how many streams are open.
func (s *State) Streams() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, open := range s.streams {
		n += len(open)
	}
	return n
}

func (s *State) close(st *stream) {
	id := st.ticket.identity.SessionID
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.streams[id], st); len(s.streams[id]) == 0 {
		delete(s.streams, id)
	}
}

// join notes that a gateway is in use from now on.
func (s *State) join(g *Gateway) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse[g.realm] = append(s.inUse[g.realm], g)
}

// gateways answers those of a realm, in the order in which they joined.
func (s *State) gateways(r *Realm) []*Gateway {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.inUse[r])
}

// leave notes that a realm is in use no more, and has the streams judged again that came through it, or through one that
// was in use before: others say by now what becomes of them.
func (s *State) leave(r *Realm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inUse, r)
	s.judgeAgain(func(st *stream) bool { _, is := s.inUse[st.gateway.realm]; return !is })
}

func (s *State) inForce(g *Gateway) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, is := s.inUse[g.realm]
	return is
}

// doors answers the gateways that say what becomes of a stream that g let through: g itself, or once its realm is in use
// no more those of the same origin that are.
func (s *State) doors(g *Gateway) []*Gateway {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, is := s.inUse[g.realm]; is {
		return []*Gateway{g}
	}
	var doors []*Gateway
	for _, gateways := range s.inUse {
		for _, other := range gateways {
			if other.origin.text == g.origin.text {
				doors = append(doors, other)
			}
		}
	}
	return doors
}

// Current answers the gateway that decides about requests at this moment: g itself or, once its realm is closed, that of the
// same origin on the same State. It reports false where there is none, or where it is not known which of several.
func (g *Gateway) Current() (*Gateway, bool) {
	doors := g.realm.State.doors(g)
	if len(doors) != 1 {
		return nil, false
	}
	return doors[0], true
}

// Owner is what the configuration of the site says it is.
func (g *Gateway) Owner() any { return g.site.Owner }

func (s *State) clean(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, until := range s.ended {
		if !now.Before(until) {
			delete(s.ended, id)
		}
	}
	maps.DeleteFunc(s.outdated, func(_ string, o since) bool { return !now.Before(o.until) })
	maps.DeleteFunc(s.stepped, func(_ string, p stepUp) bool { return !now.Before(p.until) })
	s.any.Store(len(s.ended)+len(s.outdated)+len(s.stepped) > 0)
}

// mistrust makes every access token issued until now be checked with the store once, and every stream be judged again:
// it is not known which sessions have ended.
func (s *State) mistrust(now time.Time) {
	s.born.Store(now.Unix())
	s.doubt.Add(1)
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.judgeAgain(func(*stream) bool { return true })
}

// begin notes when this state began to note which sessions end.
func (s *State) begin(now time.Time) { s.born.CompareAndSwap(0, now.Unix()) }

// predates reports whether a token may have been issued before this state began to note which sessions end.
func (s *State) predates(issued time.Time) bool { return issued.Unix() <= s.born.Load() }
