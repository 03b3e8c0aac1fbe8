// Example serves redtick's metrics for Prometheus, with nothing installed:
//
//	cd redlock/otelredlock && go run ./example    # then: curl 127.0.0.1:9464/metrics
//
// grafana.json beside it is a dashboard for them.
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/otelredlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func main() {
	exporter, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	observer, err := otelredlock.NewObserver(metric.NewMeterProvider(metric.WithReader(exporter)), noop.NewTracerProvider())
	if err != nil {
		log.Fatal(err)
	}
	// In-memory nodes make the example self-contained; a service passes goredis.Nodes(clients...).
	servers := redlocktest.Servers(3)
	for _, replica := range []string{"a", "b", "c"} {
		locker, err := redlock.New(redlocktest.Nodes(servers, replica), redlock.WithHolder(replica), redlock.WithObserver(observer))
		if err != nil {
			log.Fatal(err)
		}
		go claimEverySecond(locker)
	}
	http.Handle("/metrics", promhttp.Handler())
	log.Println("metrics on http://127.0.0.1:9464/metrics")
	log.Fatal(http.ListenAndServe("127.0.0.1:9464", nil))
}

func claimEverySecond(locker *redlock.Locker) {
	job, err := locker.NewJob("job")
	if err != nil {
		log.Fatal(err)
	}
	for {
		tick := time.Now().Truncate(time.Second).Add(time.Second)
		time.Sleep(time.Until(tick))
		if lease, err := job.Claim(context.Background(), tick); err == nil {
			time.Sleep(50 * time.Millisecond)
			_ = lease.Unlock(context.Background())
		}
	}
}
