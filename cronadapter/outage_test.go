package cronadapter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/internal/adaptertest"
)

// On real servers; the same in bubbles, with outages of 300 s, in late_test.go and catchup_test.go.
//
// Seen to fail with WithLateness(0), and without the look back.
func TestOutage_onRealRedis(t *testing.T) {
	start := func(t *testing.T, d adaptertest.Daily) (stop func()) {
		a, err := cronadapter.New(d.Locker, cronadapter.WithClock(func() time.Time { return time.Now().Add(d.Ahead) }))
		if err != nil {
			t.Fatal(err)
		}
		h, m, s := d.Tick.UTC().Clock()
		j, err := a.NewJob("daily", parse(t, fmt.Sprintf("CRON_TZ=UTC %d %d %d * * *", s, m, h)), d.Run)
		if err != nil {
			t.Fatal(err)
		}
		c := cron.New(cron.WithLogger(cron.DiscardLogger))
		c.Schedule(shifted{j, d.Ahead}, j)
		c.Start()
		return func() { <-a.Stop(c).Done() }
	}
	adaptertest.OnRealRedis(t, start)
}
