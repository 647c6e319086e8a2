package redisstore

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// breakAfter is how many failures in a row it takes: a connection that died is no reason to refuse everybody.
	breakAfter = 3
	minBreak   = 100 * time.Millisecond
	maxBreak   = 2 * time.Second // and so a server that is back is noticed within about that
)

// breaker refuses what a server that does not answer would be asked: else every caller would wait for the deadline, and
// a server that has just come back would be overrun. Now and then it lets one through, to find out.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration
	since    time.Time // when it last began to refuse
	next     time.Time // when one may try, while it refuses
}

// allow reports whether the server may be asked now. Who is let through while it refuses has until trial is over to find
// out, before the next one is.
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

// answered says that the server does answer.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.pause = 0, 0
}

// failed says that the server did not answer. began is when it was asked: of many who wait for the same silence, one
// makes the pause longer.
func (b *breaker) failed(began, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < breakAfter || b.pause > 0 && !began.After(b.since) {
		return
	}
	b.pause = min(max(2*b.pause, minBreak), maxBreak)
	// A random part, so that many instances do not come back at the same moment.
	b.pause -= rand.N(b.pause / 2)
	b.since, b.next = now, now.Add(b.pause)
}
