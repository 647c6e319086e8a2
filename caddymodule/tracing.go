package caddymodule

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-authgate/authgate/authcore"
)

// traced answers a context in which spans are begun, where Caddy's directive "tracing" records the request.
func traced(ctx context.Context) (context.Context, bool) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, false
	}
	return authcore.WithTracer(ctx, tracer{}), true
}

// tracer begins spans of OpenTelemetry.
type tracer struct{}

// Begin implements authcore.Tracer.
func (tracer) Begin(ctx context.Context, name string) (context.Context, func(string)) {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer(module).Start(ctx, name)
	return ctx, func(outcome string) {
		span.SetAttributes(attribute.String("authgate.outcome", outcome))
		if outcome == "unavailable" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

var _ authcore.Tracer = tracer{}

// storeSpan begins the span of an operation of a store. Its name is put together only where the request is traced.
func storeSpan(ctx context.Context, operation string) func(outcome string) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return func(string) {}
	}
	_, end := authcore.Span(ctx, "authgate.store."+operation)
	return end
}
