package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Mutations that were made and seen to fail here: lastHolder that asks though a
// history tells, Show without ZRANGE, Jobs that lists with Names' pattern.
func TestInspector_jobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		locker, err := redlock.New(redlocktest.Nodes(servers, "a"), redlock.WithHolder("a"), redlock.WithObserver(func(redlock.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close(context.Background())
		inspector, err := inspect.New(redlocktest.Nodes(servers, "ops"))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := locker.NewMutex("app:lock")
		if _, err := m.TryLock(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"app:job", "app:{tag}", "other:job"} {
			job, _ := locker.NewJob(name)
			if err := job.Run(t.Context(), time.Now(), func(context.Context) error { return errors.New("disk full") }); err == nil {
				t.Fatal("the run did not fail")
			}
		}
		for _, s := range servers {
			s.Do("SET", "app:data", "something else")
		}
		synctest.Wait()
		for prefix, want := range map[string]string{"": "[app:job app:{tag} other:job]", "app:": "[app:job app:{tag}]", "app:job": "[app:job]", "none": "[]"} {
			if names, more, err := inspector.Jobs(t.Context(), prefix, 10); fmt.Sprint(names) != want || more || err != nil {
				t.Errorf("jobs with %q: %v %v %v, want %s", prefix, names, more, err, want)
			}
		}
		if names, more, _ := inspector.Jobs(t.Context(), "", 2); len(names) != 2 || !more {
			t.Errorf("limit 2: %v, more=%v", names, more)
		}
		before := servers[0].Commands("HKEYS")
		info, err := inspector.Show(t.Context(), "app:job")
		if err != nil || info.LastRun == nil || info.LastRun.Result != "failed" || info.LastRun.Error != "disk full" || info.LastHolder != "a" {
			t.Errorf("%v: %+v", err, info)
		}
		if n := servers[0].Commands("HKEYS") - before; n != 0 {
			t.Errorf("who ran the last tick was asked for %d times, though the history tells", n)
		}
	})
}

// If the newest tick has no key, under take-over or after the retention, its claimer is found in the history, even behind a
// newer run.
func TestInspector_Show_lastHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		inspector, err := inspect.New(redlocktest.Nodes(servers, "ops"))
		if err != nil {
			t.Fatal(err)
		}
		job := func(holder, name string, opts ...redlock.JobOption) *redlock.Job {
			locker, err := redlock.New(redlocktest.Nodes(servers, holder), redlock.WithHolder(holder))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = locker.Close(context.Background()) })
			j, err := locker.NewJob(name, opts...)
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		nothing := func(context.Context) error { return nil }
		now := time.Now()
		err1 := job("a", "triggered").Run(t.Context(), now, nothing)
		err2 := job("a", "take-over", redlock.WithTakeover()).Run(t.Context(), now, nothing)
		lease, err3 := job("b", "take-over", redlock.WithTakeover()).Claim(t.Context(), now.Add(time.Second))
		time.Sleep(time.Hour)
		err4 := job("b", "triggered").Triggered().Run(t.Context(), now.Add(time.Hour), nothing)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, name := range []string{"triggered", "take-over"} {
			info, err := inspector.Show(t.Context(), name)
			if err != nil || !info.LastTick.Equal(now.Truncate(time.Millisecond)) || info.LastHolder != "a" || info.LastRun.Holder != "b" {
				t.Errorf("%s: %v, %+v, want a for the last tick", name, err, info)
			}
		}
		_ = lease.Unlock(t.Context())
	})
}

// A prefix may end, and a name may begin, like a part of a companion key.
func TestInspector_Names_likeCompanions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		locker, err := redlock.New(redlocktest.Nodes(servers, "a"), redlock.WithPrefix("app:redtick:"))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close(context.Background())
		for _, name := range []string{"tickets", "{last}orders", "waiting:redtick:tick"} {
			m, _ := locker.NewMutex(name)
			if _, err := m.TryLock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		job, _ := locker.NewJob("fences")
		if err := job.Run(t.Context(), time.Now(), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		inspector, err := inspect.New(redlocktest.Nodes(servers, "ops"), inspect.WithPrefix("app:redtick:"))
		if err != nil {
			t.Fatal(err)
		}
		if names, _, err := inspector.Names(t.Context(), "", 10); fmt.Sprint(names) != "[fences tickets waiting:redtick:tick {last}orders]" || err != nil {
			t.Errorf("names: %v, %v", names, err)
		}
		before := servers[0].Commands("GETRANGE")
		if names, _, err := inspector.Jobs(t.Context(), "", 10); fmt.Sprint(names) != "[fences]" || err != nil {
			t.Errorf("jobs: %v, %v", names, err)
		}
		if n := servers[0].Commands("GETRANGE") - before; n > 0 {
			t.Errorf("%d values were read to list the jobs", n)
		}
	})
}

