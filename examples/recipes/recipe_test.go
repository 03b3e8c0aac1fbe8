package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Each replica has a Locker. Here they share in-memory nodes; a service passes
// goredis.Nodes(clients...) to redlock.New.
var servers = redlocktest.Servers(3)

func replica(name string) *redlock.Locker {
	locker, err := redlock.New(redlocktest.Nodes(servers, name))
	if err != nil {
		panic(err)
	}
	return locker
}

// slot returns a lease on one of n names, or ErrTaken if all are held.
func slot(ctx context.Context, locker *redlock.Locker, name string, n int) (*redlock.Lease, error) {
	err := error(redlock.ErrTaken)
	for _, i := range rand.Perm(n) {
		m, invalid := locker.NewMutex(fmt.Sprintf("%s/%d", name, i))
		if invalid != nil {
			return nil, invalid
		}
		var lease *redlock.Lease
		if lease, err = m.TryLock(ctx); err == nil || !errors.Is(err, redlock.ErrTaken) {
			return lease, err
		}
	}
	return nil, err
}

// At most n runs at a time in the whole fleet: one name per slot.
func Example_nAtATime() {
	ctx := context.Background()
	locker := replica("a")
	defer locker.Close(ctx)
	for range 3 {
		lease, err := slot(ctx, locker, "export", 2)
		if errors.Is(err, redlock.ErrTaken) {
			fmt.Println("both slots are taken")
			continue
		}
		defer lease.Unlock(ctx)
		fmt.Println("exporting")
	}
	// Output:
	// exporting
	// exporting
	// both slots are taken
}

// Each shard belongs to one replica. When that replica dies, others get its shards a TTL
// later.
func Example_shards() {
	ctx := context.Background()
	held := 0
	for _, name := range []string{"a", "b"} {
		locker := replica(name)
		defer locker.Close(ctx)
		for shard := range 4 {
			m, err := locker.NewMutex(fmt.Sprintf("orders/%d", shard))
			if err != nil {
				fmt.Println(err)
				return
			}
			lease, err := m.TryLock(ctx) // try again now and then, as replicas come and go
			if err != nil {
				continue
			}
			defer lease.Unlock(ctx)
			held++ // work on the shard until lease.Context() ends
		}
	}
	fmt.Println(held, "of 4 shards are held, each once")
	// Output: 4 of 4 shards are held, each once
}

// A handler that runs once at a time, whichever replicas the requests reach.
func Example_httpHandler() {
	locker := replica("a")
	defer locker.Close(context.Background())
	m, err := locker.NewMutex("reindex")
	if err != nil {
		fmt.Println(err)
		return
	}
	var inside http.Handler
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, err := m.TryLock(r.Context())
		switch {
		case errors.Is(err, redlock.ErrTaken):
			http.Error(w, "it is running already", http.StatusConflict)
			return
		case err != nil:
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		defer lease.Unlock(r.Context())
		ctx, stop := lease.Bind(r.Context()) // ends when the lease is lost, too
		defer stop()
		inside.ServeHTTP(w, r.WithContext(ctx))
	})
	inside = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		second := httptest.NewRecorder()
		handler.ServeHTTP(second, httptest.NewRequest("POST", "/reindex", nil))
		fmt.Println("meanwhile:", second.Code)
		w.WriteHeader(http.StatusAccepted)
	})
	first := httptest.NewRecorder()
	handler.ServeHTTP(first, httptest.NewRequest("POST", "/reindex", nil))
	fmt.Println("first:", first.Code)
	// Output:
	// meanwhile: 409
	// first: 202
}

// A ticker counts from the start of its process, so its times are truncated to instants
// that all replicas share.
func Example_ticker() {
	const interval = 50 * time.Millisecond
	var mu sync.Mutex
	runs := map[time.Time]int{}
	run := func(locker *redlock.Locker) {
		defer locker.Close(context.Background())
		job, err := locker.NewJob("pulse")
		if err != nil {
			fmt.Println(err)
			return
		}
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for range 5 {
			tick := (<-ticker.C).Truncate(interval)
			_ = job.Run(context.Background(), tick, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				runs[tick]++
				return nil
			})
		}
	}
	var replicas sync.WaitGroup
	replicas.Go(func() { run(replica("a")) })
	replicas.Go(func() { run(replica("b")) })
	replicas.Wait()
	twice := 0
	for _, n := range runs {
		twice += n - 1
	}
	fmt.Println(len(runs) > 0, "run twice:", twice)
	// Output: true run twice: 0
}

// On SIGTERM a replica ends its work, releases its leases and closes its Locker, so
// another one takes over at once, not a TTL later.
func Example_draining() {
	ctx, terminate := context.WithCancel(context.Background()) // signal.NotifyContext in a service
	locker, other := replica("a"), replica("b")
	defer other.Close(context.Background())
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		m, err := locker.NewMutex("consumer")
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = m.Do(ctx, func(ctx context.Context) error {
			close(started)
			<-ctx.Done() // ends at SIGTERM, and when the lease is lost
			return nil
		})
	}()
	<-started
	terminate()
	<-ended
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("closed:", locker.Close(limit)) // waits for releases that are under way
	m, _ := other.NewMutex("consumer")
	lease, err := m.TryLock(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the other one goes on")
	_ = lease.Unlock(context.Background())
	// Output:
	// closed: <nil>
	// the other one goes on
}

// table simulates a row of a database and this statement:
//
//	UPDATE report SET total = :total, last_tick = :tick WHERE id = :id AND last_tick < :tick
type table struct {
	lastTick int64
	total    int
}

func (t *table) update(total int, tick int64) (rows int) {
	if t.lastTick >= tick {
		return 0
	}
	t.total, t.lastTick = total, tick
	return 1
}

// A run that was paused past the end of its lease does not know that. The database does,
// because a later run has written a larger tick.
func Example_fencing() {
	ctx := context.Background()
	locker := replica("a")
	defer locker.Close(ctx)
	job, err := locker.NewJob("report")
	if err != nil {
		fmt.Println(err)
		return
	}
	report := &table{}
	var paused func() int
	for minute := range 2 {
		tick := time.Now().Truncate(time.Minute).Add(time.Duration(minute) * time.Minute)
		err := job.Run(ctx, tick, func(ctx context.Context) error {
			tick, _ := redlock.TickFrom(ctx)
			write := func() int { return report.update(100+minute, tick.UnixMilli()) }
			if minute == 0 {
				paused = write // and goes on only when its lease is gone
				return nil
			}
			fmt.Println("rows written by the second run:", write())
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("rows written by the first one, late:", paused())
	// Output:
	// rows written by the second run: 1
	// rows written by the first one, late: 0
}
