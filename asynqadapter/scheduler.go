package asynqadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

// How long a finished task keeps its ID, in multiples of the lateness: the
// default, and the least that Register accepts.
const (
	retentionFactor = 3
	leastRetention  = 2
)

// Enqueuer is the part of *asynq.Client that a [Scheduler] uses.
type Enqueuer interface {
	EnqueueContext(ctx context.Context, task *asynq.Task, opts ...asynq.Option) (*asynq.TaskInfo, error)
}

var _ Enqueuer = (*asynq.Client)(nil)

// Scheduler enqueues periodic tasks and is meant to run on every replica: each
// tick is enqueued once, because its task ID is the entry's name and the tick,
// and asynq enqueues an ID at most once as long as it is taken. There is no
// leader, and no gap when a replica dies.
//
// The rule that makes it once: a replica does not enqueue a tick that is older
// than [WithLateness] by its own clock, and a finished task keeps its ID
// (asynq.Retention) for three times that, or what Register is given, but no
// less than twice. So clocks, of workers too, and the way from that check to
// Redis may be off by the lateness. Within it an enqueue that failed is tried
// again, and ticks that passed while the process was paused are made up for.
//
// What frees an ID early, and so may let a late replica enqueue a tick again:
// a handler that returns asynq.RevokeTask, deleting the task by hand, and
// replicas that disagree about the entry's queue, as IDs are unique per queue.
//
// Its verbs are those of asynq.Scheduler. It is safe for concurrent use.
type Scheduler struct {
	client   Enqueuer
	opts     asynq.SchedulerOpts
	cfg      config
	location *time.Location

	mu      sync.Mutex
	state   state
	entries map[string]*entry
	changed chan struct{} // holds one
	done    chan struct{}
	loop    sync.WaitGroup
	ticks   sync.WaitGroup
}

type state int

const (
	ready state = iota
	running
	closed
)

// NewScheduler returns a scheduler that enqueues through client, which stays
// the caller's to close, after Shutdown.
//
// Of opts, which may be nil, it honours Location (default UTC), Logger and
// LogLevel, and the callbacks. PreEnqueueFunc is called once per tick, with
// options of that tick alone, which it may replace in place; the task is that of
// all ticks, and not to be changed. PostEnqueueFunc is called once per tick with the
// outcome: on all replicas but one its error is asynq.ErrTaskIDConflict.
// EnqueueErrorHandler is called only for a tick that this replica gave up.
// HeartbeatInterval is refused, since the heartbeats that list a scheduler's
// entries in asynqmon are internal to asynq: use [Scheduler.Entries].
//
// It knows [WithLateness], [WithClock] and [WithObserver].
func NewScheduler(client Enqueuer, opts *asynq.SchedulerOpts, more ...Option) (*Scheduler, error) {
	cfg, err := newConfig("NewScheduler", []string{"WithLateness", "WithClock", "WithObserver"}, more)
	if err != nil {
		return nil, err
	}
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, invalid("client is nil; make one with asynq.NewClient")
	}
	s := &Scheduler{
		client: client, cfg: cfg, location: time.UTC,
		entries: map[string]*entry{}, changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.HeartbeatInterval != 0 {
		return nil, invalid("HeartbeatInterval is %v; this scheduler writes no heartbeats, leave it out and list its entries with Entries", s.opts.HeartbeatInterval)
	}
	if s.opts.Location != nil {
		s.location = s.opts.Location
	}
	if s.opts.Logger != nil && !slices.Contains(cfg.used, "WithObserver") {
		s.cfg.observe = logToAsynq(s.opts.Logger, s.opts.LogLevel)
	}
	return s, nil
}