// client is a node whose first Do must connect, and whose key "moved" has moved to another server.
type client struct {
	driver.Node
	connected bool
}

func (c *client) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	if !c.connected {
		time.Sleep(100 * time.Millisecond)
		c.connected = true
	}
	replies := c.Node.Do(ctx, commands)
	for k, command := range commands {
		if command[0] == "GETRANGE" && command[1] == "moved" {
			replies[k] = driver.Reply{Err: errors.New("ASK 1 127.0.0.1:7001")}
		}
	}
	return replies
}

func newClients(t *testing.T) (*inspect.Inspector, []*redlocktest.Server) {
	servers := redlocktest.Servers(3)
	nodes := redlocktest.Nodes(servers, "ops")
	for k, n := range nodes {
		n.(*redlocktest.Node).Delay(5*time.Millisecond, 5*time.Millisecond)
		nodes[k] = &client{Node: n}
	}
	inspector, err := inspect.New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	return inspector, servers
}

func TestInspector_Names_keyMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inspector, servers := newClients(t)
		for _, s := range servers {
			s.Do("SET", "moved", "data")
		}
		if names, _, err := inspector.Names(t.Context(), "", 10); err != nil {
			t.Errorf("%v, %v", names, err)
		}
	})
}

func TestInspector_Nodes_connectFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inspector, _ := newClients(t)
		for _, n := range inspector.Nodes(t.Context()) {
			if n.Err != nil || n.RoundTrip != 10*time.Millisecond || n.ClockOffset != 0 {
				t.Errorf("a round trip of %v and a clock that is %v off (%v)", n.RoundTrip, n.ClockOffset, n.Err)
			}
		}
	})
}

// All nodes are scanned in the time of one.
func TestInspector_Jobs_atOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inspector, _ := newClients(t)
		inspector.Nodes(t.Context()) // connects
		start := time.Now()
		if _, _, err := inspector.Jobs(t.Context(), "", 10); err != nil || time.Since(start) > 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestInspector_Show_foreign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		inspector, err := inspect.New(redlocktest.Nodes(servers, "ops"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range servers {
			s.Do("SET", "stuck", "a/b")
			s.Do("HSET", "data", "a", "b")
		}
		if info, err := inspector.Show(t.Context(), "stuck"); err != nil || info.String() != `"stuck" is held by a and does not expire` {
			t.Errorf("%v, %v", info, err)
		}
		if info, err := inspector.Show(t.Context(), "data"); err != nil || info.Token != "" || info.Votes[2].Err == nil {
			t.Errorf("%+v, %v, want votes with the reason why it cannot be locked", info, err)
		}
	})
}

// A pause of a name that no job can have would seem to work, and a trigger of it would wait in vain.
func TestInspector_refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inspector, err := inspect.New(redlocktest.Nodes(redlocktest.Servers(1), "ops"), inspect.WithPrefix("app:"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inspect.New(redlocktest.Nodes(redlocktest.Servers(1), "ops"), inspect.WithPrefix(""), nil); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "option 2 is nil") {
			t.Error(err)
		}
		ctx, start := t.Context(), time.Now()
		for name, reason := range map[string]string{"": "name is empty, must have 1 to 1024 bytes", "a{b": "leave braces out"} {
			_, triggered := inspector.Trigger(ctx, name, "ops")
			for op, err := range map[string]error{
				"trigger": triggered, "pause": inspector.Pause(ctx, name, inspect.Pause{}),
				"resume": inspector.Resume(ctx, name), "forget": inspector.Forget(ctx, name)} {
				if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), reason) {
					t.Errorf("%s of %q: %v", op, name, err)
				}
			}
		}
		if _, _, err := inspector.Names(ctx, "", 0); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "limit is 0, must be at least 1") {
			t.Errorf("no names: %v", err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("that took %v", took)
		}
	})
}
