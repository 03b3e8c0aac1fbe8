package gocronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// candidate is a replica whose scheduler asks an elector.
type candidate struct {
	linked
	*gocronadapter.Elector
	scheduler gocron.Scheduler
	stop      context.CancelFunc
	done      chan error
}

// newCandidate runs the job every second while it leads.
func newCandidate(t *testing.T, servers []*redlocktest.Server, name string, job func(context.Context) error) *candidate {
	t.Helper()
	c := &candidate{linked: lockerOn(t, servers, name, redlock.WithHolder(name)), done: make(chan error, 1)}
	var err error
	if c.Elector, err = gocronadapter.NewElector(c.Locker, "schedule", redlock.WithTTL(3*time.Second)); err != nil {
		t.Fatal(err)
	}
	c.scheduler = newGocron(t, gocron.WithDistributedElector(c.Elector))
	if _, err := c.scheduler.NewJob(everySecond(), c.Task(job), gocron.WithName("job")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() { c.done <- c.Run(ctx) }()
	c.scheduler.Start()
	return c
}

// journal is who ran when.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) write(who string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, who)
}

func (j *journal) count(who string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(j.entries), func(e string) bool { return e != who }))
}

func newCandidates(t *testing.T, j *journal) []*candidate {
	t.Helper()
	servers := redlocktest.Servers(3)
	all := make([]*candidate, 3)
	for i := range all {
		name := fmt.Sprint(i)
		all[i] = newCandidate(t, servers, name, func(context.Context) error { j.write(name); return nil })
		synctest.Wait() // the first one leads
		time.Sleep(100 * time.Millisecond)
	}
	return all
}

func resign(t *testing.T, all []*candidate) {
	t.Helper()
	for _, c := range all {
		c.stop()
		if err := <-c.done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		closeAll(t, c.Locker, c.scheduler)
	}
}

// Only the leader runs jobs, and asking whether it leads is no call to a node.
func TestElector_only_the_leader_runs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		all := newCandidates(t, &log)
		time.Sleep(30 * time.Second)
		if got := [3]int{log.count("0"), log.count("1"), log.count("2")}; got != [3]int{30, 0, 0} {
			t.Errorf("runs by replica: %v", got)
		}
		if who, err := all[2].Leader(t.Context()); who != "0" || err != nil {
			t.Errorf("Leader is %q, %v", who, err)
		}
		if err := all[1].IsLeader(t.Context()); !errors.Is(err, redlock.ErrNotLeader) {
			t.Errorf("IsLeader on a follower: %v", err)
		}
		resign(t, all)
	})
}

// Seen to fail when IsLeader asks Leader.
func TestElector_asks_no_node_per_run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		servers := redlocktest.Servers(1)
		c := newCandidate(t, servers, "0", func(context.Context) error { log.write("0"); return nil })
		synctest.Wait()
		before := servers[0].Batches()
		for range 1000 {
			if err := c.IsLeader(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := servers[0].Batches() - before; n != 0 {
			t.Errorf("1000 questions made %d calls to the node", n)
		}
		resign(t, []*candidate{c})
	})
}

// The task's context ends with the leadership, and the next leader comes only
// after the task has returned.
//
// Seen to fail when Task hands on gocron's context, and when lead does not wait
// for the tasks.
func TestElector_Task(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		var returned time.Time
		var cause error
		first := newCandidate(t, servers, "0", func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			cause = context.Cause(ctx)
			time.Sleep(10 * time.Second) // the rest of its work
			returned = time.Now()
			return nil
		})
		synctest.Wait()
		var began time.Time
		second := newCandidate(t, servers, "1", func(context.Context) error {
			if began.IsZero() {
				began = time.Now()
			}
			return nil
		})
		time.Sleep(1500 * time.Millisecond)
		first.Resign()
		time.Sleep(30 * time.Second)
		first.stop()
		synctest.Wait()
		if cause == nil || returned.IsZero() || began.Before(returned) {
			t.Errorf("the task ended with %v and returned at %v, the next began at %v", cause, returned, began)
		}
		resign(t, []*candidate{first, second})
	})
}

// A follower's task is not run, however it was started.
func TestElector_Task_of_a_follower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRedlock(t)
		e, err := gocronadapter.NewElector(l, "schedule")
		if err != nil {
			t.Fatal(err)
		}
		s := newGocron(t) // without the elector
		failed := make(chan error, 1)
		_, err = s.NewJob(everySecond(), e.Task(func(context.Context) error { t.Error("ran"); return nil }),
			gocron.WithEventListeners(gocron.AfterJobRunsWithError(func(_ uuid.UUID, _ string, err error) { failed <- err })))
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if err := <-failed; !errors.Is(err, gocronadapter.ErrNoLease) || !errors.Is(err, redlock.ErrNotLeader) {
			t.Error(err)
		}
		closeAll(t, l, s)
	})
}

func TestNewElector_refusals(t *testing.T) {
	l := newRedlock(t)
	for name, make := range map[string]func() (*gocronadapter.Elector, error){
		"no locker": func() (*gocronadapter.Elector, error) { return gocronadapter.NewElector(nil, "x") },
		"no name":   func() (*gocronadapter.Elector, error) { return gocronadapter.NewElector(l, "") },
		"without renewal": func() (*gocronadapter.Elector, error) {
			return gocronadapter.NewElector(l, "x", redlock.WithoutRenewal())
		},
	} {
		if e, err := make(); e != nil || !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}
