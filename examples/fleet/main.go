// Fleet runs three replicas to try the commands of redtick on, with nothing installed:
//
//	go run ./examples/fleet
//
// It starts three embedded Redis nodes unless REDIS_ADDRS names real ones, three
// replicas of a service with four jobs, and the dashboard. It prints commands to type
// in another terminal.
//
// The part to copy is in service.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	"github.com/redtick/redtick/examples/internal/demo"
)

// commands are printed. The test runs them as printed.
const commands = `
  redtick ls                                          every job that has run: its state, holder and last tick
  redtick runs feed                                   feed fails now and then: what was its error?
  redtick pause report --for 1h --why "migration"     no replica runs report now
  redtick runs report                                 paused by whom, until when?
  redtick resume report
  redtick pause digest --for 22s                      once digest has run, a tick that it misses is run later
  redtick runs digest                                 30 s later: see LATE BY
  redtick trigger cleanup                             cleanup is due on 1 January; run it now, on one replica
  redtick show cleanup                                who ran it?
  redtick status                                      are the nodes well? Embedded ones do not tell all settings
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where the page listens")
	flag.Parse()
	logging.Disable() // go-redis would log about once a second that a killed node is down
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := show(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(ctx context.Context, addr string) error {
	listener, err := demo.Listen(addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	nodes, err := demo.OpenRedis(ctx)
	if err != nil {
		return err
	}
	defer nodes.Close()
	for _, name := range []string{"replica-a", "replica-b", "replica-c"} {
		end, err := startReplica(name, nodes.Addrs)
		if err != nil {
			return err
		}
		defer end()
	}
	page, err := newPage(nodes.Addrs)
	if err != nil {
		return err
	}
	fmt.Printf("%v, three replicas, and a page at http://%s (Ctrl-C ends all)\n\nIn another terminal:\n\n", nodes, listener.Addr())
	fmt.Printf("  go install github.com/redtick/redtick/cmd/redtick@latest\n  export REDIS_ADDRS=%s\n%s", strings.Join(nodes.Addrs, ","), commands)
	return demo.Serve(ctx, listener, page)
}