// Register adds a task to be enqueued at each tick of cronspec, as
// asynq.Scheduler does, before or after Start. "@every d" has its ticks at the
// multiples of d since 1970 in UTC, on all replicas.
//
// The entry's ID is its name: that of the option [Name], else the task's type
// and, unless it is empty, a digest of its payload, which must then be the
// same on all replicas. A repeated name is an error, and so are
// asynq.Unique, asynq.TaskID, asynq.Group and an asynq.Retention that is too
// short, also when they were given to asynq.NewTask.
func (s *Scheduler) Register(cronspec string, task *asynq.Task, opts ...asynq.Option) (entryID string, err error) {
	e, err := s.newEntry(cronspec, task, opts)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.entries[e.name]; other != nil {
		return "", invalid("the name %q is taken by an entry with spec %q; give one of them asynqadapter.Name(…)", e.name, other.spec)
	}
	s.entries[e.name] = e
	e.next = e.schedule.after(s.cfg.now())
	s.wake()
	return e.name, nil
}

// Unregister removes an entry. Ticks that are being enqueued are finished.
func (s *Scheduler) Unregister(entryID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[entryID] == nil {
		return invalid("no entry %q; Register returned its ID", entryID)
	}
	delete(s.entries, entryID)
	return nil
}

// Entries lists the registered entries by their next ticks. Next is zero
// before Start.
func (s *Scheduler) Entries() []*asynq.SchedulerEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*asynq.SchedulerEntry, 0, len(s.entries))
	for _, e := range s.entries {
		listed := &asynq.SchedulerEntry{ID: e.name, Spec: e.spec, Task: e.task, Opts: slices.Clone(e.opts), Prev: e.previous}
		if s.state == running {
			listed.Next = e.next
		}
		list = append(list, listed)
	}
	slices.SortFunc(list, func(a, b *asynq.SchedulerEntry) int {
		return cmp.Or(a.Next.Compare(b.Next), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Start begins to enqueue. It returns an error when the scheduler runs or was
// shut down. Ticks before Start are not made up for.
func (s *Scheduler) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case running:
		return errors.New("asynqadapter: the scheduler is already running")
	case closed:
		return errors.New("asynqadapter: the scheduler has been shut down; make a new one")
	}
	s.state = running
	now := s.cfg.now()
	for _, e := range s.entries {
		e.next = e.schedule.after(now)
	}
	s.loop.Go(s.run)
	return nil
}

// Run is Start, and Shutdown once the process is told to end by SIGINT or
// SIGTERM.
func (s *Scheduler) Run() error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(told)
	if err := s.Start(); err != nil {
		return err
	}
	<-told
	s.Shutdown()
	return nil
}

// Shutdown stops for good. It waits for enqueues that are under way, not for
// repeating those that fail: these ticks are left to the other replicas.
func (s *Scheduler) Shutdown() {
	s.mu.Lock()
	if s.state != running {
		s.mu.Unlock()
		return
	}
	s.state = closed
	s.mu.Unlock()
	close(s.done)
	s.loop.Wait()
	s.ticks.Wait()
}

// maxSleep bounds how long a step of the wall clock goes unnoticed.
const maxSleep = time.Minute

func (s *Scheduler) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-timer.C:
		case <-s.changed:
		}
		timer.Reset(min(s.fire(), maxSleep))
	}
}

func (s *Scheduler) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// fire starts what is due and returns how long nothing will be.
func (s *Scheduler) fire() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Without the monotonic reading: ticks are instants of the wall clock.
	now := s.cfg.now().Round(0)
	pause := maxSleep
	for _, e := range s.entries {
		ticks, late := e.due(now, now.Add(-s.cfg.lateness))
		if late.count > 0 {
			s.ticks.Go(func() {
				s.giveUp(e, late.newest, e.opts, fmt.Errorf("%w: %d passed while this process was paused", ErrLate, late.count))
			})
		}
		for _, tick := range ticks {
			s.ticks.Go(func() { s.enqueue(e, tick) })
		}
		if !e.next.IsZero() {
			pause = min(pause, e.next.Sub(now))
		}
	}
	return max(pause, 0)
}
