package asynqadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"reflect"
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

// Scheduler enqueues periodic tasks, with the methods of asynq.Scheduler, and is meant
// to run on every replica. Each tick is enqueued once: its task ID is the entry's name
// and the tick, and asynq refuses an ID that is taken. There is no leader, and no gap
// when a replica dies.
//
// A replica does not enqueue a tick that is older than [WithLateness] by its own
// clock, and a finished task keeps its ID for three times the lateness
// (asynq.Retention; Register accepts no less than twice). So the clocks of replicas
// and workers, and the time from that check to Redis, may be off by the lateness.
//
// Within the lateness no tick is lost: a failed enqueue is retried, and ticks that
// passed while the process was paused are enqueued when it goes on. When the wall
// clock is set forward, as also on a machine that was suspended, only the newest tick
// of each entry is enqueued: a clock that skips an hour would otherwise release an
// hour of tasks at once. [WithNewestOnly] extends that to pauses and outages. When the
// clock is set back, the scheduler notices within a minute and goes on with the first
// tick after the new time.
//
// An ID is freed early, so that a late replica may enqueue the tick again, when the
// handler returns asynq.RevokeTask or an operator deletes the task. Replicas that
// disagree about the entry's queue enqueue a tick twice, as IDs are unique per queue.
// A failed task in the archive keeps only the ID of its own tick, so it never blocks a
// later one.
//
// Two services that share a queue must not share entry names, or they would share the
// ticks. Give the entries different [Name]s, or each service its own queue.
//
// A Scheduler is safe for concurrent use.
type Scheduler struct {
	client Enqueuer
	redis  any // equal for schedulers that enqueue to the same Redis
	opts   asynq.SchedulerOpts
	cfg    schedulerConfig

	ctx    context.Context // canceled by Shutdown
	cancel func()
	work   sync.WaitGroup // what Shutdown waits for

	mu       sync.Mutex
	entries  map[string]*entry
	departed map[string]*entry // removed within reloadLimit
	mirror   *asynq.Scheduler  // nil without a heartbeat
	warned   bool              // of the time zone
	timer    *time.Timer       // calls fire; nil before Start
	wakeAt   time.Time         // when it does, by the monotonic clock; zero until it first has
}

func (s *Scheduler) closed() bool  { return s.ctx.Err() != nil }
func (s *Scheduler) running() bool { return s.timer != nil && !s.closed() }

