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
// A call never delays a run. At most 1024 calls wait, each takes at most 5 s, and
// none is repeated. The first failure is logged, without the URL, which is a secret;
// the next one only after a call has succeeded.
package checkin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/internal/feed"
)

// Timeout is how long a call may take.
const Timeout = 5 * time.Second

// Calls makes calls, one at a time and in order. It is safe for concurrent use.
type Calls struct {
	client http.Client
	calls  feed.Feed[*url.URL]

	mu      sync.Mutex
	closed  bool
	failing bool
}

// New returns Calls, which the caller must Close.
func New() *Calls {
	c := &Calls{client: http.Client{Timeout: Timeout}}
	c.calls.Handle = func(target *url.URL, missed int) {
		if missed > 0 {
			c.note(fmt.Errorf("%d calls were dropped, as too many were waiting", missed), target.Host)
		}
		c.note(c.get(target), target.Host)
	}
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
				c.note(err, "")
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
	if !c.closed {
		c.calls.Push(target)
	}
	return nil
}

// Close waits for the queued calls. It returns ctx's error if ctx ends first.
func (c *Calls) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	select {
	case <-c.calls.Drained():
		c.client.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Calls) get(target *url.URL) error {
	answer, err := c.client.Get(target.String())
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
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

// note logs the first of a series of failures, and the success that ends it.
func (c *Calls) note(err error, host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && !c.failing:
		slog.Warn("redtick: check-ins fail; the runs go on, and further failures are not logged until one succeeds", "host", host, "error", err)
	case err == nil && c.failing:
		slog.Info("redtick: check-ins succeed again", "host", host)
	}
	c.failing = err != nil
}

// Step is the step of a run that a call reports.
type Step uint8

// Steps of a run.
const (
	Start Step = iota
	Success
	Failure
)

var sentryPath = regexp.MustCompile(`/api/[^/]+/cron/[^/]+/[^/]+/?$`)

// Check returns an error that matches [redlock.ErrInvalid] unless at is an http or
// https URL with a host.
func Check(at string) error {
	_, err := address(at, Start, "")
	return err
}

// address returns the URL to call for a step. Its error does not contain at, which is a secret.
func address(at string, step Step, run string) (*url.URL, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: the URL to check in at cannot be read (it is not repeated here, as it is a secret); write https://host/path", redlock.ErrInvalid)
	}
	query := u.Query()
	host := u.Hostname()
	switch {
	case host == "cronitor.link" || host == "cronitor.io" || strings.HasSuffix(host, ".cronitor.io"):
		query.Set("state", [...]string{"run", "complete", "fail"}[step])
		query.Set("series", id(run))
	case sentryPath.MatchString(u.Path):
		query.Set("status", [...]string{"in_progress", "ok", "error"}[step])
		query.Set("check_in_id", id(run))
	default:
		if step != Success {
			u = u.JoinPath([...]string{Start: "start", Failure: "fail"}[step])
		}
		query.Set("rid", id(run))
	}
	u.RawQuery = query.Encode()
	return u, nil
}

// id returns a UUID made of run: the services accept nothing else.
func id(run string) string {
	h := sha256.Sum256([]byte(run))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
