package caddymodule

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func (l lazyAccounts) AddEvent(ctx context.Context, e authcore.Event) error {
	return tell(ctx, l.opening, l.metrics, "add_event", func(open OpenStore) error { return open.Events.AddEvent(ctx, e) })
}

func (l lazyAccounts) SealEvents(ctx context.Context, n int) (int, error) {
	return ask(ctx, l.opening, l.metrics, "seal_events", func(open OpenStore) (int, error) { return open.Events.SealEvents(ctx, n) })
}

func (l lazyAccounts) Events(ctx context.Context, q authcore.EventQuery) ([]authcore.Event, error) {
	return ask(ctx, l.opening, l.metrics, "events", func(open OpenStore) ([]authcore.Event, error) { return open.Events.Events(ctx, q) })
}

func (l lazyAccounts) WalkEvents(ctx context.Context, f func(authcore.Event) error) (authcore.EventHead, error) {
	return ask(ctx, l.opening, l.metrics, "walk_events", func(open OpenStore) (authcore.EventHead, error) { return open.Events.WalkEvents(ctx, f) })
}

func (l lazyAccounts) EventHead(ctx context.Context) (head authcore.EventHead, waiting int, err error) {
	err = tell(ctx, l.opening, l.metrics, "event_head", func(open OpenStore) error {
		head, waiting, err = open.Events.EventHead(ctx)
		return err
	})
	return head, waiting, err
}

func (l lazyAccounts) EraseEvents(ctx context.Context, userID string) error {
	return tell(ctx, l.opening, l.metrics, "erase_events", func(open OpenStore) error { return open.Events.EraseEvents(ctx, userID) })
}

func (l lazyAccounts) DeleteEvents(ctx context.Context, before time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_events", func(open OpenStore) (int, error) { return open.Events.DeleteEvents(ctx, before) })
}

var _ authcore.Events = lazyAccounts{}
