// Package checkin calls a URL when a run begins, succeeds and fails, so that a
// service such as healthchecks.io, Sentry or Cronitor notices a run that fails,
// takes too long or does not come at all.
//
//	calls := checkin.New()
//	defer calls.Close(ctx)
//	locker, err := redlock.New(nodes, redlock.WithObserver(calls.Observer(func(job string) string {
//		return urls[job] // "" for a job without one
//	})))
//
// A call never holds up a run. At most 256 wait, each takes at most 5 s, and none is
// repeated. A failure is logged without the URL, which is a secret, and the next
// one only after a call has succeeded.
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
	// maxWaiting is how many calls wait at most; more are given up.
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

// New returns Calls, which must be closed.
func New() *Calls {
	c := &Calls{client: http.Client{Timeout: Timeout}, queue: make(chan *url.URL, maxWaiting), done: make(chan struct{})}
	go c.work()
	return c
}

// Observer calls the URL that urlOf returns for a job, or none if that is "". It
// calls when a tick's run begins and when its end is reported: a success for the
// results "ok" and "ended", none for "abandoned", and a failure for all others.
// See [Calls.Call] for the address.
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
// when at is no URL. A call that fails is logged.
//
// Of a URL of Cronitor (cronitor.link, cronitor.io) it calls ?state=run,
// complete or fail; of one of Sentry (…/api/ID/cron/SLUG/KEY/) ?status=in_progress,
// ok or error; of any other, as healthchecks.io has it, /start, the URL itself, and /fail.
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
		c.note(fmt.Errorf("%d calls wait already", maxWaiting), target.Host)
	}
	return nil
}

// Close waits for the calls that are queued, at most until ctx ends, and returns its error.
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
			err = failed.Err // without the URL
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

// note logs the first failure, and the end of failing. c.mu is held.
func (c *Calls) note(err error, host string) {
	switch {
	case err != nil && !c.failing:
		slog.Warn("redtick: check-ins fail; the runs go on, and further failures are not logged until one succeeds", "host", host, "error", err)
	case err == nil && c.failing:
		slog.Info("redtick: check-ins succeed again", "host", host)
	}
	c.failing = err != nil
}
