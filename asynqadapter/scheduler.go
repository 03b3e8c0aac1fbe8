package asynqadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/internal/ticks"
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
// Redis may be off by the lateness.
//
// Within the lateness no tick is lost: an enqueue that failed is tried again,
// and ticks that passed while the process was paused are enqueued when it goes
// on. When the wall clock is set forward, which includes a machine that was
// suspended, only the newest tick of each entry is, since a clock that skips an
// hour would otherwise release an hour of tasks at once; [WithNewestOnly]
// extends that to pauses and outages. When the clock is set back, the next tick
// is the first one after the new time, within a minute.
//
// What frees an ID early, and so may let a late replica enqueue a tick again:
// a handler that returns asynq.RevokeTask, deleting the task by hand, and
// replicas that disagree about the entry's queue, as IDs are unique per queue.
// A task that failed and sits in the archive keeps only the ID of its own tick,
// so it never blocks a later one.
//
// Two services that share a queue must not share entry names: they would share
// the ticks. Give the entries a [Name] of their own, or each service a queue.
//
// Its verbs are those of asynq.Scheduler. It is safe for concurrent use.
type Scheduler struct {
	client   Enqueuer
	redis    any // equal for schedulers that enqueue to the same one
	opts     asynq.SchedulerOpts
	cfg      schedulerConfig
	location *time.Location

	mu       sync.Mutex
	state    state
	entries  map[string]*entry
	departed map[string]*entry // entries that were unregistered just now
	mirror   *asynq.Scheduler  // nil without a heartbeat
	local    bool              // a warning of the time zone was given
	changed  chan struct{}     // holds one
	ctx      context.Context   // ends with Shutdown
	end      func()
	loops    sync.WaitGroup
	ticks    sync.WaitGroup
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
// Of opts, which may be nil, it honours Location (default UTC; under time.Local
// replicas with different TZ have different ticks, and enqueue each, so that one is
// told as a [Warning] where it is not UTC), Logger and
// LogLevel, and the callbacks. PreEnqueueFunc is called once per tick, with a
// task and options of that tick alone, which it may replace in place; the result
// must pass what Register checks, else the tick is refused. PostEnqueueFunc is
// called once per tick with the outcome: on all replicas but one its error is
// asynq.ErrTaskIDConflict. EnqueueErrorHandler is called only for a tick that
// this replica gave up. All are called on goroutines of the ticks, several at a
// time where ticks are due together. None of them may call Shutdown, which waits
// for them; asynq's own scheduler hangs there, too.
//
// HeartbeatInterval (default 10 s) needs [WithHeartbeat], which shows the entries
// in asynqmon.
func NewScheduler(client Enqueuer, opts *asynq.SchedulerOpts, more ...SchedulerOption) (*Scheduler, error) {
	cfg, err := newSchedulerConfig(more)
	if err != nil {
		return nil, err
	}
	if isNil(client) {
		return nil, invalid("client is nil; make one with asynq.NewClient")
	}
	s := &Scheduler{
		client: client, cfg: cfg, location: time.UTC, entries: map[string]*entry{}, departed: map[string]*entry{},
		changed: make(chan struct{}, 1),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.enqueuesTo(client)
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.HeartbeatInterval != 0 && cfg.heartbeat == nil {
		return nil, invalid("HeartbeatInterval is %v, but there is no Redis to write it to; pass asynqadapter.WithHeartbeat, or list the entries with Entries", s.opts.HeartbeatInterval)
	}
	if s.opts.Location != nil {
		s.location = s.opts.Location
	}
	if s.cfg.observe == nil {
		s.cfg.observe = defaultObserver(s.opts.Logger, s.opts.LogLevel)
	}
	return s, nil
}

// Register adds a task to be enqueued at each tick of cronspec, as
// asynq.Scheduler does, before or after Start. "@every d" has its ticks at the
// multiples of d since 1970 in UTC, on all replicas.
//
// The entry's ID is its name: that of the option [Name], else the task's type
// and, unless it is empty, a digest of its payload, which must then be the
// same on all replicas. A repeated name is an error, and so is one that another
// Scheduler of the process has for another spec or task on the same client and
// queue. After Shutdown every entry is refused. asynq.Unique, asynq.TaskID,
// asynq.Group and an asynq.Retention that is too short are refused wherever they
// were given.
//
// An entry that comes back with the same name and spec within ten seconds of
// its Unregister goes on where it was, so that a reload loses no tick.
func (s *Scheduler) Register(cronspec string, task *asynq.Task, opts ...asynq.Option) (entryID string, err error) {
	e, err := s.newEntry(cronspec, task, opts)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return "", invalid("entry %q comes after Shutdown, so it would never be enqueued; make a new Scheduler", e.name)
	}
	if other := s.entries[e.name]; other != nil {
		return "", invalid("the name %q is taken by an entry with spec %q; give one of them asynqadapter.Name(…), or replace it with Update", e.name, other.spec)
	}
	if err := s.claimName(e); err != nil {
		return "", err
	}
	s.add(e.name, e, s.moment())
	return e.name, nil
}

// Update replaces an entry: what is due by the old one is enqueued, and all
// later ticks are the new one's. The entry keeps its ID, whatever the task.
func (s *Scheduler) Update(entryID, cronspec string, task *asynq.Task, opts ...asynq.Option) error {
	e, err := s.newEntry(cronspec, task, append(slices.Clone(opts), Name(entryID)))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return invalid("the update of entry %q comes after Shutdown, so it would never be enqueued; make a new Scheduler", entryID)
	}
	old, now := s.entries[entryID], s.moment() // one moment: no tick falls between
	if err := s.remove(entryID, now); err != nil {
		return err
	}
	if err := s.claimName(e); err != nil {
		_ = s.claimName(old) // just released, under this mutex
		s.add(entryID, old, now)
		return err
	}
	s.add(entryID, e, now)
	return nil
}

