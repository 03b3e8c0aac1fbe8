package asynqadapter_test

import (
	"fmt"
	"strings"
	"testing"

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
