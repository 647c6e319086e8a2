package caddymodule

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// lastVisit is how long after the end of a configuration its stores stay open for requests that are still under way: who
// sends a body byte by byte must not keep them open for ever.
const lastVisit = time.Minute

// visits counts the requests that the gateways of a configuration have in their hands, which may use its stores. What is
// behind the gateways, where a request may stay for hours, does not count.
type visits struct {
	n    atomic.Int64 // how many; less ended once no more may begin
	once sync.Once
	done chan struct{} // closed when the last one is over
}

const ended = math.MinInt64 / 2

func newVisits() *visits { return &visits{done: make(chan struct{})} }

// begin reports whether a visit may begin, which is then to be left.
func (v *visits) begin() bool {
	if v.n.Add(1) > 0 {
		return true
	}
	v.leave()
	return false
}

func (v *visits) leave() { v.add(-1) }

// end lets no more begin. It is called once.
func (v *visits) end() { v.add(ended) }

func (v *visits) add(n int64) {
	if v.n.Add(n) == ended {
		v.once.Do(func() { close(v.done) })
	}
}

// over reports whether the last one is over.
func (v *visits) over() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}
