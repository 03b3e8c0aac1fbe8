package asynqadapter_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

// provider answers as its function does, which is told how often it was asked.
type provider struct {
	asked  int
	answer func(asked int) []*asynq.PeriodicTaskConfig
}

func (p *provider) GetConfigs() ([]*asynq.PeriodicTaskConfig, error) {
	p.asked++
	return p.answer(p.asked), nil
}

// Shutdown comes while Start waits for the provider: nothing is started, least of all with a client that is closed.
//
// Seen to fail when Start asked for a Shutdown only before it asked the provider.
func TestPeriodicTaskManager_Shutdown_duringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(int) []*asynq.PeriodicTaskConfig {
			time.Sleep(time.Minute)
			return []*asynq.PeriodicTaskConfig{each("* * * * *", "a")}
		}}
		m, err := asynqadapter.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{PeriodicTaskConfigProvider: p, RedisConnOpt: newQueue(t)})
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan error)
		go func() { started <- m.Start() }()
		time.Sleep(time.Second)
		m.Shutdown()
		if err := <-started; err == nil || !strings.Contains(err.Error(), "shut down") {
			t.Errorf("Start returned %v", err)
		}
		if entries := m.Entries(); len(entries) != 0 {
			t.Errorf("it has entries %v, whose names nobody frees", entries)
		}
	})
}

// Shutdown waits for a provider that hangs, and nothing is enqueued meanwhile.
//
// Seen to fail when the manager waited for the provider before it shut its scheduler down.
func TestPeriodicTaskManager_Shutdown_providerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, hang := newQueue(t), make(chan struct{})
		m := manage(t, q, &provider{answer: func(asked int) []*asynq.PeriodicTaskConfig {
			if asked > 1 {
				<-hang
			}
			return []*asynq.PeriodicTaskConfig{each("* * * * *", "a")}
		}})
		time.Sleep(2*time.Minute + 30*time.Second)
		ended := make(chan struct{})
		go func() { m.Shutdown(); close(ended) }()
		time.Sleep(10 * time.Minute)
		select {
		case <-ended:
			t.Error("Shutdown did not wait for GetConfigs")
		default:
		}
		if got := ticksOf(t, q, "default"); len(got) != 2 {
			t.Errorf("enqueued %q, want the two ticks before Shutdown", got)
		}
		close(hang)
		<-ended
	})
}

// A provider may end its goroutine, as t.FailNow does. The next sync calls it again.
//
// Seen to fail with GetConfigs on the goroutine of the syncs.
func TestPeriodicTaskManager_providerGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &events{}
		p := &provider{answer: func(asked int) []*asynq.PeriodicTaskConfig {
			if asked == 2 {
				runtime.Goexit()
			}
			return []*asynq.PeriodicTaskConfig{each("* * * * *", "a")}
		}}
		m := manage(t, newQueue(t), p, asynqadapter.WithObserver(seen.observe))
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if p.asked != 4 || seen.count(asynqadapter.SyncFailed) != 1 || len(m.Entries()) != 1 {
			t.Errorf("asked %d times, events %v, entries %v", p.asked, seen.all, m.Entries())
		}
	})
}

// Two managers of a process that give one name to different tasks would each
// lose what the other one enqueues. The name is free again when one of them drops it.
//
// Seen to fail when replace claimed no names, and when it did on managers' clients, which are always two.
func TestPeriodicTaskManager_sharedNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		other   *asynq.PeriodicTaskConfig
		refused bool
	}{
		{"the same work", each("* * * * *", "a", asynqadapter.Name("job")), false},
		{"another spec", each("*/2 * * * *", "a", asynqadapter.Name("job")), false}, // as within one manager
		{"another task", each("* * * * *", "b", asynqadapter.Name("job")), true},
		{"another queue", each("* * * * *", "b", asynqadapter.Name("job"), asynq.Queue("low")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, first, second, seen := newQueue(t), &configs{}, &configs{}, &events{}
				first.set(nil, each("* * * * *", "a", asynqadapter.Name("job")), each("@hourly", "a", asynqadapter.Name("job")))
				second.set(nil, c.other)
				manage(t, q, first)
				m := manage(t, q, second, asynqadapter.WithObserver(seen.observe))
				if got := seen.count(redlock.Refused) == 1; got != c.refused || c.refused == (len(m.Entries()) == 1) {
					t.Errorf("events %v, entries %v; want it refused: %v", seen.all, m.Entries(), c.refused)
				}
				first.set(nil)
				time.Sleep(25 * time.Second)
				if len(m.Entries()) != 1 {
					t.Error("refused though the other manager has dropped the name")
				}
			})
		})
	}
}

// Shutdown before Start frees names, as of a scheduler that is given up. If it is started all the same, it needs them.
//
// Seen to fail when Start claimed none.
func TestScheduler_Start_afterItsNamesWereFreed(t *testing.T) {
	client := link{newLedger(), 0}
	s, other := newScheduler(t, client, nil), newScheduler(t, client, nil)
	register(t, s, "@hourly", asynq.NewTask("cleanup", nil))
	s.Shutdown()
	register(t, other, "@daily", asynq.NewTask("cleanup", nil))
	if err := s.Start(); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("Start returned %v, though the name has another spec", err)
	}
	other.Shutdown()
	start(t, s)
}

// Each of two Shutdowns at a time returns when all is done: a program closes its client then.
//
// Seen to fail when the second one returned at once.
func TestScheduler_Shutdown_twice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := newLedger()
		s := newScheduler(t, link{ids, 3 * time.Second}, nil)
		register(t, s, "* * * * *", asynq.NewTask("job", nil))
		start(t, s)
		time.Sleep(time.Minute + time.Second)
		go s.Shutdown()
		synctest.Wait()
		s.Shutdown()
		if len(ids.ids()) != 1 {
			t.Error("it returned while the tick was being enqueued")
		}
	})
}
