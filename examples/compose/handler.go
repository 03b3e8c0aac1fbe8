package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/otelredlock"
)

// newObserver counts events for Prometheus, and logs them.
func newObserver() (redlock.Observer, error) {
	exporter, err := prometheus.New()
	if err != nil {
		return nil, err
	}
	count, err := otelredlock.NewObserver(metric.NewMeterProvider(metric.WithReader(exporter)), noop.NewTracerProvider())
	if err != nil {
		return nil, err
	}
	tell := redlock.Log(slog.Default())
	return func(e redlock.Event) {
		count(e)
		tell(e)
	}, nil
}

// newHandler serves the page without a login, so it is read-only.
func newHandler(locker *redlock.Locker, nodes []driver.Node) (http.Handler, error) {
	inspector, err := inspect.New(nodes)
	if err != nil {
		return nil, err
	}
	page, err := dashboard.New(inspector)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/redtick/", http.StripPrefix("/redtick", page))
	mux.Handle("/metrics", promhttp.Handler())
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, locker) })
	// It does not ask Redis: a restart of the replica would not repair a node.
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) {})
	return mux, nil
}

// ready fails if no tick could be granted, so that a deployment with wrong addresses or
// passwords stops at its first replica.
func ready(w http.ResponseWriter, r *http.Request, locker *redlock.Locker) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := locker.Check(ctx)
	if errors.Is(err, redlock.ErrNoQuorum) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	} else if err != nil {
		_, _ = w.Write([]byte(err.Error())) // a majority works
	}
}
