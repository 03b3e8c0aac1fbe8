package asynqadapter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
)

// DefaultSyncInterval is asynq's own.
const DefaultSyncInterval = 3 * time.Minute

// PeriodicTaskManager is asynq.PeriodicTaskManager for every replica: it asks a
// provider for the periodic tasks again and again and enqueues each tick of
// them once, as [Scheduler] does. There is no leader; when a replica dies, the
// others enqueue its ticks.
//
// An entry's name, from which the task IDs of its ticks are made, is that of
// the option [Name], else that of asynq.TaskID, else the task's type and a
// digest of its payload: so all replicas must be given the same payload. When a
// spec or option changes, replicas that have not synced yet share each tick
// with those that have; when a payload changes and the task has no Name, both
// enqueue theirs. Configs of one task that differ only in their specs are one
// task for an instant they have in common.
//
// A config that cannot be scheduled is reported as [redlock.Refused] at each
// sync, and the others are scheduled. A GetConfigs that fails, or returns a
// config that is nil or lacks its task or spec, fails Start; later it is
// reported as [SyncFailed], and the entries stay as they are.
//
// It is safe for concurrent use.
type PeriodicTaskManager struct {
	scheduler *Scheduler
	provider  asynq.PeriodicTaskConfigProvider
	interval  time.Duration
	client    *asynq.Client

	done    chan struct{}
	once    sync.Once
	syncing sync.WaitGroup
}

// NewPeriodicTaskManager returns a manager. Its opts are asynq's: a provider,
// RedisConnOpt or RedisUniversalClient, and a SyncInterval (default 3 min).
// SchedulerOpts means what it does for [NewScheduler]; heartbeats are written,
// so asynqmon lists the entries.
func NewPeriodicTaskManager(opts asynq.PeriodicTaskManagerOpts, more ...SchedulerOption) (*PeriodicTaskManager, error) {
	switch {
	case opts.PeriodicTaskConfigProvider == nil:
		return nil, invalid("PeriodicTaskConfigProvider is nil; it is what says which tasks there are")
	case opts.RedisConnOpt == nil && opts.RedisUniversalClient == nil:
		return nil, invalid("RedisConnOpt and RedisUniversalClient are nil; set the Redis that the servers use")
	case opts.SyncInterval < 0:
		return nil, invalid("SyncInterval is %v, must be positive, or 0 for %v", opts.SyncInterval, DefaultSyncInterval)
	}
	client, beat := connect(opts.RedisConnOpt, opts.RedisUniversalClient)
	s, err := NewScheduler(client, opts.SchedulerOpts, append([]SchedulerOption{func(c *schedulerConfig) { c.heartbeat = beat }}, more...)...)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	m := &PeriodicTaskManager{
		scheduler: s, provider: opts.PeriodicTaskConfigProvider, interval: opts.SyncInterval, client: client, done: make(chan struct{}),
	}
	if m.interval == 0 {
		m.interval = DefaultSyncInterval
	}
	return m, nil
}

func connect(r asynq.RedisConnOpt, c redis.UniversalClient) (*asynq.Client, heartbeat) {
	if c != nil {
		return asynq.NewClientFromRedisClient(c), heartbeatThrough(c)
	}
	return asynq.NewClient(r), heartbeatTo(r)
}

// Start asks the provider for the first time and begins to enqueue. It returns
// an error after Shutdown.
func (m *PeriodicTaskManager) Start() error {
	select {
	case <-m.done:
		return errors.New("asynqadapter: the manager has been shut down; make a new one")
	default:
	}
	if err := m.sync(); err != nil {
		return err
	}
	if err := m.scheduler.Start(); err != nil {
		return err
	}
	m.syncing.Go(func() {
		ticker := time.NewTicker(m.interval)
		defer ticker.Stop()
		for {
			select {
			case <-m.done:
				return
			case <-ticker.C:
				if err := m.sync(); err != nil {
					m.scheduler.cfg.observe.tell(redlock.Event{Kind: SyncFailed, Err: err})
				}
			}
		}
	})
	return nil
}

