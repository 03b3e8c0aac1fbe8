package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// The examples run on in-memory nodes. A service passes goredis.Nodes(clients...) instead.
var nodes = func() []redlock.Node { return redlocktest.Nodes(redlocktest.Servers(3), "example") }

func Example() {
	ctx := context.Background()
	locker, err := redlock.New(nodes())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locker.Close(ctx)
	report, err := locker.NewMutex("report", redlock.WithTTL(10*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = report.Do(ctx, func(ctx context.Context) error {
		fmt.Println("one process at a time")
		return ctx.Err() // ends when the lease is lost
	})
	fmt.Println(err)
	// Output:
	// one process at a time
	// <nil>
}

func ExampleMutex_Claim() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	job, _ := locker.NewMutex("nightly")
	tick := time.Now().Truncate(time.Minute) // the scheduled instant, the same on all replicas

	for _, replica := range []string{"a", "b", "c"} {
		lease, err := job.Claim(ctx, tick)
		if errors.Is(err, redlock.ErrTickDone) {
			fmt.Println(replica, "skips it: another replica runs this tick")
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(replica, "runs it")
		_ = lease.Unlock(ctx)
	}
	// Output:
	// a runs it
	// b skips it: another replica runs this tick
	// c skips it: another replica runs this tick
}

func ExampleMutex_TryLock() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes(), redlock.WithHolder("api-1"))
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("import")
	lease, _ := m.TryLock(ctx)

	_, err := m.TryLock(ctx)
	var refusal *redlock.Error
	switch {
	case errors.Is(err, redlock.ErrTaken) && errors.As(err, &refusal):
		fmt.Println("held by", redlock.HolderOf(refusal.Holder))
	case errors.Is(err, redlock.ErrNoQuorum):
		fmt.Println("no majority answered:", err)
	}
	fmt.Println(lease.Unlock(ctx))
	// Output:
	// held by api-1
	// <nil>
}

func ExampleLease_Context() {
	ctx := context.Background()
	servers := redlocktest.Servers(1)
	link := servers[0].Node("a")
	locker, _ := redlock.New([]redlock.Node{link}, redlock.WithTTL(200*time.Millisecond))
	m, _ := locker.NewMutex("import")
	lease, _ := m.Lock(ctx)

	link.Hang() // the network goes away
	<-lease.Context().Done()
	fmt.Println(errors.Is(context.Cause(lease.Context()), redlock.ErrLost))
	fmt.Println(errors.Is(lease.Unlock(ctx), redlock.ErrLost))
	link.Heal()
	// Output:
	// true
	// true
}

func ExampleLease_Fence() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("ledger", redlock.WithFencing())
	stored := int64(0) // in the protected resource
	for range 3 {
		lease, err := m.Lock(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("accepted:", lease.Fence() > stored)
		stored = lease.Fence()
		_ = lease.Unlock(ctx)
	}
	// Output:
	// accepted: true
	// accepted: true
	// accepted: true
}

func ExampleElector() {
	ctx, stop := context.WithCancel(context.Background())
	locker, _ := redlock.New(nodes(), redlock.WithHolder("api-1"))
	m, _ := locker.NewMutex("leader")
	elector, _ := redlock.NewElector(m)
	_ = elector.Run(ctx, func(term context.Context) error {
		name, _ := elector.Leader(term)
		fmt.Println(name, "leads:", elector.IsLeader(term) == nil)
		stop()
		<-term.Done() // the term ends with the lease, Resign, or Run's context
		fmt.Println("leads:", elector.IsLeader(context.Background()) == nil)
		return nil
	})
	_ = locker.Close(context.Background())
	// Output:
	// api-1 leads: true
	// leads: false
}

func ExampleLog() {
	ctx := context.Background()
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: plain}))
	locker, _ := redlock.New(nodes(), redlock.WithHolder("api-1"), redlock.WithObserver(redlock.Log(logger)))
	m, _ := locker.NewMutex("import")
	lease, _ := m.Lock(ctx)
	_ = lease.Unlock(ctx)
	_ = locker.Close(ctx)
	time.Sleep(10 * time.Millisecond) // events are told on a goroutine of their own
	// Output:
	// level=INFO msg="redtick: acquired" event=acquired name=import me=api-1
	// level=INFO msg="redtick: released" event=released name=import me=api-1
}
