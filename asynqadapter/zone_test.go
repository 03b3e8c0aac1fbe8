package asynqadapter_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// zoneVariable makes this test a process whose machine has that time zone: time.Local cannot be set while others read it.
const zoneVariable = "REDTICK_ASYNQ_ZONE"

// A scheduler warns once when its ticks may differ between machines, even if the observer calls Entries.
//
// Seen to fail without the warning, with one for each entry, and (for ever) when the scheduler's mutex was held meanwhile.
func TestScheduler_warnsOfLocalTime(t *testing.T) {
	for name, c := range map[string]struct {
		tz    string
		local bool
		specs []string
		warns int
	}{
		"daily":             {"Europe/Berlin", true, []string{"30 9 * * *", "@daily"}, 1},
		"half an hour off":  {"Asia/Kolkata", true, []string{"0 * * * *"}, 1},
		"each minute":       {"Europe/Berlin", true, []string{"* * * * *", "@every 1h"}, 0},
		"zone in the spec":  {"Europe/Berlin", true, []string{"CRON_TZ=Europe/Berlin 30 9 * * *"}, 0},
		"machine is at UTC": {"UTC", true, []string{"30 9 * * *"}, 0},
		"not local":         {"Europe/Berlin", false, []string{"30 9 * * *"}, 0},
		"unreadable":        {"CET-1CEST", true, []string{"30 9 * * *"}, 1},
	} {
		if os.Getenv(zoneVariable) == "" {
			t.Run(name, func(t *testing.T) {
				cmd := exec.Command(os.Args[0], "-test.run", "^TestScheduler_warnsOfLocalTime$", "-test.count=1")
				cmd.Env = append(os.Environ(), "TZ="+c.tz, zoneVariable+"="+name)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		if os.Getenv(zoneVariable) != name {
			continue
		}
		opts := &asynq.SchedulerOpts{}
		if c.local {
			opts.Location = time.Local
		}
		for _, when := range []string{"before Start", "after Start"} {
			t.Run(when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					seen := &events{}
					var s *asynqadapter.Scheduler
					s = newScheduler(t, link{newLedger(), 0}, opts, asynqadapter.WithObserver(func(e redlock.Event) {
						s.Entries()
						seen.observe(e)
					}))
					if when == "after Start" {
						start(t, s)
					}
					for i, spec := range c.specs {
						register(t, s, spec, asynq.NewTask(fmt.Sprint(i), nil))
					}
					if when == "before Start" {
						start(t, s)
					}
					time.Sleep(25 * time.Hour)
					told := seen.of(asynqadapter.Warning)
					if len(told) != c.warns {
						t.Fatalf("warned %d times, want %d: %v", len(told), c.warns, told)
					}
					for _, e := range told {
						if text := e.Err.Error(); !strings.Contains(text, c.tz) || !strings.Contains(text, "CRON_TZ=") || e.Level() < 4 {
							t.Errorf("told %v", e.Err)
						}
					}
				})
			})
		}
	}
}
