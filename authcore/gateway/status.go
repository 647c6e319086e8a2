package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// PartState is how a part of the realm does.
type PartState string

const (
	PartOK       PartState = "ok"
	PartDegraded PartState = "degraded" // it works, and somebody should look
	PartDown     PartState = "down"     // sign-ins cannot work, or would be wrong
	PartOff      PartState = "off"      // there is none, and need not be
)

// Part is one thing that the realm needs, and how it does.
type Part struct {
	Name   string // "store", "challenge_store", "keys", "clock", "challenge_clock", "notices"
	State  PartState
	Took   time.Duration // to find that out
	Detail string        // in words for the operator; never for strangers
	Clock  bool          // it is a clock, and was read
	Offset time.Duration // of the clocks: how far the store's is ahead of this instance's
	err    error
}

// Status is how all parts do.
type Status []Part

// Err answers why the realm is not ready, or nil.
func (s Status) Err() error {
	for _, p := range s {
		if p.State == PartDown {
			return p.err
		}
	}
	return nil
}

// How far the clock of a store may differ from this instance's. Times that are kept are compared with either, and tokens
// are accepted with a minute of tolerance: beyond that what one instance issues is expired, or of the future, on another.
const (
	clockOdd   = 5 * time.Second
	clockWrong = time.Minute
)

var errClock = errors.New("clock differs from the store's by more than a minute")

// Status looks at all parts, and logs which of them do better or worse than at the last time.
func (r *Realm) Status(ctx context.Context) Status {
	s := Status{
		part("store", r.Now, func() error { return r.Stores.Health.Ping(ctx) }),
		part("challenge_store", r.Now, func() error { return r.Challenges.Health.Ping(ctx) }),
		part("keys", r.Now, func() error { _, err := r.keys.JWKS(ctx); return err }),
		r.clockPart(ctx, "clock", r.Stores.Clock),
		r.clockPart(ctx, "challenge_clock", r.Challenges.Clock),
		r.noticesPart(),
	}
	r.logParts(ctx, s)
	return s
}

func part(name string, now func() time.Time, try func() error) Part {
	began := now()
	p := Part{Name: name, State: PartOK, err: try()}
	if p.Took = now().Sub(began); p.err != nil {
		p.State, p.Detail = PartDown, p.err.Error()
	}
	return p
}

// clockPart compares the clocks. What the question took is no difference.
func (r *Realm) clockPart(ctx context.Context, name string, clock authcore.Clock) Part {
	p := Part{Name: name, State: PartOff}
	if clock == nil {
		return p
	}
	before := r.Now()
	theirs, err := clock.StoreTime(ctx)
	p.Took = r.Now().Sub(before)
	switch {
	case err != nil:
		p.State, p.Detail = PartDegraded, err.Error() // that the store does not answer is told by its own part
		return p
	case theirs.IsZero():
		return p // it is a part of this instance, and has its clock
	}
	p.State, p.Clock = PartOK, true
	p.Offset = theirs.Sub(before.Add(p.Took / 2))
	off := max(p.Offset.Abs()-p.Took/2, 0)
	switch {
	case off > clockWrong:
		p.State, p.err = PartDown, errClock
	case off > clockOdd:
		p.State = PartDegraded
	}
	p.Detail = fmt.Sprintf("the store's clock is %+.1f s from this machine's", p.Offset.Seconds())
	return p
}

func (r *Realm) noticesPart() Part {
	switch {
	case r.notices() == nil:
		return Part{Name: "notices", State: PartOff}
	case r.parts.hearing.Load():
		return Part{Name: "notices", State: PartOK}
	}
	return Part{Name: "notices", State: PartDegraded, Detail: "not hearing other instances; what they end or change counts here when access tokens expire"}
}

// partStates are what is remembered of the parts.
type partStates struct {
	hearing atomic.Bool // notices of other instances arrive
	mu      sync.Mutex
	last    map[string]PartState // by name, when Status was last asked
}

// logParts tells the log which parts do otherwise than before: health checks come every few seconds.
func (r *Realm) logParts(ctx context.Context, s Status) {
	r.parts.mu.Lock()
	defer r.parts.mu.Unlock()
	if r.parts.last == nil {
		r.parts.last = make(map[string]PartState)
	}
	for _, p := range s {
		before, known := r.parts.last[p.Name]
		r.parts.last[p.Name] = p.State
		well := p.State == PartOK || p.State == PartOff
		switch {
		case before == p.State, !known && well, p.Name == "notices":
			// Notices tell of themselves, when it happens.
		case well:
			r.Logger.InfoContext(ctx, "works again", "part", p.Name)
		default:
			r.Logger.WarnContext(ctx, "does not work as it should", "part", p.Name, "state", string(p.State), "cause", p.Detail)
		}
	}
}
