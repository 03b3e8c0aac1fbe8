package checkin_test

import (
	"context"
	"fmt"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func ExampleCalls_Observer() {
	ctx, nodes := context.Background(), redlocktest.Nodes(redlocktest.Servers(1), "a")
	urls := map[string]string{"report": "https://hc-ping.com/your-uuid"}

	calls := checkin.New()
	defer calls.Close(ctx)
	locker, err := redlock.New(nodes, redlock.WithObserver(calls.Observer(func(job string) string { return urls[job] })))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locker.Close(ctx)
	// Output:
}