// Run is Start, and Shutdown once the process is told to end by SIGINT or
// SIGTERM.
func (m *PeriodicTaskManager) Run() error { return runUntilSignal(m.Start, m.Shutdown) }

// Shutdown stops for good, as that of [Scheduler] does. It waits for a
// GetConfigs that is under way.
func (m *PeriodicTaskManager) Shutdown() {
	m.once.Do(func() { close(m.done) })
	m.syncing.Wait()
	m.scheduler.Shutdown()
	_ = m.client.Close() // an error says that it is the caller's, or closed
}

// Entries lists the entries by their next ticks, as that of [Scheduler] does.
func (m *PeriodicTaskManager) Entries() []*asynq.SchedulerEntry { return m.scheduler.Entries() }

func (m *PeriodicTaskManager) sync() error {
	configs, err := m.provider.GetConfigs()
	if err != nil {
		return fmt.Errorf("asynqadapter: GetConfigs: %w", err)
	}
	for i, c := range configs {
		if c == nil || c.Task == nil || c.Cronspec == "" {
			return invalid("config %d of GetConfigs is nil or has no Task or no Cronspec; all entries stay as they are until it is mended", i)
		}
	}
	m.scheduler.replace(m.entries(configs))
	return nil
}

// entries are what the configs ask for, by all that tells one from another.
func (m *PeriodicTaskManager) entries(configs []*asynq.PeriodicTaskConfig) map[string]*entry {
	all := map[string]*entry{}
	for _, c := range configs {
		e, err := m.scheduler.newEntry(c.Cronspec, c.Task, named(c.Opts))
		if err != nil {
			m.scheduler.cfg.observe.tell(redlock.Event{Kind: redlock.Refused, Name: c.Task.Type(), Err: err})
			continue
		}
		all[e.spec+"\n"+e.signature()] = e
	}
	m.refuseRivals(all)
	return all
}

// refuseRivals drops entries whose ticks would be mistaken for those of
// another: same name and queue, and not the same task. All replicas drop the same.
func (m *PeriodicTaskManager) refuseRivals(all map[string]*entry) {
	first := map[string]string{}
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		e := all[key]
		id, signature := e.queue+"\n"+e.name, e.signature()
		if first[id] == "" {
			first[id] = signature
		}
		if first[id] != signature {
			delete(all, key)
			m.scheduler.cfg.observe.tell(redlock.Event{Kind: redlock.Refused, Name: e.name, Err: invalid(
				"the entry with spec %q has the name of another one with other options or another payload; give one of them asynqadapter.Name(…)", e.spec)})
		}
	}
}

// named turns TaskID, which would stop all ticks but the first, into a name.
func named(opts []asynq.Option) []asynq.Option {
	opts = slices.Clone(opts)
	for i, o := range opts {
		if o != nil && o.Type() == asynq.TaskIDOpt && !slices.ContainsFunc(opts, isName) {
			opts[i] = Name(o.Value().(string))
		}
	}
	return slices.DeleteFunc(opts, func(o asynq.Option) bool { return o != nil && o.Type() == asynq.TaskIDOpt })
}

func isName(o asynq.Option) bool { _, ok := o.(nameOption); return ok }

// signature is all of an entry but its spec.
func (e *entry) signature() string {
	var opts []string
	for _, o := range e.opts {
		opts = append(opts, o.String())
	}
	slices.Sort(opts)
	return e.name + "\n" + identity(e.task) + "\n" + strings.Join(opts, ",")
}

// replace makes wanted the entries: those that are there already go on, and
// what is due by those that are not wanted any more is enqueued.
func (s *Scheduler) replace(wanted map[string]*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.moment()
	for id := range s.entries {
		if wanted[id] == nil {
			_ = s.remove(id, now)
		}
	}
	for id, e := range wanted {
		if s.entries[id] == nil {
			s.add(id, e, now)
		}
	}
}
