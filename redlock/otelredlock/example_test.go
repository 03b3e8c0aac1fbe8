package otelredlock_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/otelredlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func ExampleNewObserver() {
	reader := metric.NewManualReader() // a service has an exporter here
	observer, err := otelredlock.NewObserver(metric.NewMeterProvider(metric.WithReader(reader)), noop.NewTracerProvider())
	if err != nil {
		log.Fatal(err)
	}
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "api-1"), redlock.WithObserver(observer))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	report, _ := locker.NewMutex("report")
	_ = report.Do(ctx, func(context.Context) error { return nil })
	_ = locker.Close(ctx) // the observer has been told everything then

	var all metricdata.ResourceMetrics
	_ = reader.Collect(ctx, &all)
	for _, m := range all.ScopeMetrics[0].Metrics {
		fmt.Println(m.Name, m.Unit)
	}
	// Unordered output:
	// redtick.acquisitions {acquisition}
	// redtick.acquire.duration s
	// redtick.held {lease}
	// redtick.hold.duration s
	// redtick.lost {lease}
	// redtick.runs {run}
	// redtick.renewals {renewal}
	// redtick.events.missed {event}
}
