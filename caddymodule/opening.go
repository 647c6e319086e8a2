package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	openTimeout = 10 * time.Second
	// After a failure the next try waits, longer each time, up to this: a store that comes back is noticed soon, and one
	// that is down is not pestered.
	maxOpenPause = 5 * time.Second
	minOpenPause = 100 * time.Millisecond
)

// opening is something that is opened when it is first needed, by whoever comes first, and stays open until the last
// configuration that uses it is gone. While it cannot be opened it answers authcore.ErrUnavailable.
type opening[T any] struct {
	name  string // for errors; no secrets
	open  func(context.Context) (T, error)
	close func(T) error
	now   func() time.Time

	opened atomic.Pointer[T]

	mu      sync.Mutex
	attempt chan struct{} // closed when the attempt under way has ended; nil: none is
	err     error         // why the last attempt failed
	pause   time.Duration // before the next
	next    time.Time
	closed  bool
}

// get answers the opened thing. It opens it first where that is due, and waits for that as long as ctx allows.
func (o *opening[T]) get(ctx context.Context) (T, error) {
	if v := o.opened.Load(); v != nil {
		return *v, nil
	}
	var none T
	o.mu.Lock()
	if o.closed || o.attempt == nil && o.now().Before(o.next) {
		err := o.failure()
		o.mu.Unlock()
		return none, err
	}
	if o.attempt == nil {
		o.attempt = make(chan struct{})
		// Not under the request's context: others wait for the same attempt.
		go o.try(o.attempt)
	}
	attempt := o.attempt
	o.mu.Unlock()
	select {
	case <-attempt:
	case <-ctx.Done():
		return none, fmt.Errorf("%s: %w: still opening: %w", o.name, authcore.ErrUnavailable, ctx.Err())
	}
	if v := o.opened.Load(); v != nil {
		return *v, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return none, o.failure()
}

func (o *opening[T]) failure() error {
	if o.closed {
		return fmt.Errorf("%s: %w: closed", o.name, authcore.ErrUnavailable)
	}
	return fmt.Errorf("%s: %w: %w", o.name, authcore.ErrUnavailable, o.err)
}

func (o *opening[T]) try(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	v, err := o.open(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	defer close(done)
	o.attempt = nil
	if err != nil {
		o.err = err
		o.pause = min(max(2*o.pause, minOpenPause), maxOpenPause)
		o.next = o.now().Add(o.pause)
		return
	}
	o.opened.Store(&v)
}

// retry makes the next get try at once, whatever failed before.
func (o *opening[T]) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = time.Time{}
}

// Destruct closes what is open. The pool calls it when no configuration uses it any more.
func (o *opening[T]) Destruct() error {
	o.mu.Lock()
	o.closed = true
	attempt := o.attempt
	o.mu.Unlock()
	if attempt != nil {
		<-attempt
	}
	v := o.opened.Swap(nil)
	if v == nil || o.close == nil {
		return nil
	}
	if err := o.close(*v); err != nil {
		return errors.Join(fmt.Errorf("closing %s", o.name), err)
	}
	return nil
}

var _ caddy.Destructor = (*opening[int])(nil)
