package gocronadapter_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-co-op/gocron/v2"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// A gocron job and a cron job of one name on one Locker would take each other's
// ticks, so the second is refused, until the first is gone.
//
// Seen to fail while each adapter kept names of its own.
func TestNewScheduler_name_of_a_cron_job(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"))
		if err != nil {
			t.Fatal(err)
		}
		crons, err := cronadapter.New(locker)
		if err != nil {
			t.Fatal(err)
		}
		scheduler, err := gocronadapter.NewScheduler(locker)
		if err != nil {
			t.Fatal(err)
		}
		c := cron.New()
		addCron := func(name string) error {
			_, err := crons.AddFunc(c, name, "* * * * *", func() {})
			return err
		}
		addGocron := func(name string) (gocron.Job, error) {
			return scheduler.NewJob(gocron.CronJob("* * * * *", false), gocron.NewTask(func() {}), gocron.WithName(name))
		}
		refused := func(err error, holder string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), holder) {
				t.Errorf("got %v, want a refusal that names %s", err, holder)
			}
		}

		if err := addCron("cron first"); err != nil {
			t.Fatal(err)
		}
		_, err = addGocron("cron first")
		refused(err, "a job of another adapter")
		crons.Remove(c, "cron first")
		if _, err := addGocron("cron first"); err != nil {
			t.Errorf("after its removal: %v", err)
		}

		job, err := addGocron("gocron first")
		if err != nil {
			t.Fatal(err)
		}
		refused(addCron("gocron first"), `cron "* * * * *"`)
		if err := scheduler.RemoveJob(job.ID()); err != nil {
			t.Fatal(err)
		}
		if err := addCron("gocron first"); err != nil {
			t.Errorf("after its removal: %v", err)
		}
		if err := scheduler.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := locker.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
