// Package checkin calls a URL when a run begins, succeeds or fails, so that a
// service such as healthchecks.io, Sentry or Cronitor notices a run that fails,
// takes too long or is missing.
//
//	calls := checkin.New()
//	defer calls.Close(ctx)
//	locker, err := redlock.New(nodes, redlock.WithObserver(calls.Observer(func(job string) string {
//		return urls[job] // "" for a job without one
//	})))
//
// A call never delays a run. At most 256 calls wait, each takes at most 5 s, and
// none is repeated. The first failure is logged, without the URL, which is a secret;
// the next one only after a call has succeeded.
package checkin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

const (
	// Timeout is how long a call may take.
	Timeout = 5 * time.Second
	// maxWaiting is how many calls may wait. Further ones are dropped.
	maxWaiting = 256
)

// Calls makes calls, one at a time and in order. It is safe for concurrent use.
type Calls struct {
	client http.Client

	mu      sync.Mutex
	queue   chan *url.URL
	closed  bool
	failing bool
	done    chan struct{}
}

// New returns Calls, which the caller must Close.
func New() *Calls {
	c := &Calls{client: http.Client{Timeout: Timeout}, queue: make(chan *url.URL, maxWaiting), done: make(chan struct{})}
	go c.work()
	return c
}

// Observer returns an observer that calls the URL urlOf returns for a job, or none
// if that is "". It reports the start of a tick's run and its end: Success for the
// results "ok" and "ended", nothing for "abandoned", and Failure for all others.
// Under redlock.WithHistory(0) a run that states no result has no end to report. See
// [Calls.Call] for the address.
func (c *Calls) Observer(urlOf func(job string) string) redlock.Observer {
	return func(e redlock.Event) {
		step := Start
		switch {
		case e.Tick.IsZero():
			return
		case e.Kind == redlock.Acquired:
		case e.Kind != redlock.Ended || e.Result == "abandoned":
			return
		case e.Result == "ok" || e.Result == "ended":
			step = Success
		default:
			step = Failure
		}
		if at := urlOf(e.Name); at != "" {
			if err := c.Call(at, step, e.Token); err != nil {
				c.failed(err)
			}
		}
	}
}

// Call queues a call and returns at once. run identifies the run that the call
// belongs to, such as the lease's token. The error matches [redlock.ErrInvalid]
// if at is not a URL. A call that fails is logged. After Close, Call does nothing.
//
// The address depends on the service:
//   - Cronitor (cronitor.link, cronitor.io): ?state=run, complete or fail;
//   - Sentry (…/api/ID/cron/SLUG/KEY/): ?status=in_progress, ok or error;
//   - any other, such as healthchecks.io: /start, the URL itself, or /fail.
func (c *Calls) Call(at string, step Step, run string) error {
	target, err := address(at, step, run)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	select {
	case c.queue <- target:
	default:
		c.note(fmt.Errorf("%d calls are already waiting", maxWaiting), target.Host)
	}
	return nil
}

// Close waits for the queued calls. It returns ctx's error if ctx ends first.
func (c *Calls) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Calls) work() {
	defer close(c.done)
	defer c.client.CloseIdleConnections()
	for target := range c.queue {
		err := c.get(target)
		c.mu.Lock()
		c.note(err, target.Host)
		c.mu.Unlock()
	}
}

func (c *Calls) get(target *url.URL) error {
	answer, err := c.client.Get(target.String())
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // url.Error's text contains the URL
		}
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= 300 {
		return errors.New("answer " + answer.Status)
	}
	return nil
}

func (c *Calls) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(err, "")
}

// note logs the first of a series of failures, and the success that ends it. The
// caller holds c.mu.
func (c *Calls) note(err error, host string) {
	switch {
	case err != nil && !c.failing:
		slog.Warn("redtick: check-ins fail; the runs go on, and further failures are not logged until one succeeds", "host", host, "error", err)
	case err == nil && c.failing:
		slog.Info("redtick: check-ins succeed again", "host", host)
	}
	c.failing = err != nil
}
