package asynqadapter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Shutdown asks Redis for the same few things however many entries there are: each waits for seconds while Redis hangs.
//
// Seen to fail when the stock scheduler cleared a history, which it does not have, for each of its entries: with 20 of
// them, and Redis hung, Shutdown took a minute.
func TestWithHeartbeat_Shutdown(t *testing.T) {
	server := redisserver.Start(t)
	s := newScheduler(t, link{newLedger(), 0}, nil, asynqadapter.WithHeartbeat(asynq.RedisClientOpt{Addr: server.Addr()}))
	for i := range 20 {
		register(t, s, "@daily", asynq.NewTask(fmt.Sprint(i), nil))
	}
	start(t, s)
	s.Shutdown()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, dels, _ := strings.Cut(stats, "cmdstat_del:calls="); !strings.HasPrefix(dels, "1,") {
		t.Errorf("Shutdown deleted more than the list of entries; commands:\n%s", stats)
	}
}

// A client that the caller goes on to use is not closed, and nothing is logged about that.
//
// Seen to fail when the stock scheduler tried to: it logs an error then, at each Shutdown.
func TestPeriodicTaskManager_universalClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, p, log := newQueue(t), &configs{}, &lines{}
		p.set(nil, each("* * * * *", "job"))
		client := q.MakeRedisClient().(redis.UniversalClient)
		defer client.Close()
		for range 2 {
			m, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
				PeriodicTaskConfigProvider: p, RedisUniversalClient: client,
				SchedulerOpts: &asynq.SchedulerOpts{Logger: log, HeartbeatInterval: time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(90 * time.Second)
			if got := shown(t, q); len(got) != 1 {
				t.Errorf("asynqmon shows %q", got)
			}
			m.Shutdown()
		}
		if got := ticksOf(t, q, "default"); len(got) != 3 {
			t.Errorf("enqueued %q, want three ticks", got)
		}
		if bad := slices.DeleteFunc(log.all, func(l string) bool { return !strings.HasPrefix(l, "error") && !strings.HasPrefix(l, "warn") }); len(bad) > 0 {
			t.Errorf("logged %q", bad)
		}
	})
}
