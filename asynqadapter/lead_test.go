package asynqadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// candidate is a replica that may lead.
type candidate struct {
	elector *redlock.Elector
	links   []driver.Node
	cancel  context.CancelFunc
	ended   chan struct{}
}

func campaign(t testing.TB, nodes []*redlocktest.Server, name string, lead func(context.Context) error) *candidate {
	t.Helper()
	c := &candidate{links: redlocktest.Nodes(nodes, name), ended: make(chan struct{})}
	locker, err := redlock.New(c.links, redlock.WithTTL(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	m, err := locker.NewMutex("scheduler")
	if err != nil {
		t.Fatal(err)
	}
	if c.elector, err = redlock.NewElector(m); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(c.ended)
		_ = c.elector.Run(ctx, lead)
	}()
	t.Cleanup(func() {
		c.cancel()
		<-c.ended
		_ = locker.Close(context.Background())
	})
	return c
}

func (c *candidate) hang() {
	for _, l := range c.links {
		l.(*redlocktest.Node).Hang()
	}
}

func (c *candidate) heal() {
	for _, l := range c.links {
		l.(*redlocktest.Node).Heal()
	}
}

func leading(t testing.TB, all []*candidate) *candidate {
	t.Helper()
	for _, c := range all {
		if c.elector.IsLeader(t.Context()) == nil {
			return c
		}
	}
	t.Fatal("nobody leads")
	return nil
}

// Three replicas with a stock scheduler. The leader is cut off from the nodes,
// not from the queue, the next one resigns, the third is stopped: each minute
// has one task all the same.
//
// Mutations: serve returning at once; without Shutdown; the factory called
// once (the second term fails to start).
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, nodes, seen, perMinute := newQueue(t), redlocktest.Servers(3), &events{}, newDiary()
		lead, err := asynqadapter.Lead(func() (*asynq.Scheduler, error) {
			s := asynq.NewScheduler(q, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel, PostEnqueueFunc: func(*asynq.TaskInfo, error) {
				perMinute.start(time.Now().Truncate(time.Minute))
			}})
			_, err := s.Register("* * * * *", asynq.NewTask("job", nil))
			return s, err
		}, asynqadapter.WithObserver(seen.observe))
		if err != nil {
			t.Fatal(err)
		}
		var all []*candidate
		for i := range 3 {
			all = append(all, campaign(t, nodes, fmt.Sprint("replica ", i), lead))
		}
		time.Sleep(3*time.Minute + 20*time.Second)
		cut := leading(t, all)
		cut.hang()
		time.Sleep(3 * time.Minute)
		leading(t, all).elector.Resign()
		time.Sleep(3 * time.Minute)
		leading(t, all).cancel()
		cut.heal()
		time.Sleep(3 * time.Minute)
		if got := perMinute.histogram(perMinute.started); got != "1x:12" || q.states("default") != "pending:12" || len(seen.all) > 0 {
			t.Errorf("tasks per minute %s, in the queue %q, reported %v; want 12 minutes with one", got, q.states("default"), seen.all)
		}
	})
}

// term is a Runner that takes its time to stop.
type term struct {
	log     *termLog
	who     string
	failing error
}

type termLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *termLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *termLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, ", ")
}

func (r *term) Start() error {
	r.log.add("start")
	return r.failing
}

func (r *term) Shutdown() {
	r.log.add("stop")
	time.Sleep(20 * time.Second)
	r.log.add("stopped")
}

// A leader that resigns is followed by another one only when its scheduler is
// down. Mutation: Shutdown in a goroutine.
func TestLead_handsOverInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, log := redlocktest.Servers(3), &termLog{}
		lead, err := asynqadapter.Lead(func() (*term, error) { return &term{log: log}, nil })
		if err != nil {
			t.Fatal(err)
		}
		var all []*candidate
		for i := range 2 {
			all = append(all, campaign(t, nodes, fmt.Sprint("replica ", i), lead))
		}
		time.Sleep(10 * time.Second)
		leading(t, all).elector.Resign()
		time.Sleep(30 * time.Second)
		if got := log.String(); got != "start, stop, stopped, start" {
			t.Error(got)
		}
	})
}

// Mutations for each row: the check left out; the event left out.
func TestLead_failed(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		factory func(*termLog) (*term, error)
		says    string
		log     string
	}{
		{"factory", func(*termLog) (*term, error) { return nil, broken }, "broken", ""},
		{"nil", func(*termLog) (*term, error) { return nil, nil }, "returned nil", ""},
		{"start", func(l *termLog) (*term, error) { return &term{log: l, failing: broken}, nil }, "fresh", "start"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, log := &events{}, &termLog{}
			lead, err := asynqadapter.Lead(func() (*term, error) { return c.factory(log) }, asynqadapter.WithObserver(seen.observe))
			if err != nil {
				t.Fatal(err)
			}
			if err = lead(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that mentions %q", err, c.says)
			}
			if seen.count(asynqadapter.LeadFailed) != 1 || log.String() != c.log {
				t.Errorf("reported %v, called %q", seen.all, log)
			}
		})
	}
	if _, err := asynqadapter.Lead[*term](nil); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("a nil factory gave %v", err)
	}
}

// A term that is over before the factory returns. Mutation: no check of term.Err.
func TestLead_over(t *testing.T) {
	log := &termLog{}
	lead, err := asynqadapter.Lead(func() (*term, error) { return &term{log: log}, nil })
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lead(over); err != nil || log.String() != "" {
		t.Errorf("got %v and %q, want nothing", err, log)
	}
}
