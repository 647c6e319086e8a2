package authcore

import (
	"context"
	"errors"
)

// Tracer begins spans: parts of the work on a request that is traced, with a beginning and an end.
type Tracer interface {
	// Begin begins a span below the one in ctx, and answers a context with it, and what ends it: outcome is one of a few
	// fixed words.
	Begin(ctx context.Context, name string) (context.Context, func(outcome string))
}

type tracerKey struct{}

// WithTracer answers a context whose work is traced.
func WithTracer(ctx context.Context, t Tracer) context.Context {
	return context.WithValue(ctx, tracerKey{}, t)
}

// Span begins a span where the work of ctx is traced; else it costs a look and nothing more. Names are fixed: nothing that
// a client sent, and nobody's name.
func Span(ctx context.Context, name string) (context.Context, func(outcome string)) {
	t, traced := ctx.Value(tracerKey{}).(Tracer)
	if !traced {
		return ctx, endNothing
	}
	return t.Begin(ctx, name)
}

func endNothing(string) {}

// Outcome is the word by which a span tells an error: the texts of errors may tell more than should leave this machine.
func Outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	}
	return "refused"
}
