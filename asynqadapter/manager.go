package asynqadapter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"

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
// That is so for two managers of a process as well. If they connect in the same
// way, they must not give one name to different tasks in one queue: the second is
// refused until the first has dropped it. The same task with two specs is not
// refused, since that is also what a reload looks like; give it two names if both
// specs shall enqueue it when they coincide.
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
}

// NewPeriodicTaskManager returns a manager. Its opts are asynq's: a provider,
// RedisConnOpt or RedisUniversalClient, and a SyncInterval (default 3 min).
// SchedulerOpts means what it does for [NewScheduler]; heartbeats are written,
// so asynqmon lists the entries.
func NewPeriodicTaskManager(opts asynq.PeriodicTaskManagerOpts, more ...SchedulerOption) (*PeriodicTaskManager, error) {
	switch {
	case opts.PeriodicTaskConfigProvider == nil:
		return nil, invalid("PeriodicTaskConfigProvider is nil; it is what says which tasks there are")
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
	s, err := NewScheduler(client, opts.SchedulerOpts, append([]SchedulerOption{func(c *schedulerConfig) { c.managed, c.heartbeat = true, r }}, more...)...)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	s.enqueuesTo(r)
	m := &PeriodicTaskManager{scheduler: s, provider: opts.PeriodicTaskConfigProvider, interval: opts.SyncInterval, client: client}
	if m.interval == 0 {
		m.interval = DefaultSyncInterval
	}
	return m, nil
}

// Start asks the provider for the first time and begins to enqueue. It returns
// an error after Shutdown.
func (m *PeriodicTaskManager) Start() error {
	if err := m.sync(); err != nil {
		return err
	}
	return m.scheduler.start(m.scheduler.run, m.run)
}

func (m *PeriodicTaskManager) run() {
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		select {
		case <-m.scheduler.ctx.Done():
			return
		case <-ticker.C:
			if err := m.sync(); err != nil {
				m.scheduler.cfg.observe.tell(redlock.Event{Kind: SyncFailed, Err: err})
			}
		}
	}
}

// Run is Start, and Shutdown once the process is told to end by SIGINT or
// SIGTERM.
func (m *PeriodicTaskManager) Run() error { return runUntilSignal(m.Start, m.Shutdown) }

// Shutdown stops for good, as that of [Scheduler] does. It waits for a
// GetConfigs that is under way.
func (m *PeriodicTaskManager) Shutdown() {
	m.scheduler.seal()
	m.scheduler.Shutdown()
	_ = m.client.Close() // an error says that it is closed
}

// Entries lists the entries by their next ticks, as that of [Scheduler] does.
func (m *PeriodicTaskManager) Entries() []*asynq.SchedulerEntry { return m.scheduler.Entries() }

func (m *PeriodicTaskManager) sync() error {
	configs, err := m.configs()
	if err != nil {
		return fmt.Errorf("asynqadapter: GetConfigs: %w", err)
	}
	for i, c := range configs {
		if c == nil || c.Task == nil || c.Cronspec == "" {
			return invalid("config %d of GetConfigs is nil or has no Task or no Cronspec; all entries stay as they are until it is mended", i)
		}
	}
	for _, e := range m.scheduler.replace(m.entries(configs)) {
		m.scheduler.cfg.observe.tell(e)
	}
	return nil
}

func (m *PeriodicTaskManager) configs() (all []*asynq.PeriodicTaskConfig, err error) {
	err = errors.New("it called runtime.Goexit")
	apart(func() { all, err = m.provider.GetConfigs() })
	return all, err
}

// entries are what the configs ask for, by what makes the IDs of their ticks and by
// spec. It refuses those whose ticks would be mistaken for others': same name and
// queue, and not the same task.
func (m *PeriodicTaskManager) entries(configs []*asynq.PeriodicTaskConfig) map[string]*entry {
	refuse := func(name string, err error) {
		m.scheduler.cfg.observe.tell(redlock.Event{Kind: redlock.Refused, Name: name, Err: err})
	}
	var all []*entry
	for _, c := range configs {
		e, err := m.scheduler.newEntry(c.Cronspec, c.Task, c.Opts)
		if err != nil {
			refuse(c.Task.Type(), err)
			continue
		}
		all = append(all, e)
	}
	// All replicas refuse the same ones.
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.spec, b.spec), cmp.Compare(a.signature, b.signature))
	})
	first, wanted := map[string]string{}, map[string]*entry{}
	for _, e := range all {
		id := e.queue + "\n" + e.name
		if first[id] == "" {
			first[id] = e.signature
		}
		if first[id] != e.signature {
			refuse(e.name, invalid("the entry with spec %q has the name of another one with other options, headers or payload; give one of them asynqadapter.Name(…)", e.spec))
			continue
		}
		wanted[id+"\n"+e.spec] = e
	}
	return wanted
}

// sign returns all of an entry but its spec.
func (e *entry) sign() string {
	return fmt.Sprintf("%q", []any{e.name, identity(e.task), e.task.Headers(), texts(optionsInside(e.task)), texts(e.opts)})
}

func texts(opts []asynq.Option) (all []string) {
	for _, o := range opts {
		all = append(all, o.String())
	}
	slices.Sort(all)
	return all
}

// seal has a Start that has not come yet, or still asks the provider, fail.
func (s *Scheduler) seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == ready {
		s.state = closed
	}
}

// replace makes wanted the entries: those that are there already go on, and
// what is due by those that are not wanted any more is enqueued. It returns
// events about those whose names are taken.
func (s *Scheduler) replace(wanted map[string]*entry) (refused []redlock.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return nil
	}
	now := s.moment()
	for id, e := range s.entries {
		if w := wanted[id]; w == nil || w.signature != e.signature {
			_ = s.remove(id, now)
		}
	}
	for id, e := range wanted {
		if s.entries[id] != nil {
			continue
		}
		if err := s.claimName(e); err != nil {
			refused = append(refused, redlock.Event{Kind: redlock.Refused, Name: e.name, Err: err})
			continue
		}
		s.add(id, e, now)
	}
	return refused
}
