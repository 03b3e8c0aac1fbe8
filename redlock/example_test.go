package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// The examples run on in-memory nodes. A service passes goredis.Nodes(clients...) instead.
var nodes = func() []driver.Node { return redlocktest.Nodes(redlocktest.Servers(3), "example") }

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

func ExampleJob_Claim() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	job, _ := locker.NewJob("nightly")
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
	locker, _ := redlock.New([]driver.Node{link}, redlock.WithTTL(200*time.Millisecond))
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

func ExampleMutex_Lock() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // how long it may wait
	defer cancel()
	locker, _ := redlock.New(nodes())
	defer locker.Close(context.Background())
	m, _ := locker.NewMutex("stock")
	stock := 3
	sell := func() {
		lease, err := m.Lock(ctx)
		if err != nil {
			fmt.Println(err) // matches ctx.Err() and why it still waited: ErrTaken or ErrNoQuorum
			return
		}
		stock--
		if err := lease.Unlock(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	var customers sync.WaitGroup
	for range 3 {
		customers.Go(sell)
	}
	customers.Wait()
	fmt.Println("left:", stock)
	// Output:
	// left: 0
}

func ExampleMutex_Do() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	report, _ := locker.NewMutex("report")
	errNoData := errors.New("no data yet")

	err := report.Do(ctx, func(ctx context.Context) error {
		return errNoData // pass ctx to all that is done here: it ends when the lease is lost
	})
	switch {
	case errors.Is(err, redlock.ErrLost):
		fmt.Println("it may have run without protection towards its end:", err)
	case errors.Is(err, errNoData):
		fmt.Println("the function's own error:", err)
	case err != nil:
		fmt.Println("it did not run, or was not released:", err)
	}
	// Output:
	// the function's own error: no data yet
}

// A process hands its lock over to the next one, such as one that it starts and
// passes the token to. The name is never free in between.
func ExampleLease_Detach() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	parent, _ := redlock.New(redlocktest.Nodes(servers, "parent"))
	child, _ := redlock.New(redlocktest.Nodes(servers, "child"))
	defer child.Close(ctx)

	m, _ := parent.NewMutex("upgrade")
	lease, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := lease.Detach()
	if err != nil {
		fmt.Println(err) // it was lost before
		return
	}
	fmt.Println("parent ends:", parent.Close(ctx))

	m, _ = child.NewMutex("upgrade")
	_, err = m.TryLock(ctx)
	fmt.Println("still taken:", errors.Is(err, redlock.ErrTaken))
	lease, err = m.Adopt(ctx, token) // within the TTL
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("child ends:", lease.Unlock(ctx))
	// Output:
	// parent ends: <nil>
	// still taken: true
	// child ends: <nil>
}

// A lock that another library has set, such as one that is being replaced.
func ExampleMutex_Adopt() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	for _, s := range servers {
		s.Do("SET", "import", "set-by-another-library", "NX", "PX", "300")
	}
	locker, _ := redlock.New(redlocktest.Nodes(servers, "example"))
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("import")
	lease, err := m.Adopt(ctx, "set-by-another-library")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ours now:", lease.Unlock(ctx))

	_, err = m.Adopt(ctx, "set-by-another-library")
	fmt.Println("over:", errors.Is(err, redlock.ErrLost))
	// Output:
	// ours now: <nil>
	// over: true
}

func ExampleLease_Extend() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("import", redlock.WithoutRenewal()) // a step that hangs loses the lock
	lease, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range []string{"download", "check", "store"} {
		if err := lease.Extend(ctx); err != nil { // each step has a full TTL
			fmt.Println(err)
			break // without ErrLost the lease would stand until ValidUntil
		}
		fmt.Println(step)
	}
	fmt.Println(lease.Unlock(ctx))
	// Output:
	// download
	// check
	// store
	// <nil>
}

// A replica dies in its run: another one runs the same tick.
func ExampleWithTakeover() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	replica := func(name string) (*redlock.Locker, *redlock.Job) {
		locker, _ := redlock.New(redlocktest.Nodes(servers, name))
		job, _ := locker.NewJob("nightly", redlock.WithTakeover())
		return locker, job
	}
	lockerA, a := replica("a")
	lockerB, b := replica("b")
	defer lockerB.Close(ctx)
	tick := time.Now().Truncate(time.Minute)

	if _, err := a.Claim(ctx, tick); err != nil {
		fmt.Println(err)
		return
	}
	_ = lockerA.Close(ctx) // and the process is gone
	for _, s := range servers {
		s.SetClock(redlock.DefaultTTL, 1) // its lock expires
	}
	lease, err := b.Await(ctx, tick) // waits until the holder is done, or dead
	if errors.Is(err, redlock.ErrTickDone) {
		fmt.Println("another replica ran it to the end")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("b runs the same tick:", lease.Tick().Equal(tick))
	fmt.Println(lease.Unlock(ctx)) // ends the tick
	// Output:
	// b runs the same tick: true
	// <nil>
}

