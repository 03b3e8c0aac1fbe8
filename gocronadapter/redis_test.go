package gocronadapter_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

var seconds = flag.Int("seconds", 8, "how many ticks of the 1 s schedules TestLocker_on_real_nodes lets pass")

func TestMain(m *testing.M) { goleak.VerifyTestMain(delayedExit{m}) }

// delayedExit waits before the leak check: the handles of a stopped gocron take a second to end the last test's queries.
type delayedExit struct{ *testing.M }

func (m delayedExit) Run() int {
	code := m.M.Run()
	time.Sleep(1100 * time.Millisecond)
	return code
}

// redisLocker makes a Locker with connections of its own, and go-redis's defaults.
func redisLocker(t *testing.T, servers []*redisserver.Server, opts ...redlock.LockerOption) linked {
	t.Helper()
	l, err := redlock.New(goredis.Nodes(redisClients(t, servers)...), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return linked{Locker: l}
}

func redisClients(t *testing.T, servers []*redisserver.Server) []redis.UniversalClient {
	t.Helper()
	clients := make([]redis.UniversalClient, len(servers))
	for i, s := range servers {
		c := redis.NewClient(&redis.Options{Addr: s.Addr()})
		t.Cleanup(func() { _ = c.Close() })
		clients[i] = c
	}
	return clients
}

// arm is one job on three replicas whose clocks are this far apart.
type arm struct {
	nodes    int
	skew     time.Duration
	work     time.Duration
	kind     string
	interval time.Duration
}

func (a arm) name() string {
	return fmt.Sprintf("%d/%v/%s/%v", a.nodes, a.skew, a.kind, a.work)
}

func (a arm) define() (gocron.JobDefinition, []gocron.JobOption) {
	opts := []gocron.JobOption{gocron.WithName(a.name())}
	if a.kind == "cron" {
		return everySecond(), opts
	}
	return gocron.DurationJob(a.interval), append(opts, gocronadapter.Aligned(a.interval))
}

func arms(nodes int, skew time.Duration) (all []arm) {
	for _, work := range []time.Duration{time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond} {
		all = append(all, arm{nodes, skew, work, "cron", time.Second}, arm{nodes, skew, work, "aligned", 500 * time.Millisecond})
	}
	return all
}

// Three replicas, 72 arms at once, on real servers: each tick of each arm runs
// once. On a busy machine a run may be so late that gocron skips the next tick, or
// that the run still holds the lock then; or the servers do not answer in time. A
// tick that nobody ran is excused where one of these can be seen. With more than a
// few excuses the test proves nothing, and is repeated up to three times.
//
//	go test ./gocronadapter -run on_real_nodes -seconds 62 -v -count=1
//
// Seen to fail when the plan has no tick (no run has one), when the plan has the
// tick before instead of every fifth second (asked for too often), when Aligned
// sets no start (runs beside the grid), when Claim refuses the ticks of every
// seventh second as done (lost without an excuse), and when it refuses those of
// every 2.5 s for want of a quorum (too many excuses).
func TestLocker_on_real_nodes(t *testing.T) {
	servers := redisserver.StartN(t, 5)
	for try := 1; !tickOnRealNodes(t, servers); try++ {
		if try == 3 {
			t.Fatal("three times more than a tenth of the ticks was lost because this machine was busy, or because the nodes refused them")
		}
	}
}

// tickOnRealNodes reports whether the machine was quiet enough for the test to prove anything.
func tickOnRealNodes(t *testing.T, servers []*redisserver.Server) (conclusive bool) {
	log, fleet, all := newLedger(), []*replica{}, []arm{}
	for _, nodes := range []int{1, 3, 5} {
		for _, skew := range []time.Duration{0, 40 * time.Millisecond, 120 * time.Millisecond, 300 * time.Millisecond} {
			group := arms(nodes, skew)
			all = append(all, group...)
			for _, ahead := range []time.Duration{0, skew, -skew} {
				r := newReplica(t, redisLocker(t, servers[:nodes]), newClock(ahead))
				for _, a := range group {
					def, opts := a.define()
					r.job(t, def, log.task(a.name(), a.work), append(opts, log.refusals())...)
				}
				fleet = append(fleet, r)
			}
		}
	}
	for _, r := range fleet {
		r.Start()
	}
	first := time.Now().Truncate(time.Second).Add(2 * time.Second)
	last := first.Add(time.Duration(*seconds-1) * time.Second)
	time.Sleep(time.Until(last) + 800*time.Millisecond)
	for _, r := range fleet {
		r.close(t)
	}
	return report(t, log, all, first, last)
}

func report(t *testing.T, log *ledger, all []arm, first, last time.Time) (conclusive bool) {
	var table strings.Builder
	total, excused, sum := make(map[int]int), 0, 0
	for _, a := range all {
		got := log.tally(t, a.name(), first, last, a.interval)
		ticks := int(last.Sub(first)/a.interval) + 1
		if got[0]+got[1] != ticks {
			t.Errorf("%s: ticks by runs: %v, want %d once", a.name(), got, ticks)
		}
		fmt.Fprintf(&table, "\n%-28s %4d ticks", a.name(), ticks)
		for _, runs := range slices.Sorted(maps.Keys(got)) {
			fmt.Fprintf(&table, "  %dx:%d", runs, got[runs])
			total[runs] += got[runs]
		}
		asked := log.asked(t, a.name())
		for tick := first; !tick.After(last); tick = tick.Add(a.interval) {
			switch q := asked[tick.UnixMilli()]; {
			case q.times > 3:
				t.Errorf("%s: three replicas asked for the tick %v %d times", a.name(), tick, q.times)
			case q.ran:
			case q.unanswered || q.inTheWay || log.delayed(tick.Add(-a.interval), tick.Add(a.interval)):
				excused++
			default:
				t.Errorf("%s: nobody ran the tick %v, for which %d replicas asked: %v", a.name(), tick, q.times, q.refused)
			}
		}
		sum += ticks
	}
	if log.overlap {
		t.Error("two runs of one job at one time")
	}
	t.Logf("nodes/skew/schedule/work%s\nall arms, ticks by runs: %v, %d of them excused; latest run %v after its tick", table.String(), total, excused, log.lag)
	return excused <= sum/10
}

func (r *replica) close(t *testing.T) {
	t.Helper()
	if err := r.Shutdown(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.locker.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A run that is under way when gocron stops gives its lock back: gocron cancels
// the job's context first and calls Unlock with it. The test has three tries, for
// busy machines.
//
// Seen to fail when Unlock returns ctx's error, and when Task hands on a context
// that does not end with gocron's.
func TestLocker_lock_is_gone_within_100ms(t *testing.T) {
	servers := redisserver.StartN(t, 3)
	ends := map[string]func(r *replica) error{
		"Shutdown":  func(r *replica) error { return r.Shutdown() },
		"RemoveJob": func(r *replica) error { return r.RemoveJob(r.Jobs()[0].ID()) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			var took []time.Duration
			for len(took) < 3 && (len(took) == 0 || took[len(took)-1] > 100*time.Millisecond) {
				took = append(took, heldAfter(t, servers, fmt.Sprint(name, len(took)), end))
			}
			if took[len(took)-1] > 100*time.Millisecond {
				t.Errorf("the lock was there for another %v", took)
			}
		})
	}
}

// heldAfter returns how long the lock of a run stays on the servers after the scheduler was told to end it.
func heldAfter(t *testing.T, servers []*redisserver.Server, name string, end func(r *replica) error) time.Duration {
	t.Helper()
	r := newReplica(t, redisLocker(t, servers), newClock(0))
	running := make(chan struct{})
	r.job(t, gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()), gocronadapter.Task(func(ctx context.Context) error {
		close(running)
		<-ctx.Done()
		return nil
	}), gocron.WithName(name))
	r.Start()
	<-running
	if n := held(t, servers, name); n < 2 {
		t.Fatalf("the lock is on %d nodes", n)
	}
	begin := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- end(r) }()
	for held(t, servers, name) > 0 && time.Since(begin) < 5*time.Second {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.close(t)
	return took
}

func held(t *testing.T, servers []*redisserver.Server, key string) (n int) {
	t.Helper()
	for _, s := range servers {
		reply, err := s.Do("EXISTS", key)
		if err != nil {
			t.Fatal(err)
		}
		if reply == int64(1) {
			n++
		}
	}
	return n
}

// Three replicas on real servers, and the one that runs the tick loses all its
// connections forever in the middle of it: one of the others runs the tick
// within the TTL and a second, the third does not, and nothing is held in the end.
//
// Seen to fail when a refusal starts no stand-by, and when that starts no run.
func TestTakeover_on_real_nodes(t *testing.T) {
	const ttl = time.Second
	servers := redisserver.StartN(t, 3)
	at := time.Now().Add(3 * time.Second).Truncate(time.Millisecond) // a busy machine takes a while until all have started
	log, fleet, connections := new(diary), []*replica{}, [][]redis.UniversalClient{}
	for i := range 3 {
		clients := redisClients(t, servers)
		l, err := redlock.New(goredis.Nodes(clients...), redlock.WithTTL(ttl), redlock.WithTakeover())
		if err != nil {
			t.Fatal(err)
		}
		r := newReplica(t, linked{Locker: l}, newClock(0))
		r.job(t, gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(at)), log.task(i, lasting(1600*time.Millisecond)), gocron.WithName("job"))
		r.Start()
		fleet, connections = append(fleet, r), append(connections, clients)
	}
	runs := log.all()
	for ; len(runs) == 0 && time.Now().Before(at.Add(5*time.Second)); runs = log.all() {
		time.Sleep(10 * time.Millisecond)
	}
	if len(runs) != 1 {
		t.Fatalf("runs %v, want one", runs)
	}
	holder, cut := runs[0].replica, time.Now()
	for _, c := range connections[holder] {
		_ = c.Close()
	}
	time.Sleep(ttl + 2800*time.Millisecond)
	runs = log.all()
	if len(runs) != 2 || runs[1].replica == holder || runs[1].begin.Sub(cut) > ttl+time.Second {
		t.Errorf("runs %v, want a second by another replica within %v after %v", runs, ttl+time.Second, cut)
	}
	log.oneAtATime(t)
	wantTicks(t, "to its end: job", log.done(), []time.Time{at})
	if n := held(t, servers, "job"); n != 0 {
		t.Errorf("the lock is on %d nodes", n)
	}
	t.Logf("taken over %v after the cut", runs[len(runs)-1].begin.Sub(cut))
	for i, r := range fleet {
		if i != holder {
			r.close(t)
			continue
		}
		_ = r.Shutdown()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		_ = r.locker.Close(ctx) // it cannot give back what it owes
		cancel()
	}
}
