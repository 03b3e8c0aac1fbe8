// Compose is one replica of a service. The replicas share a schedule, and each
// serves metrics, probes and the page over HTTP:
//
//	docker compose up --build
//
// runs three of them, with three Redis nodes, Prometheus and Grafana.
// examples/kubernetes runs the same image.
//
// It is a module of its own, so that redtick does not depend on OpenTelemetry.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where metrics, probes and the page are served")
	flag.Parse()
	logging.Disable() // an event reports a failed node once; go-redis would log each attempt
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, strings.Split(os.Getenv("REDIS_ADDRS"), ",")); err != nil {
		slog.Error("the replica ends", "error", err)
		os.Exit(1)
	}
}

// serve works until ctx ends or the HTTP server fails.
func serve(ctx context.Context, listen string, addrs []string) error {
	observer, err := newObserver()
	if err != nil {
		return err
	}
	locker, err := redlock.New(connect(addrs), redlock.WithObserver(observer))
	if err != nil {
		return err
	}
	handler, err := newHandler(locker, connect(addrs))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- server.Serve(listener)
	}()
	err = work(ctx, locker)
	_ = server.Close()
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(end, err)
	}
	return err
}

func connect(addrs []string) (nodes []driver.Node) {
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	return nodes
}

// work runs a schedule and takes part in a leader election.
func work(ctx context.Context, locker *redlock.Locker) error {
	scheduler, err := gocronadapter.NewScheduler(locker, gocronadapter.WithJobOptions(redlock.WithCatchUp(10*time.Minute)))
	if err != nil {
		return err
	}
	_, err1 := scheduler.NewJob(gocron.CronJob("* * * * *", false), gocronadapter.Task(report), gocron.WithName("report"))
	_, err2 := scheduler.NewJob(gocron.CronJob("* * * * * *", true), gocronadapter.Task(feed), gocron.WithName("feed"))
	leadership, err3 := locker.NewMutex("leader")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	elector, err := redlock.NewElector(leadership)
	if err != nil {
		return err
	}
	scheduler.Start()
	_ = elector.Run(ctx, nil) // replace nil by the work of the leader
	err = scheduler.Shutdown()
	// Dead nodes must not keep a replica from ending.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := locker.Close(ctx); err != nil {
		slog.Warn("locks that are still held expire after their TTL", "error", err)
	}
	return err
}

func report(ctx context.Context) error {
	select {
	case <-time.After(3 * time.Second):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// feed fails every fifth time, to have something in the alert and on the page.
func feed(ctx context.Context) error {
	if tick, ok := redlock.TickFrom(ctx); ok && tick.Unix()%5 == 0 {
		return errors.New("dial tcp 10.0.4.17:5432: connect: connection refused")
	}
	return nil
}