// The tasks of a queue come in any order.
func ExampleWithAnyOrder() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	job, _ := locker.NewJob("invoices", redlock.WithAnyOrder())
	now := time.Now().Truncate(time.Hour)

	for _, late := range []time.Duration{0, 3 * time.Hour, time.Hour, 3 * time.Hour} {
		lease, err := job.Claim(ctx, now.Add(-late))
		switch {
		case errors.Is(err, redlock.ErrTickDone):
			fmt.Println(late, "late: done before")
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(late, "late: runs")
			_ = lease.Unlock(ctx)
		}
	}
	// Output:
	// 0s late: runs
	// 3h0m0s late: runs
	// 1h0m0s late: runs
	// 3h0m0s late: done before
}

// A queue tries a task again when it failed. A second task for the same tick is
// a duplicate.
func ExampleWithOwner() {
	ctx := context.Background()
	locker, _ := redlock.New(nodes())
	defer locker.Close(ctx)
	tick := time.Now().Truncate(time.Hour)
	handle := func(task string, fails bool) error {
		job, err := locker.NewJob("invoices", redlock.WithAnyOrder(), redlock.WithOwner(task))
		if err != nil {
			return err
		}
		lease, err := job.Claim(ctx, tick)
		if err != nil {
			return err
		}
		if fails {
			err = errors.New("printer is out of paper")
		}
		return errors.Join(err, lease.Unlock(ctx))
	}
	fmt.Println("task 1:", handle("task 1", true))
	fmt.Println("task 2 is a duplicate:", errors.Is(handle("task 2", false), redlock.ErrTickDone))
	fmt.Println("task 1 again:", handle("task 1", false))
	// Output:
	// task 1: printer is out of paper
	// task 2 is a duplicate: true
	// task 1 again: <nil>
}

// A process that was paused past the end of its lease does not know that it is
// late. What it writes to does.
func ExampleWithFencing() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	locker, _ := redlock.New(redlocktest.Nodes(servers, "example"), redlock.WithFencing())
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("ledger")
	highest := int64(0)
	write := func(lease *redlock.Lease) bool { // UPDATE … SET fence = $1 WHERE fence <= $1
		if lease.Fence() < highest {
			return false
		}
		highest = lease.Fence()
		return true
	}

	paused, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range servers {
		s.SetClock(redlock.DefaultTTL, 1) // the pause
	}
	next, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the next holder writes:", write(next))
	fmt.Println("the late one writes:", write(paused))
	_ = next.Unlock(ctx)
	// Output:
	// the next holder writes: true
	// the late one writes: false
}

func ExampleLocker_Check() {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "api-1"))
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close(context.Background())
	begin := func(ctx context.Context) error {
		if err := locker.Check(ctx); errors.Is(err, redlock.ErrNoQuorum) {
			return err
		} else if err != nil {
			slog.Warn("some nodes are out", "error", err)
		}
		return nil
	}
	ready := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := begin(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	answer := httptest.NewRecorder()
	ready.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ready", nil))
	fmt.Println(answer.Code)
	// Output: 200
}

// A liveness and readiness probe: a follower is as healthy as the leader.
func ExampleElector_Check() {
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "api-1"))
	if err != nil {
		log.Fatal(err)
	}
	mutex, err := locker.NewMutex("leader")
	if err != nil {
		log.Fatal(err)
	}
	elector, err := redlock.NewElector(mutex)
	if err != nil {
		log.Fatal(err)
	}
	probe := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := elector.Check(time.Minute); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	ask := func() int {
		answer := httptest.NewRecorder()
		probe.ServeHTTP(answer, httptest.NewRequest("GET", "/livez", nil))
		return answer.Code
	}

	fmt.Println("before Run:", ask())
	ctx, cancel := context.WithCancel(context.Background())
	elected, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = elector.Run(ctx, func(term context.Context) error {
			close(elected)
			<-term.Done()
			return nil
		})
	}()
	<-elected
	fmt.Println("running:", ask())
	cancel()
	<-ended
	_ = locker.Close(context.Background())
	// Output:
	// before Run: 503
	// running: 200
}
