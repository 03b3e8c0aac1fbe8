//go:build unix

package main_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

// locker returns a Locker of a service.
func (f *fleet) locker(opts ...redlock.LockerOption) *redlock.Locker {
	f.t.Helper()
	var clients []redis.UniversalClient
	for _, addr := range strings.Split(f.addrs, ",") {
		c := redis.NewClient(&redis.Options{Addr: addr})
		f.t.Cleanup(func() { _ = c.Close() })
		clients = append(clients, c)
	}
	l, err := redlock.New(goredis.Nodes(clients...), append([]redlock.LockerOption{redlock.WithHolder("api-1")}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

type runs struct {
	Name     string     `json:"name"`
	Schedule string     `json:"schedule"`
	Next     *time.Time `json:"next"`
	Overdue  float64    `json:"overdue_ms"`
	Paused   *pause     `json:"paused"`
	Runs     []struct {
		Tick   time.Time `json:"tick"`
		Holder string    `json:"holder"`
		Token  string    `json:"token"`
		Began  time.Time `json:"began"`
		Late   float64   `json:"late_ms"`
		Took   float64   `json:"took_ms"`
		Result string    `json:"result"`
		Error  string    `json:"error"`
	} `json:"runs"`
}

func TestRuns(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if o := f.redtick("runs", "report"); o.code != 1 || !strings.HasPrefix(o.stdout, "report: no run is remembered; if the job has run, check the name") {
		t.Errorf("%+v", o)
	}
	f.redtick("run", "-name", "report", "-tick", "24h", "-zone", "UTC", "--", "sh", "-c", "exit 3")
	o := f.redtick("runs", "report")
	has(t, o.stdout, "TICK", "LATE BY", "failed: exit code 3")
	if o.code != 1 || strings.Contains(o.stdout, "next tick") {
		t.Errorf("%+v", o)
	}
	v := decode[runs](t, f.redtick("runs", "report", "-o", "json").stdout)
	if v.Name != "report" || len(v.Runs) != 1 || v.Runs[0].Result != "failed" || v.Runs[0].Error != "exit code 3" || v.Next != nil ||
		v.Runs[0].Late < 0 || v.Runs[0].Token == "" || v.Runs[0].Holder == "" {
		t.Errorf("%+v", v)
	}
}

func TestRuns_schedule(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	l := f.locker()
	for name, next := range map[string]time.Duration{"soon": time.Hour, "over": time.Millisecond} {
		j, err := l.NewJob(name, redlock.WithSchedule("now and then", func(tick time.Time) time.Time { return tick.Add(next) }))
		if err == nil {
			err = j.Run(t.Context(), time.Now().Add(-time.Minute), func(context.Context) error { return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	o := f.redtick("runs", "soon")
	has(t, o.stdout, "soon: now and then; next tick ", " (in 5", "api-1", "  ok\n")
	if o.code != 0 {
		t.Errorf("%+v", o)
	}
	has(t, f.redtick("show", "soon").stdout, "next tick")
	for _, args := range [][]string{{"pause", "soon"}, {"pause", "soon", "--for", "2h"}} {
		f.redtick(args...)
		if o := f.redtick("show", "soon"); strings.Contains(o.stdout, "next tick") {
			t.Errorf("%q, so the next tick is not known: %+v", args, o)
		}
	}
	f.redtick("resume", "soon")
	o = f.redtick("runs", "over")
	has(t, o.stdout, "over: now and then; overdue: the tick", " was not run\n")
	if o.code != 1 {
		t.Errorf("%+v", o)
	}
	if v := decode[runs](t, f.redtick("runs", "over", "-o", "json").stdout); v.Overdue < 59_000 || v.Next == nil || v.Schedule != "now and then" {
		t.Errorf("%+v", v)
	}
	if o := f.redtick("forget", "soon"); o.code != 1 || !strings.Contains(o.stderr, "--force") {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{{"forget", "soon", "--force"}, {"forget", "over"}} {
		if o := f.redtick(args...); o.code != 0 {
			t.Errorf("%q: %+v", args, o)
		}
	}
	if o := f.redtick("ls"); !strings.Contains(o.stdout, "no names") {
		t.Errorf("forgotten, but: %+v", o)
	}
}

// A held name is not forgotten, and the error of a failed run is shown.
func TestForget_held(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	j, err := f.locker().NewJob("report")
	if err != nil {
		t.Fatal(err)
	}
	lease, err := j.Claim(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if o := f.redtick("forget", "report"); o.code != 1 || !strings.Contains(o.stderr, "api-1") {
		t.Errorf("%+v", o)
	}
	has(t, f.redtick("runs", "report").stdout, "running")
	lease.SetResult(errors.New("disk full"))
	if err := lease.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, f.redtick("runs", "report").stdout, "failed: disk full")
	if lease, err = j.Claim(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	defer lease.Unlock(t.Context())
	eventually(t, "the next run", func() bool {
		o := f.redtick("runs", "report")
		if o.code != 1 {
			t.Errorf("the newest run that has ended failed, but: %+v", o)
		}
		return strings.Contains(o.stdout, "running")
	})
	if v := decode[runs](t, f.redtick("runs", "report", "-o", "json").stdout); v.Runs[0].Result != "running" || v.Runs[0].Took <= 0 {
		t.Errorf("it does not say how long it has taken so far: %+v", v)
	}
	if o := f.redtick("show", "report"); !regexp.MustCompile(`(?s)state +failed\n.*last run +running on api-1.*run before +failed on api-1`).MatchString(o.stdout) {
		t.Errorf("it does not say what has failed: %+v", o)
	}
}
