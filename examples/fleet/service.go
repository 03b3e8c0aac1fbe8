package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/inspect"
)

func connect(addrs []string) (nodes []driver.Node) {
	for _, addr := range addrs {
		nodes = append(nodes, goredis.Nodes(redis.NewClient(&redis.Options{Addr: addr}))...)
	}
	return nodes
}

// newPage returns the dashboard. A service mounts it behind its own login.
func newPage(addrs []string) (http.Handler, error) {
	inspector, err := inspect.New(connect(addrs))
	if err != nil {
		return nil, err
	}
	return dashboard.New(inspector, dashboard.WithControl(func(*http.Request) string { return "you" }))
}

// startReplica starts one replica of the service. In this example all replicas share a
// process.
func startReplica(name string, addrs []string) (end func(), err error) {
	// Results are on the page and in the history. A service would log them too.
	quiet := redlock.Log(slog.New(slog.DiscardHandler))
	locker, err := redlock.New(connect(addrs), redlock.WithHolder(name), redlock.WithTTL(5*time.Second), redlock.WithObserver(quiet))
	if err != nil {
		return nil, err
	}
	adapter, err := cronadapter.New(locker, cronadapter.WithTriggers())
	if err != nil {
		return nil, err
	}
	c := cron.New(cron.WithSeconds(), cron.WithLocation(time.UTC))
	_, err1 := adapter.Add(c, "feed", "*/2 * * * * *", feed)
	_, err2 := adapter.Add(c, "report", "*/5 * * * * *", works)
	_, err3 := adapter.Add(c, "digest", "*/20 * * * * *", works, redlock.WithCatchUp(time.Minute))
	_, err4 := adapter.Add(c, "cleanup", "0 0 0 1 1 *", works)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	c.Start()
	return func() {
		<-adapter.Stop(c).Done()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = locker.Close(ctx)
	}, nil
}

// feed fails now and then.
func feed(ctx context.Context) error {
	if tick, _ := redlock.TickFrom(ctx); tick.Second()%6 != 0 {
		return nil
	}
	return errors.New("dial tcp 10.0.4.17:5432: connect: connection refused")
}

func works(ctx context.Context) error {
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
