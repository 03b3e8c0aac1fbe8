package redigo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redigo"
)

func Example() {
	server, err := miniredis.Run() // a service names its Redis servers instead
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := &redis.Pool{Dial: func() (redis.Conn, error) { return redis.Dial("tcp", server.Addr()) }}
	defer client.Close()

	locker, err := redlock.New(redigo.Nodes(client))
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
