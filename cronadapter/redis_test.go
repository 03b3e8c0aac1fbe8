package cronadapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Three crons, each a replica of "*/2 * * * * *", on real redis-servers: how often
// a tick runs. A bare lock, which is SET NX for a run and a delete at its end,
// is what people have without an adapter. All arms run at once, for 3 ticks.
//
// Seen to fail when a lock was taken instead of the claim, and with the present
// time as the tick.
func TestRedis_runs_per_tick(t *testing.T) {
	var playing sync.WaitGroup
	for _, a := range arms(redisserver.StartN(t, 3)) {
		playing.Go(func() { a.judge(t, a.play(t, 3)) })
	}
	playing.Wait()
}

func (a arm) judge(t *testing.T, runs []int) {
	always := slices.Equal(runs, slices.Repeat([]int{1}, len(runs)))
	if a.form != bare && !always {
		t.Errorf("%s: runs per tick: %v", a.name(), runs)
	} else if a.form == bare && a.skewed() && a.work < 40*time.Millisecond && always {
		t.Errorf("%s ran each tick once: the clocks cannot have been apart", a.name())
	}
}

type form string

const (
	bare    form = "bare lock"
	added   form = "Add"
	wrapped form = "Wrap"
)

// arm is one setting of three replicas.
type arm struct {
	form   form
	nodes  []*redisserver.Server
	behind []time.Duration
	work   time.Duration
}

func arms(servers []*redisserver.Server) (all []arm) {
	for _, behind := range [][]time.Duration{{0, 40 * time.Millisecond, 300 * time.Millisecond}, {0, 0, 0}} {
		for _, work := range []time.Duration{time.Millisecond, 200 * time.Millisecond} {
			for _, nodes := range []int{1, 3} {
				for _, f := range []form{bare, added, wrapped} {
					all = append(all, arm{f, servers[:nodes], behind, work})
				}
			}
		}
	}
	return all
}

func (a arm) skewed() bool { return a.behind[2] > 0 }

func (a arm) name() string {
	skew := "no skew"
	if a.skewed() {
		skew = "0/40/300 ms apart"
	}
	return fmt.Sprintf("%s, %v, %d node(s), %s", skew, a.work, len(a.nodes), a.form)
}

// play returns how often each tick ran.
func (a arm) play(t *testing.T, ticks int) []int {
	count := counter{runs: make(map[int64]int)}
	var stops []func()
	for _, behind := range a.behind {
		stops = append(stops, a.start(t, behind, &count))
	}
	first := time.Now().Add(200*time.Millisecond).Unix()/interval + 1
	last := first + int64(ticks) - 1
	time.Sleep(time.Until(time.Unix((last+1)*interval, 0)) - 200*time.Millisecond)
	for _, stop := range stops {
		stop()
	}
	return count.between(first, last)
}

// start starts one replica. A clock that is behind is a run that begins late.
func (a arm) start(t *testing.T, behind time.Duration, count *counter) (stop func()) {
	locker, disconnect := a.locker(t)
	adapter, err := cronadapter.New(locker)
	check(t, err)
	late := func(j cron.Job) cron.Job { return cron.FuncJob(func() { time.Sleep(behind); j.Run() }) }
	c := cron.New(cron.WithSeconds(), cron.WithChain(late), cron.WithLogger(cron.DiscardLogger))
	a.add(t, c, adapter, locker, func(context.Context) error {
		count.note(time.Now().Add(-behind))
		time.Sleep(a.work)
		return nil
	})
	c.Start()
	return func() {
		<-adapter.Stop(c).Done()
		check(t, locker.Close(context.Background()))
		disconnect()
	}
}

func (a arm) add(t *testing.T, c *cron.Cron, adapter *cronadapter.Adapter, locker *redlock.Locker, job func(context.Context) error) {
	spec := fmt.Sprintf("*/%d * * * * *", interval)
	plain := cron.FuncJob(func() { _ = job(context.Background()) })
	switch a.form {
	case added:
		_, err := adapter.Add(c, a.name(), spec, job)
		check(t, err)
	case wrapped:
		wrap, err := adapter.Wrap(a.name())
		check(t, err)
		adapter.Attach(c)
		_, err = c.AddJob(spec, cron.NewChain(wrap).Then(plain))
		check(t, err)
	case bare:
		m, err := locker.NewMutex(a.name())
		check(t, err)
		_, err = c.AddFunc(spec, func() {
			if lease, err := m.TryLock(context.Background()); err == nil {
				plain.Run()
				_ = lease.Unlock(context.Background())
			}
		})
		check(t, err)
	}
}

// locker returns a Locker with its own connections, like one of another process.
func (a arm) locker(t *testing.T) (locker *redlock.Locker, disconnect func()) {
	var clients []redis.UniversalClient
	for _, s := range a.nodes {
		clients = append(clients, redis.NewClient(&redis.Options{Addr: s.Addr()}))
	}
	locker, err := redlock.New(goredis.Nodes(clients...), redlock.WithObserver(func(e redlock.Event) {
		if e.Level() >= slog.LevelWarn {
			t.Errorf("%s: %v", e.Kind, e.Err)
		}
	}))
	check(t, err)
	return locker, func() {
		for _, c := range clients {
			check(t, c.Close())
		}
	}
}

// check may be called from any goroutine.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// interval is the time between two ticks in seconds. A run that a busy machine delays by less still counts for its tick.
const interval = 2

// counter counts the runs of each tick.
type counter struct {
	mu   sync.Mutex
	runs map[int64]int
}

func (c *counter) note(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[at.Unix()/interval]++
}

func (c *counter) between(first, last int64) (runs []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := first; i <= last; i++ {
		runs = append(runs, c.runs[i])
	}
	return runs
}
