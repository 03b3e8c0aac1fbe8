package goredis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

func Example() {
	server, err := miniredis.Run() // a service names its Redis servers instead
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	locker, err := redlock.New(goredis.Nodes(client))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locker.Close(context.Background())
	m, err := locker.NewMutex("report", redlock.WithTTL(10*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = m.Do(context.Background(), func(context.Context) error {
		fmt.Println("locked:", server.Exists("report"))
		return nil
	})
	fmt.Println(err, server.Exists("report"))
	// Output:
	// locked: true
	// <nil> false
}
