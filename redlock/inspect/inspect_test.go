package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
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