// Unregister removes an entry. Ticks that are due, or being enqueued, are finished.
func (s *Scheduler) Unregister(entryID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(entryID, s.moment())
}

// add, remove and take are called with the mutex held.
func (s *Scheduler) add(id string, e *entry, now moment) {
	old := s.departed[id]
	delete(s.departed, id)
	reloaded := old != nil && now.own.Sub(old.seen.own) <= reloadLimit
	if reloaded {
		e.course = old.course
	}
	if !reloaded || old.spec != e.spec { // else a tick that fell between Unregister and Register is not lost
		e.begin(now)
	}
	s.entries[id] = e
	if s.state == running {
		s.present(e, now.wall)
	}
	s.wake()
}

func (s *Scheduler) remove(id string, now moment) error {
	e := s.entries[id]
	if e == nil {
		return invalid("no entry %q; Register returned its ID", id)
	}
	if s.state == running {
		s.take(e, now)
		s.departed[id] = e
	}
	delete(s.entries, id)
	e.deafen()
	s.releaseName(e)
	s.hide(e)
	return nil
}

// present makes an entry known: to the heartbeats, to triggers, and by a warning of its
// time zone. It is called with the mutex held.
func (s *Scheduler) present(e *entry, now time.Time) {
	s.show(e, now)
	s.listen(e)
	s.checkZone(e, now)
}

// checkZone warns once of an entry that follows the time zone of the machine,
// which may be another one on another replica.
func (s *Scheduler) checkZone(e *entry, now time.Time) {
	if s.local || !ticks.FollowsLocal(e.schedule.activations.Next, now.In(e.schedule.location)) {
		return
	}
	s.local = true
	s.reportSoon(Warning, e, fmt.Errorf("asynqadapter: entry %q follows %s; a replica with another one enqueues it at other instants, and then it runs more than once; "+
		"set asynq.SchedulerOpts.Location to a zone that all replicas have, or begin the spec with CRON_TZ=", e.name, ticks.Local(now)))
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
// shut down. Ticks before Start are not enqueued.
func (s *Scheduler) Start() error { return s.start(s.run) }

// start begins loops that end with Shutdown.
func (s *Scheduler) start(loops ...func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case running:
		return errors.New("asynqadapter: the scheduler is already running")
	case closed:
		return errors.New("asynqadapter: the scheduler has been shut down; make a new one")
	}
	for _, e := range s.entries { // a Shutdown before Start has freed their names
		if err := s.claimName(e); err != nil {
			return err
		}
	}
	s.makeMirror()
	s.state = running
	now := s.moment()
	for _, e := range s.entries {
		e.begin(now)
		s.present(e, now.wall)
	}
	if s.mirror != nil {
		_ = s.mirror.Start() // it fails for one that runs or was shut down
	}
	for _, loop := range loops {
		s.loops.Go(loop)
	}
	return nil
}

// Run is Start, and Shutdown once the process is told to end by SIGINT or
// SIGTERM.
func (s *Scheduler) Run() error {
	return runUntilSignal(s.Start, s.Shutdown)
}

func runUntilSignal(start func() error, shutdown func()) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(told)
	if err := start(); err != nil {
		return err
	}
	<-told
	shutdown()
	return nil
}

// Ping asks the client's Redis for an answer, as asynq.Scheduler does.
func (s *Scheduler) Ping() error {
	if c, ok := s.client.(interface{ Ping() error }); ok {
		return c.Ping()
	}
	return nil
}

// Shutdown stops for good. It tries each tick that is due once and waits for
// enqueues that are under way, not for repeating those that fail: these ticks
// are left to the other replicas. Before Start it frees the entries' names.
func (s *Scheduler) Shutdown() {
	s.mu.Lock()
	for _, e := range s.entries {
		e.deafen()
		s.releaseName(e)
		s.hide(e) // asynq would ask Redis to clear the history of each, which it does not have
	}
	if s.state == running {
		s.state = closed
		s.end()
	}
	mirror := s.mirror
	s.mu.Unlock()
	s.loops.Wait() // they start ticks
	s.ticks.Wait()
	if mirror != nil {
		mirror.Shutdown()
	}
}
