package cronadapter_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// Names are unique per Locker: jobs of two adapters with one name would share their
// ticks. Remove and Stop free a name, but not one of another adapter.
//
// Seen to fail with names that are kept by the adapter.
func TestAdapter_names_of_a_Locker(t *testing.T) {
	locker := newLocker(t)
	var adapters []*cronadapter.Adapter
	for range 2 {
		a, err := cronadapter.New(locker)
		if err != nil {
			t.Fatal(err)
		}
		adapters = append(adapters, a)
	}
	first, second := adapters[0], adapters[1]
	add := func(a *cronadapter.Adapter) error {
		_, err := a.AddFunc(cron.New(), "job", "* * * * *", func() {})
		return err
	}
	refused := func(when string) {
		t.Helper()
		if err := add(second); !errors.Is(err, redlock.ErrInvalid) || !hasAll(err.Error(), `"job"`, "another adapter on the same Locker") {
			t.Errorf("%s: %v", when, err)
		}
	}
	if err := add(first); err != nil {
		t.Fatal(err)
	}
	refused("taken")
	second.Remove(cron.New(), "job")
	refused("after a Remove by the other adapter")
	first.Remove(nil, "job")
	if err := add(second); err != nil {
		t.Errorf("after Remove: %v", err)
	}
	second.Stop(cron.New())
	if err := add(first); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	runtime.KeepAlive(locker)
}

// A thousand wrapped jobs that fire together cost as much each as one does.
//
// Seen to fail with a listing for each run: 1,000 listings of 1,000 entries.
func TestAdapter_Wrap_many(t *testing.T) {
	const jobs = 1000
	synctest.Test(t, func(t *testing.T) {
		r := newFleet(t, 1).replica("a", 0)
		r.Cron = cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
		runs := make([]int, jobs)
		for i := range runs {
			r.wrapFunc(fmt.Sprint(i), "* * * * *", func() { runs[i]++ })
		}
		r.Start()
		time.Sleep(3*time.Minute + time.Second)
		leaveAll([]*replica{r})
		for i, n := range runs {
			if n != 3 {
				t.Fatalf("job %d ran %d times in 3 ticks", i, n)
			}
		}
	})
}