// NewScheduler returns a scheduler that enqueues through client. The caller closes
// client after Shutdown. Errors match redlock.ErrInvalid.
//
// opts are asynq's and may be nil:
//
//   - Location is the time zone of the specs, default UTC. With time.Local, replicas
//     with different TZ have different ticks and enqueue each; unless the machine is
//     on UTC there is a [Warning].
//   - Logger and LogLevel are used as [WithObserver] says.
//   - PreEnqueueFunc is called once per tick, with a task and options for that tick
//     alone. It may replace them in place. If the result does not pass Register's
//     checks, the tick is refused.
//   - PostEnqueueFunc is called once per tick with the outcome. On all replicas but
//     one its error is asynq.ErrTaskIDConflict.
//   - EnqueueErrorHandler is called only for a tick that this replica gave up.
//   - HeartbeatInterval (default 10 s) needs [WithHeartbeat], which shows the entries
//     in asynqmon.
//
// The callbacks run on the ticks' goroutines, concurrently when ticks are due
// together. They must not call Shutdown, which waits for them; that hangs in asynq's
// own scheduler, too.
func NewScheduler(client Enqueuer, opts *asynq.SchedulerOpts, more ...SchedulerOption) (*Scheduler, error) {
	s := &Scheduler{client: client, opts: optionsOf(opts), entries: map[string]*entry{}, departed: map[string]*entry{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.cfg, err = newSchedulerConfig(s.opts, more); err != nil {
		return nil, err
	}
	if isNil(client) {
		return nil, invalid("client is nil; make one with asynq.NewClient")
	}
	if s.opts.HeartbeatInterval != 0 && s.cfg.heartbeat == nil {
		return nil, invalid("HeartbeatInterval is %v, but there is no Redis to write it to; pass asynqadapter.WithHeartbeat, or list the entries with Entries", s.opts.HeartbeatInterval)
	}
	s.redis = cmp.Or[any](s.cfg.redis, client)
	if !reflect.ValueOf(s.redis).Comparable() { // checks the value: an interface inside may hold an incomparable one
		s.redis = s // as if it shared its Redis with no other
	}
	return s, nil
}

// optionsOf returns a copy of a scheduler's options, which may be nil, with a Location
// and a PostEnqueueFunc.
func optionsOf(opts *asynq.SchedulerOpts) (o asynq.SchedulerOpts) {
	if opts != nil {
		o = *opts
	}
	o.Location = cmp.Or(o.Location, time.UTC)
	if o.PostEnqueueFunc == nil {
		o.PostEnqueueFunc = func(*asynq.TaskInfo, error) {}
	}
	return o
}

// Register adds a task to be enqueued at each tick of cronspec. It may be called before
// or after Start. The ticks of "@every d" are the multiples of d since 1970 in UTC, on
// all replicas.
//
// The entry's ID is its name: the option [Name], or the task's type and, unless the
// payload is empty, a digest of it, which must then be the same on all replicas. A
// name is refused if the scheduler has it already, or if another Scheduler in the
// process has it for a different spec or task on the same client and queue.
// asynq.Unique, asynq.TaskID, asynq.Group and too short an asynq.Retention are
// refused, in opts and inside the task. After Shutdown every entry is refused. Errors
// match redlock.ErrInvalid.
//
// An entry that is registered again with the same name and spec within ten seconds of
// its Unregister goes on where it was, so a reload loses no tick.
func (s *Scheduler) Register(cronspec string, task *asynq.Task, opts ...asynq.Option) (entryID string, err error) {
	e, err := s.newEntry(cronspec, task, opts)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.entries[e.name]; other != nil {
		return "", invalid("the name %q is taken by an entry with spec %q; give one of them asynqadapter.Name(…), or replace it with Update", e.name, other.spec)
	}
	if err := s.claimName(e); err != nil {
		return "", err
	}
	s.add(e.name, e, s.moment())
	return e.name, nil
}

// Update replaces an entry, which keeps its ID. Due ticks of the old entry are
// enqueued; later ticks are the new entry's. If Update fails, the old entry stays.
func (s *Scheduler) Update(entryID, cronspec string, task *asynq.Task, opts ...asynq.Option) error {
	e, err := s.newEntry(cronspec, task, append(slices.Clone(opts), Name(entryID)))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, now := s.entries[entryID], s.moment() // one moment for both, so that no tick is lost between them
	if err := s.remove(entryID, now); err != nil {
		return err
	}
	if err = s.claimName(e); err != nil {
		_ = s.claimName(old) // just released, under this mutex
		e = old
	}
	s.add(entryID, e, now)
	return err
}

// Unregister removes an entry. Its due ticks are still enqueued.
func (s *Scheduler) Unregister(entryID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(entryID, s.moment())
}

// add adds an entry. s.mu must be held.
func (s *Scheduler) add(id string, e *entry, now moment) {
	continues := false
	if old := s.departed[id]; old != nil && old != e && !old.gone(now) { // old is e if an Update was refused
		e.progress, continues = old.progress, old.spec == e.spec
	}
	if !continues {
		e.begin(now)
	}
	delete(s.departed, id)
	s.entries[id] = e
	if s.running() {
		s.present(e, now.wall)
		s.wakeBy(e.next, now)
	}
}

// remove removes an entry and starts its due ticks. s.mu must be held.
func (s *Scheduler) remove(id string, now moment) error {
	e := s.entries[id]
	if e == nil {
		return invalid("there is no entry %q; pass an ID that Register returned", id)
	}
	s.retire(e, now)
	s.departed[id] = e
	delete(s.entries, id)
	return nil
}

// retire starts an entry's due ticks, if the scheduler runs, and makes it unknown to
// heartbeats, triggers and other schedulers. s.mu must be held.
func (s *Scheduler) retire(e *entry, now moment) {
	if s.running() {
		s.take(e, now)
	}
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
	e.releaseName()
	s.hide(e)
}

// present makes an entry known to the heartbeats and to triggers. It warns once when an
// entry follows the machine's time zone, which may differ between replicas. s.mu must be
// held.
func (s *Scheduler) present(e *entry, now time.Time) {
	s.show(e, now)
	s.listen(e)
	if s.warned || !ticks.FollowsLocal(e.schedule.activations.Next, now.In(e.schedule.location)) {
		return
	}
	s.warned = true
	err := fmt.Errorf("asynqadapter: entry %q follows %s; a replica in another time zone enqueues it at other times, so it runs more than once; "+
		"set asynq.SchedulerOpts.Location to a zone that all replicas have, or begin the spec with CRON_TZ=", e.name, ticks.Local(now))
	s.work.Go(func() { s.report(Warning, e.name, time.Time{}, err) })
}

// Entries lists the registered entries by their next ticks. Next is zero
// before Start.
func (s *Scheduler) Entries() []*asynq.SchedulerEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*asynq.SchedulerEntry, 0, len(s.entries))
	for _, e := range s.entries {
		listed := &asynq.SchedulerEntry{ID: e.name, Spec: e.spec, Task: e.task, Opts: slices.Clone(e.opts), Prev: e.previous}
		if s.running() {
			listed.Next = e.next
		}
		list = append(list, listed)
	}
	slices.SortFunc(list, func(a, b *asynq.SchedulerEntry) int {
		return cmp.Or(a.Next.Compare(b.Next), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Start begins to enqueue, from the next tick on. It returns an error if the scheduler
// is running or was shut down, or if another one has taken the name of an entry.
func (s *Scheduler) Start() error { return s.start() }

// start starts the scheduler and loops, which must end when s.ctx is done.
func (s *Scheduler) start(loops ...func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed():
		return errors.New("asynqadapter: the scheduler has been shut down; make a new one")
	case s.running():
		return errors.New("asynqadapter: the scheduler is already running")
	}
	for _, e := range s.entries { // a Shutdown before Start has freed their names
		if err := s.claimName(e); err != nil {
			return err
		}
	}
	s.makeMirror()
	s.timer = time.AfterFunc(0, s.fire)
	now := s.moment()
	clear(s.departed) // they had no ticks
	for _, e := range s.entries {
		e.begin(now)
		s.present(e, now.wall)
	}
	if s.mirror != nil {
		_ = s.mirror.Start() // fails only if running or shut down
	}
	for _, loop := range loops {
		s.work.Go(loop)
	}
	return nil
}

// Run calls Start, waits for SIGINT or SIGTERM, and calls Shutdown.
func (s *Scheduler) Run() error { return runUntilSignal(s.Start, s.Shutdown) }

func runUntilSignal(start func() error, shutdown func()) error {
	if err := start(); err != nil {
		return err
	}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	<-told.Done()
	shutdown()
	return nil
}

// Ping pings Redis through the client, as asynq.Scheduler does. It returns nil if the
// client has no Ping method.
func (s *Scheduler) Ping() error {
	if c, ok := s.client.(interface{ Ping() error }); ok {
		return c.Ping()
	}
	return nil
}

// Shutdown stops the scheduler, which cannot be started again. It tries each due tick
// once and waits for enqueues in progress. It does not retry failed ones: those ticks
// are left to the other replicas. Before Start, Shutdown only frees the entries'
// names.
func (s *Scheduler) Shutdown() {
	s.mu.Lock()
	mirror, now := s.mirror, s.moment()
	s.mirror = nil // asynq looks at all entries for each that is removed
	for _, e := range s.entries {
		s.retire(e, now)
	}
	if s.running() || s.cfg.managed {
		s.cancel()
	}
	s.mu.Unlock()
	s.work.Wait()
	if mirror != nil {
		mirror.Shutdown()
	}
}
