package wallet

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gates let only so many through at a time for each name. What nobody uses is forgotten.
type gates struct {
	size  int
	mu    sync.Mutex
	named map[string]*gate
}

type gate struct {
	places chan struct{}
	users  int // within, or waiting
}

var errCrowded = errors.New("too many at once")

// enter waits for a place no longer than wait and no longer than ctx lasts. leave gives it back.
func (g *gates) enter(ctx context.Context, name string, wait time.Duration) (leave func(), err error) {
	g.mu.Lock()
	at := g.named[name]
	if at == nil {
		if g.named == nil {
			g.named = make(map[string]*gate)
		}
		at = &gate{places: make(chan struct{}, g.size)}
		g.named[name] = at
	}
	at.users++
	g.mu.Unlock()
	forget := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if at.users--; at.users == 0 {
			delete(g.named, name)
		}
	}
	select {
	case at.places <- struct{}{}:
		return func() { <-at.places; forget() }, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case at.places <- struct{}{}:
		return func() { <-at.places; forget() }, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	forget()
	return nil, errCrowded
}
