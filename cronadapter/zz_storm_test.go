package cronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

func zpick[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

func TestZZCron(t *testing.T) {
	from, to := 0, 100
	if v := os.Getenv("SEEDS"); v != "" {
		fmt.Sscanf(v, "%d-%d", &from, &to)
	}
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { zcron(t, rand.New(rand.NewPCG(uint64(seed), 9))) })
		})
	}
}

func zcron(t *testing.T, rng *rand.Rand) {
	zn := zpick(rng, "UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu")
	loc, err := time.LoadLocation(zn)
	if err != nil {
		t.Fatal(err)
	}
	base := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	_ = base
	for change := time.Now(); zn != "UTC" && zn != "Asia/Kathmandu"; change = change.Add(time.Hour) {
		_, a := change.In(loc).Zone()
		_, b := change.Add(time.Hour).In(loc).Zone()
		if a != b && rng.IntN(2) == 0 {
			travel(change.Add(-time.Duration(rng.IntN(20)) * time.Hour))
			break
		}
		if change.Sub(time.Now()) > 700*24*time.Hour {
			break
		}
	}
	travel(time.Now().Truncate(time.Second).Add(1600 * time.Millisecond))
	var specs []string
	var length time.Duration
	switch rng.IntN(3) {
	case 0:
		specs, length = []string{"* * * * * *", "*/7 * * * * *", "0,1,30 * * * * *", "CRON_TZ=Asia/Kathmandu */13 * * * * *", "TZ=Europe/Berlin 5 * * * * *"}, 5*time.Minute
	case 1:
		specs, length = []string{"*/10 * * * *", "30 1 * * *", "30 2 * * *", "0,30 1-3 * * *", "@daily", "@hourly", "CRON_TZ=Europe/Berlin 30 1,2,3 * * *", "@midnight"}, 30*time.Hour
	default:
		specs, length = []string{"30 2 * * 0", "0 0 * * MON-FRI", "0 0 1,15 * *", "@weekly", "15 10 */2 * *", "0 30 2 * * *"}, 20*24*time.Hour
	}
	n := zpick(rng, 1, 3, 3)
	mode := zpick(rng, "add", "add", "newjob-skew", "wrap")
	chainKind := zpick(rng, "none", "recover", "skip", "delay", "delay+recover")
	takeover := rng.IntN(3) == 0
	work := zpick(rng, time.Millisecond, 300*time.Millisecond)
	panics := rng.IntN(3) == 0 && (chainKind == "recover" || chainKind == "delay+recover")
	t.Logf("zone %s n %d mode %s chain %s takeover %v work %v panics %v", zn, n, mode, chainKind, takeover, work, panics)
	chainOpt := func() cron.Option {
		l := cron.DiscardLogger
		switch chainKind {
		case "recover":
			return cron.WithChain(cron.Recover(l))
		case "skip":
			return cron.WithChain(cron.SkipIfStillRunning(l))
		case "delay":
			return cron.WithChain(cron.DelayIfStillRunning(l))
		case "delay+recover":
			return cron.WithChain(cron.Recover(l), cron.DelayIfStillRunning(l))
		}
		return cron.WithChain()
	}
	var opts []redlock.JobOption
	if takeover {
		opts = append(opts, redlock.WithTakeover())
	}
	f := newFleet(t, zpick(rng, 1, 3))
	f.latency = zpick(rng, 0, 2*time.Millisecond)
	cur := rng.IntN(len(specs))
	var mu sync.Mutex
	var want []time.Time
	newCron := func() *cron.Cron {
		return cron.New(cron.WithLogger(cron.DiscardLogger), cron.WithLocation(loc), chainOpt(), cron.WithParser(cron.NewParser(cron.SecondOptional|cron.Minute|cron.Hour|cron.Dom|cron.Month|cron.Dow|cron.Descriptor)))
	}
	model := newCron()
	var mid cron.EntryID
	addModel := func() {
		var err error
		if mid, err = model.AddFunc(specs[cur], func() {
			mu.Lock()
			defer mu.Unlock()
			want = append(want, time.Now().Truncate(time.Second).UTC())
		}); err != nil {
			t.Fatal(err)
		}
	}
	var fleet []*replica
	skews := []time.Duration{0, 40 * time.Millisecond, -150 * time.Millisecond}
	add := func(r *replica) {
		job := func(ctx context.Context) error {
			time.Sleep(work)
			if panics {
				panic("boom")
			}
			return nil
		}
		switch mode {
		case "add":
			if _, err := r.a.Add(r.Cron, "job", specs[cur], f.noting(r.name, "job", job), opts...); err != nil {
				t.Fatal(err)
			}
		case "newjob-skew":
			sch := parse(t, specs[cur])
			j, err := r.a.NewJob("job", sch, f.noting(r.name, "job", job), opts...)
			if err != nil {
				t.Fatal(err)
			}
			r.Schedule(shifted{j, r.skew}, j)
		case "wrap":
			w, err := r.a.Wrap("job", opts...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.AddJob(specs[cur], cron.NewChain(w).Then(cron.FuncJob(func() {
				f.note(r.name, "job", time.Now().Truncate(time.Second).UTC())
				job(context.Background())
			}))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		skew := skews[i]
		if mode != "newjob-skew" {
			skew = 0
		}
		r := f.replica(fmt.Sprint(i), skew)
		r.Cron = newCron()
		r.a.Attach(r.Cron)
		fleet = append(fleet, r)
	}
	all := func(do func(r *replica)) {
		for _, r := range fleet {
			do(r)
		}
	}
	addModel()
	all(add)
	model.Start()
	all(func(r *replica) { r.Start() })
	sleep := func(longest time.Duration) {
		if rng.IntN(2) == 0 {
			longest = 2 * time.Second
		}
		time.Sleep(time.Second + time.Duration(rng.Int64N(int64(max(longest/time.Second, 1))))*time.Second)
		synctest.Wait()
	}
	for range 12 {
		sleep(length / 5)
		defer func(at time.Time, spec string) { t.Logf("op at %v spec %s", at.UTC(), spec) }(time.Now(), specs[cur])
		switch rng.IntN(4) {
		case 0:
			model.Stop()
			all(func(r *replica) { r.Stop() })
			sleep(length / 20)
			if false {
				model.Remove(mid)
				all(func(r *replica) { r.a.Remove(r.Cron, "job") })
				cur = rng.IntN(len(specs))
				addModel()
				all(add)
			}
			model.Start()
			all(func(r *replica) { r.Start() })
		case 1:
			model.Remove(mid)
			all(func(r *replica) { r.a.Remove(r.Cron, "job") })
			cur = rng.IntN(len(specs))
			addModel()
			all(add)
		case 2: // a long removal
			model.Remove(mid)
			all(func(r *replica) { r.a.Remove(r.Cron, "job") })
			time.Sleep(11 * time.Second)
			addModel()
			all(add)
		default: // listing, as a page of coming runs does
			all(func(r *replica) {
				for _, e := range r.Entries() {
					next := time.Now()
					for range 5 {
						next = e.Schedule.Next(next)
					}
				}
			})
		}
	}
	sleep(length / 5)
	model.Stop()
	synctest.Wait()
	for _, r := range fleet {
		for _, e := range r.log.take() {
			if e.Kind == redlock.Refused && (errors.Is(e.Err, redlock.ErrTickDone) || errors.Is(e.Err, redlock.ErrTaken)) {
				continue
			}
			if e.Kind == redlock.Refused && errors.Is(e.Err, context.Canceled) {
				continue
			}
			if e.Kind == cronadapter.Warning {
				continue
			}
			t.Logf("%s event %v %v %v", r.name, e.Kind, e.Tick, e.Err)
		}
	}
	all(func(r *replica) { <-r.a.Stop(r.Cron).Done(); _ = r.locker.Close(context.Background()) })
	slices.SortFunc(want, time.Time.Compare)
	same(t, "job", f.of("job"), want)
	m := map[time.Time]int{}
	for _, w := range want {
		m[w.UTC()]++
	}
	for _, g := range f.of("job") {
		m[g.UTC()]--
	}
	for k, v := range m {
		if v != 0 {
			t.Logf("diff %d %v local %v", v, k, k.In(loc))
		}
	}
}
