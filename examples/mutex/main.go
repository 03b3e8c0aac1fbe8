// Mutex locks a name, works, and unlocks, with nothing installed:
//
//	go run ./examples/mutex
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/mutex
//
// It starts embedded Redis nodes unless REDIS_ADDRS names real ones. Run it in two
// terminals on the same nodes, and the second waits for the first.
//
// The part to copy is in work.go.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/redtick/redtick/examples/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("unlocked")
}

func run(ctx context.Context) error {
	nodes, err := demo.OpenRedis(ctx)
	if err != nil {
		return err
	}
	defer nodes.Close()
	fmt.Println(nodes)
	return work(ctx, nodes.Addrs)
}
