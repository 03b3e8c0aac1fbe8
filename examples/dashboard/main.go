// Dashboard shows three replicas at work on a page, with nothing installed:
//
//	go run ./examples/dashboard
//
// and then open http://127.0.0.1:8080. It starts an embedded Redis unless
// REDIS_ADDRS names independent nodes (host:port,host:port,…), and three
// replicas as processes of their own. Kill one of them, or one of your nodes,
// pause a job on the page, and see what happens. -addr listens elsewhere.
//
// What to copy from it is in page.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/redtick/redtick/examples/internal/demo"
)

const replicaEnv = "REDTICK_DASHBOARD_REPLICA"

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where the page listens")
	flag.Parse()
	// Of a node that is killed go-redis would tell about once a second, in each process.
	logging.Disable()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if name := os.Getenv(replicaEnv); name != "" {
		err = replica(ctx, name)
	} else {
		err = show(ctx, *addr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// show starts the nodes, the replicas and the page.
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
	// Replicas end before their nodes do, whatever ends the show.
	ctx, cancel := context.WithCancel(ctx)
	for _, name := range []string{"replica-a", "replica-b", "replica-c"} {
		wait, err := startReplica(ctx, name, nodes.Addrs)
		if err != nil {
			cancel()
			return err
		}
		defer wait()
	}
	defer cancel()
	page, err := newPage(nodes.Addrs)
	if err != nil {
		return err
	}
	fmt.Printf("%v, three replicas; open http://%s (Ctrl-C stops)\n", nodes, listener.Addr())
	return demo.Serve(ctx, listener, page)
}

// startReplica runs this program once more. The replica ends with ctx, or when
// its standard input is closed because this process died.
func startReplica(ctx context.Context, name string, addrs []string) (wait func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), replicaEnv+"="+name, "REDIS_ADDRS="+strings.Join(addrs, ","))
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	fmt.Printf("%s is process %d\n", name, cmd.Process.Pid)
	return func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}, nil
}

func replica(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return work(ctx, name, strings.Split(os.Getenv("REDIS_ADDRS"), ","))
}
