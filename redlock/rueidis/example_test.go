package rueidis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock"
	rueidisnode "github.com/redtick/redtick/redlock/rueidis"
)

func Example() {
	server, err := miniredis.Run() // a service names its Redis servers instead
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	locker, err := redlock.New(rueidisnode.Nodes(client))
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
