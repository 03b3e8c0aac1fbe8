package gocronadapter_test

import (
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/internal/adaptertest"
)

// On real servers; the same in bubbles, with outages of 300 s, in late_test.go and catchup_test.go.
//
// Seen to fail with WithLateness(0), and without catchUp.
func TestOutage_onRealRedis(t *testing.T) {
	start := func(t *testing.T, d adaptertest.Daily) (stop func()) {
		s, err := gocronadapter.NewScheduler(d.Locker, gocronadapter.WithClock(newClock(d.Ahead)),
			gocronadapter.WithSchedulerOptions(gocron.WithLocation(time.UTC)))
		if err != nil {
			t.Fatal(err)
		}
		h, m, sec := d.Tick.UTC().Clock()
		at := gocron.NewAtTime(uint(h), uint(m), uint(sec))
		if _, err := s.NewJob(gocron.DailyJob(1, gocron.NewAtTimes(at)), gocronadapter.Task(d.Run), gocron.WithName("daily")); err != nil {
			t.Fatal(err)
		}
		s.Start()
		return func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
		}
	}
	adaptertest.OnRealRedis(t, start)
}
