package asynqadapter

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// DefaultSyncInterval is the default SyncInterval of a [PeriodicTaskManager], as in asynq.
const DefaultSyncInterval = 3 * time.Minute

// PeriodicTaskManager is an asynq.PeriodicTaskManager that runs on every replica. It
// asks a provider for the periodic tasks at regular intervals and enqueues each of
// their ticks once, as [Scheduler] does. There is no leader: when a replica dies, the
// others enqueue its ticks.
//
// An entry's name is the option [Name], or asynq.TaskID, or the task's type and a
// digest of its payload, which must then be the same on all replicas. The task IDs
// of its ticks are made from the name. While a changed spec or option reaches the
// replicas, old and new share each common tick. While a changed payload does, and the
// task has no Name, both enqueue theirs. Two configs of one task with different specs
// enqueue it once at an instant they have in common.
//
// The same holds for two managers in one process. If they connect to Redis in the
// same way, they must not give one name to different tasks in one queue: the second
// task is refused until the first manager has dropped its own. One task with two
// specs is not refused, since a reload looks the same; give it two names if both
// specs are to enqueue it when they coincide.
//
// A config that cannot be scheduled is reported as [redlock.Refused] at each sync,
// and the others are scheduled. If GetConfigs fails, or returns a config that is nil
// or has no task or spec, Start fails; a later sync reports [SyncFailed], and the
// entries stay as they are.
//
// It is safe for concurrent use.
type PeriodicTaskManager struct {
	scheduler *Scheduler
	provider  asynq.PeriodicTaskConfigProvider
	interval  time.Duration
	client    *asynq.Client
}

// NewPeriodicTaskManager returns a manager. opts are asynq's: a provider, a
// RedisConnOpt or RedisUniversalClient, and a SyncInterval (default 3 min).
// SchedulerOpts are as for [NewScheduler]. The manager writes heartbeats, so asynqmon
// lists the entries. Errors match redlock.ErrInvalid.
func NewPeriodicTaskManager(opts asynq.PeriodicTaskManagerOpts, more ...SchedulerOption) (*PeriodicTaskManager, error) {
	switch {
	case opts.PeriodicTaskConfigProvider == nil:
		return nil, invalid("PeriodicTaskConfigProvider is nil; set the provider of the periodic tasks")
	case isNil(opts.RedisConnOpt) && isNil(opts.RedisUniversalClient):
		return nil, invalid("RedisConnOpt and RedisUniversalClient are nil; set the Redis that the servers use")
	case opts.SyncInterval < 0:
		return nil, invalid("SyncInterval is %v, must be positive, or 0 for %v", opts.SyncInterval, DefaultSyncInterval)
	}
	r := opts.RedisConnOpt
	if !isNil(opts.RedisUniversalClient) {
		r = shared{opts.RedisUniversalClient}
	}
	client := asynq.NewClient(r)
	s, err := NewScheduler(client, opts.SchedulerOpts, append([]SchedulerOption{func(c *schedulerConfig) { c.managed, c.redis, c.heartbeat = true, r, r }}, more...)...)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return &PeriodicTaskManager{s, opts.PeriodicTaskConfigProvider, cmp.Or(opts.SyncInterval, DefaultSyncInterval), client}, nil
}

// Start calls the provider and begins to enqueue. It returns an error when the
// provider fails, when the manager is running and after Shutdown.
func (m *PeriodicTaskManager) Start() error {
	if err := m.sync(); err != nil {
		return err
	}
	return m.scheduler.start(m.run)
}

func (m *PeriodicTaskManager) run() {
	for pause(m.scheduler.ctx, m.interval); !m.scheduler.closed(); pause(m.scheduler.ctx, m.interval) {
		if err := m.sync(); err != nil {
			m.scheduler.report(SyncFailed, "", time.Time{}, err)
		}
	}
}

// Run calls Start, waits for SIGINT or SIGTERM, and calls Shutdown.
func (m *PeriodicTaskManager) Run() error { return runUntilSignal(m.Start, m.Shutdown) }

// Shutdown stops the manager, as [Scheduler.Shutdown] does, and waits for a running
// GetConfigs. A manager cannot be started again.
func (m *PeriodicTaskManager) Shutdown() {
	m.scheduler.Shutdown()
	_ = m.client.Close() // fails only if it is closed already
}

// Entries lists the entries by their next ticks, as [Scheduler.Entries] does.
func (m *PeriodicTaskManager) Entries() []*asynq.SchedulerEntry { return m.scheduler.Entries() }

func (m *PeriodicTaskManager) sync() error {
	var configs []*asynq.PeriodicTaskConfig
	err := errors.New("it called runtime.Goexit")
	isolate(func() { configs, err = m.provider.GetConfigs() })
	if err != nil {
		return fmt.Errorf("asynqadapter: GetConfigs: %w", err)
	}
	for i, c := range configs {
		if c == nil || c.Task == nil || c.Cronspec == "" {
			return invalid("config %d of GetConfigs is nil or has no Task or no Cronspec; all entries stay as they are until the provider is fixed", i)
		}
	}
	for e, err := range m.scheduler.replace(m.entries(configs)) {
		m.scheduler.report(redlock.Refused, e.name, time.Time{}, err)
	}
	return nil
}

// entries returns the configs' entries by queue, name and spec. It refuses an entry
// that has the name and queue of a different task, as their task IDs would collide.
func (m *PeriodicTaskManager) entries(configs []*asynq.PeriodicTaskConfig) map[string]*entry {
	var all []*entry
	for _, c := range configs {
		e, err := m.scheduler.newEntry(c.Cronspec, c.Task, c.Opts)
		if err != nil {
			m.scheduler.report(redlock.Refused, c.Task.Type(), time.Time{}, err)
			continue
		}
		all = append(all, e)
	}
	// In this order all replicas refuse the same ones.
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.spec, b.spec), cmp.Compare(a.signature, b.signature))
	})
	first, wanted := map[string]string{}, map[string]*entry{}
	for _, e := range all {
		id := e.queue + "\n" + e.name
		if first[id] = cmp.Or(first[id], e.signature); first[id] != e.signature {
			m.scheduler.report(redlock.Refused, e.name, time.Time{},
				invalid("the entry with spec %q has the name of another entry with different options, headers or payload; give one of them asynqadapter.Name(…)", e.spec))
			continue
		}
		wanted[id+"\n"+e.spec] = e
	}
	return wanted
}

// replace makes wanted the entries. Unchanged entries go on, and the due ticks of
// removed ones are enqueued. It returns the entries whose names are taken.
func (s *Scheduler) replace(wanted map[string]*entry) map[*entry]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := map[*entry]error{}
	if s.closed() {
		return refused
	}
	now := s.moment()
	for id, e := range s.entries {
		if w := wanted[id]; w == nil || w.signature != e.signature {
			_ = s.remove(id, now)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		e := wanted[id]
		if s.entries[id] != nil {
			continue
		}
		if err := s.claimName(e); err == nil {
			s.add(id, e, now)
		} else {
			refused[e] = err
		}
	}
	return refused
}
