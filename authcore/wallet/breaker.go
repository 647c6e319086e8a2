package wallet

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// breakAfter is how many failures in a row it takes: one connection that died is no reason to refuse everybody.
	breakAfter = 3
	minBreak   = 500 * time.Millisecond
	maxBreak   = 15 * time.Second // and so an endpoint that is back is noticed within about that
)

// breaker keeps an endpoint that does not answer from being asked: else each check would wait for its deadline, and the
// checks on chains that work would wait behind it. Now and then it lets one through, to find out.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration
	since    time.Time // when it last began to refuse
	next     time.Time // when one may try, while it refuses
}

// ready reports whether allow would let somebody through now.
func (b *breaker) ready(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures < breakAfter || !now.Before(b.next)
}

// refuses reports whether the endpoint is left alone but for trials.
func (b *breaker) refuses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakAfter
}

// allow reports whether the endpoint may be asked now. Who is let through while it refuses has until trial is over to
// find out, before the next one is.
func (b *breaker) allow(now time.Time, trial time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	if now.Before(b.next) {
		return false
	}
	b.next = now.Add(trial)
	return true
}

// answered says that the endpoint does answer, and reports whether the breaker was refusing.
func (b *breaker) answered() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	closed = b.failures >= breakAfter
	b.failures, b.pause = 0, 0
	return closed
}

// failed says that the endpoint did not answer, and reports whether the breaker refuses from now on, or goes on to after a trial.
// began is when it was asked: of many who wait for the same silence, one makes the pause longer.
func (b *breaker) failed(began, now time.Time) (refuses bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < breakAfter || b.pause > 0 && !began.After(b.since) {
		return false
	}
	b.pause = min(max(2*b.pause, minBreak), maxBreak)
	// A random part, so that many instances do not come back at the same moment.
	b.pause -= rand.N(b.pause / 2)
	b.since, b.next = now, now.Add(b.pause)
	return true
}
