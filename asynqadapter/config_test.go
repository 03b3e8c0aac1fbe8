package asynqadapter_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// A client that is not set is a nil pointer, and as an interface not nil.
//
// Seen to fail: the one was taken, and the first tick panicked; the other panicked at once.
func TestPeriodicTaskManager_nilPointer(t *testing.T) {
	for name, opts := range map[string]asynq.PeriodicTaskManagerOpts{
		"RedisUniversalClient": {PeriodicTaskConfigProvider: &configs{}, RedisUniversalClient: (*redis.Client)(nil)},
		"RedisConnOpt":         {PeriodicTaskConfigProvider: &configs{}, RedisConnOpt: (*queue)(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := asynqadapter.NewPeriodicTaskManager(opts); !errors.Is(err, redlock.ErrInvalid) {
				t.Error(err)
			}
		})
	}
	if _, err := asynqadapter.NewScheduler(link{newLedger(), 0}, nil, asynqadapter.WithHeartbeat((*queue)(nil))); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("WithHeartbeat: %v", err)
	}
}

// Seen to fail when headers were compared as fmt prints them: these two look alike.
func TestPeriodicTaskManager_changedHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &configs{}
		set := func(headers map[string]string) {
			p.set(nil, &asynq.PeriodicTaskConfig{Cronspec: "* * * * *", Task: asynq.NewTaskWithHeaders("a", nil, headers)})
		}
		set(map[string]string{"a": "1 b:2"})
		m := manage(t, newQueue(t), p)
		set(map[string]string{"a": "1", "b": "2"})
		time.Sleep(time.Minute)
		if h := m.Entries()[0].Task.Headers(); len(h) != 2 {
			t.Errorf("the entry has the headers %q", h)
		}
	})
}
