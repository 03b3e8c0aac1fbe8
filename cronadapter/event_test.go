package cronadapter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Whatever keeps a job from running is logged if the service sets no observer.
//
// Seen to fail without each of the reports.
func TestAdapter_logs_by_default(t *testing.T) {
	cases := map[string]struct {
		add  func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron)
		says []string
	}{
		"cron not attached": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) {
			wrap, err := a.Wrap("job")
			must(t)(c.AddJob("* * * * *", cron.NewChain(wrap).Then(cron.FuncJob(func() {}))))
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"level=ERROR", "name=prefix:job", "Adapter.Attach"}},
		"wrapper of two jobs": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) {
			wrap, err := a.Wrap("job")
			if err != nil {
				t.Fatal(err)
			}
			cron.NewChain(wrap).Then(cron.FuncJob(func() {}))
			cron.NewChain(wrap).Then(cron.FuncJob(func() {}))
		}, []string{"level=ERROR", "name=prefix:job", "applied to a second job"}},
		"not started by cron": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) {
			must(t)(a.Add(c, "job", "@yearly", nothing))
			c.Entries()[0].WrappedJob.Run()
		}, []string{"level=ERROR", "name=prefix:job", "cron did not start this run"}},
		"a tick that cannot be": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) {
			j, err := a.NewJob("job", once(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Add(time.Second)), nothing)
			if err != nil {
				t.Fatal(err)
			}
			c.Schedule(scheduleFunc(func(t time.Time) time.Time { return t.Add(time.Minute) }), j)
		}, []string{"level=ERROR", "name=prefix:job", "without a tick"}},
		"job failed": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) {
			must(t)(a.Add(c, "job", "* * * * *", func(context.Context) error { return errors.New("disk full") }))
		}, []string{"level=WARN", "redtick: run failed", "name=prefix:job", "tick=2026-03-07T17:01:00Z", "disk full"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := slog.Default()
			defer slog.SetDefault(before)
			var log syncBuffer
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
			synctest.Test(t, func(t *testing.T) {
				travel(nights[0].noon)
				locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), redlock.WithPrefix("prefix:"))
				if err != nil {
					t.Fatal(err)
				}
				a, err := cronadapter.New(locker)
				if err != nil {
					t.Fatal(err)
				}
				crontab := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
				c.add(t, a, crontab)
				crontab.Start()
				time.Sleep(61 * time.Second)
				<-a.Stop(crontab).Done()
				_ = locker.Close(t.Context())
			})
			if !hasAll(log.String(), c.says...) {
				t.Errorf("the log has not %q:\n%s", c.says, log.String())
			}
		})
	}
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Existing code changes by one call. The chains around it still work, and the tick is the
// scheduled instant, however late a wrapper is.
func TestAdapter_AddFunc_in_chains(t *testing.T) {
	late := func(j cron.Job) cron.Job {
		return cron.FuncJob(func() { time.Sleep(1700 * time.Millisecond); j.Run() })
	}
	chains := map[string][]cron.JobWrapper{
		"none":                nil,
		"Recover":             {cron.Recover(cron.DiscardLogger)},
		"SkipIfStillRunning":  {cron.SkipIfStillRunning(cron.DiscardLogger)},
		"DelayIfStillRunning": {cron.DelayIfStillRunning(cron.DiscardLogger)},
		"all, and a late one": {cron.Recover(cron.DiscardLogger), cron.SkipIfStillRunning(cron.DiscardLogger), late},
	}
	for name, wrappers := range chains {
		for _, form := range []string{"cron.WithChain", "cron.NewChain inside", "cron.NewChain around"} {
			t.Run(fmt.Sprint(name, ", ", form), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					travel(nights[0].noon)
					f := newFleet(t, 1)
					var fleet []*replica
					for i := range 3 {
						r := f.replica(string(rune('a'+i)), 0)
						r.addIn(form, wrappers, cron.FuncJob(func() { f.note(r.name, "job", f.claimed("job")) }))
						r.Start()
						fleet = append(fleet, r)
					}
					begin := time.Now()
					time.Sleep(time.Hour + 5*time.Second)
					leaveAll(fleet)
					same(t, "job", f.of("job"), chain(t, "* * * * *", time.UTC, begin, time.Now()))
				})
			})
		}
	}
}

func (r *replica) addIn(form string, wrappers []cron.JobWrapper, job cron.Job) {
	const spec = "* * * * *"
	chain := cron.NewChain(wrappers...)
	switch form {
	case "cron.WithChain":
		r.Cron = cron.New(cron.WithChain(wrappers...), cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
		must(r.f.t)(r.a.AddFunc(r.Cron, "job", spec, job.Run))
	case "cron.NewChain inside":
		must(r.f.t)(r.a.AddFunc(r.Cron, "job", spec, chain.Then(job).Run))
	case "cron.NewChain around":
		j, err := r.a.NewJob("job", parse(r.f.t, spec), func(context.Context) error { job.Run(); return nil })
		if err != nil {
			r.f.t.Fatal(err)
		}
		r.Schedule(j, chain.Then(j))
	}
}
