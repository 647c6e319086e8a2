package caddymodule

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// lazyNotices carries notices by a store that is opened when it is first asked something.
type lazyNotices[S any] struct {
	opening *opening[S]
	metrics *metrics
	of      func(S) authcore.Notices // nil where it carries none: then there are no other instances
}

// Notify implements authcore.Notices.
func (l lazyNotices[S]) Notify(ctx context.Context, n authcore.Notice) error {
	return tell(ctx, l.opening, l.metrics, "notify", func(open S) error { return l.carrier(open).Notify(ctx, n) })
}

// listenPause is how long Listen waits before it asks again for a store that cannot be opened.
const listenPause = 250 * time.Millisecond

// Listen implements authcore.Notices. Where the store could not be opened at first, notices may have been sent meanwhile.
func (l lazyNotices[S]) Listen(ctx context.Context, to authcore.Listener) {
	ticker := time.NewTicker(listenPause)
	defer ticker.Stop()
	for missed := false; ctx.Err() == nil; missed = true {
		if open, err := l.opening.get(ctx); err == nil {
			if missed {
				to.Missed()
			}
			l.carrier(open).Listen(ctx, to)
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (l lazyNotices[S]) carrier(open S) authcore.Notices {
	if carrier := l.of(open); carrier != nil {
		return carrier
	}
	return nobody{}
}

// nobody carries notices where there is nobody to be told.
type nobody struct{}

func (nobody) Notify(context.Context, authcore.Notice) error { return nil }

func (nobody) Listen(ctx context.Context, to authcore.Listener) {
	to.Connected(true)
	<-ctx.Done()
}

var (
	_ authcore.Notices = lazyNotices[OpenStore]{}
	_ authcore.Notices = nobody{}
)
