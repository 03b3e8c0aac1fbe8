package otelredlock

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/redtick/redtick/redlock"
)

// Traced returns f with a span "redtick run" around each call. The span's parent is
// that of the caller's context, if any, and spans that f starts from its context are
// its children. Pass the result to [redlock.Job.Run] or to an adapter; the lease and
// the tick are read from the context. An error or a panic sets the span's status.
func Traced(tracers trace.TracerProvider, f func(ctx context.Context) error) func(ctx context.Context) error {
	tracer := tracers.Tracer(scope)
	return func(ctx context.Context) error {
		ctx, span := tracer.Start(ctx, "redtick run", trace.WithAttributes(runAttributes(ctx)...))
		returned := false
		defer func() {
			if !returned {
				span.SetStatus(codes.Error, "panicked")
			}
			span.End()
		}()
		err := f(ctx)
		returned = true
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}
}

func runAttributes(ctx context.Context) (all []attribute.KeyValue) {
	if lease, ok := redlock.LeaseFrom(ctx); ok {
		all = append(all, attribute.String("redtick.name", lease.Name()), attribute.String("redtick.holder", redlock.HolderOf(lease.Token())))
	}
	if tick, ok := redlock.TickFrom(ctx); ok {
		all = append(all, attribute.String("redtick.tick", tick.Format(time.RFC3339Nano)))
	}
	return all
}
