package cronadapter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// The history has the schedule's text, the next tick (also across clock changes), and the result of each run.
func TestHistory(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	plain := cron.Every(time.Hour)
	for name, c := range map[string]struct {
		add   func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error
		words string
		next  string
		ended string
	}{
		"fields": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error {
			_, err := a.Add(c, "job", "30 12 * * *", func(context.Context) error { return errors.New("no") })
			return err
		}, "30 12 * * * Europe/Berlin", "2026-03-29T10:30:00Z", "failed"},
		"zone of its own": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error {
			_, err := a.Add(c, "job", "CRON_TZ=UTC 30 11 * * *", nothing)
			return err
		}, "CRON_TZ=UTC 30 11 * * *", "2026-03-29T11:30:00Z", "ok"},
		"every": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error {
			_, err := a.Add(c, "job", "@every 1h", nothing)
			return err
		}, "@every 1h", "2026-03-29T11:00:00Z", "ok"},
		"a schedule": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error {
			j, err := a.NewJob("job", plain, nothing)
			c.Schedule(j, j)
			return err
		}, "", "2026-03-29T11:00:00Z", "ok"},
		"wrapped": {func(t *testing.T, a *cronadapter.Adapter, c *cron.Cron) error {
			wrap, err := a.Wrap("job")
			a.Attach(c)
			_, _ = c.AddJob("30 12 * * *", cron.NewChain(wrap).Then(cron.FuncJob(func() {})))
			return err
		}, "", "2026-03-29T10:30:00Z", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(time.Date(2026, 3, 28, 11, 0, 0, 0, time.UTC)) // the night before the clocks change
				servers := redlocktest.Servers(1)
				locker, err := redlock.New(redlocktest.Nodes(servers, "a"), redlock.WithObserver(func(redlock.Event) {}))
				if err != nil {
					t.Fatal(err)
				}
				a, err := cronadapter.New(locker)
				if err != nil {
					t.Fatal(err)
				}
				crontab := cron.New(cron.WithLocation(berlin), cron.WithLogger(cron.DiscardLogger))
				if err := c.add(t, a, crontab); err != nil {
					t.Fatal(err)
				}
				crontab.Start()
				time.Sleep(23*time.Hour + 15*time.Minute)
				<-a.Stop(crontab).Done()
				_ = locker.Close(t.Context())
				ops, err := inspect.New(redlocktest.Nodes(servers, "ops"))
				if err != nil {
					t.Fatal(err)
				}
				runs, err := ops.Runs(t.Context(), "job")
				if err != nil || len(runs.Runs) == 0 {
					t.Fatal(runs, err)
				}
				if got := runs.Next.Format(time.RFC3339); runs.Schedule != c.words || got != c.next || runs.Runs[0].Result != c.ended {
					t.Errorf("%q, next %s, %s; want %q, %s, %s", runs.Schedule, got, runs.Runs[0].Result, c.words, c.next, c.ended)
				}
			})
		})
	}
}
