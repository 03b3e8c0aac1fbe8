package asynqadapter

import (
	"maps"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/hibiken/asynq"
)

// Stamp makes a stock asynq.Scheduler write the tick into the headers of the
// tasks it enqueues, for [OncePerTick] and [TickOf]:
//
//	stamp := asynqadapter.NewStamp(&asynq.SchedulerOpts{Location: berlin})
//	scheduler := asynq.NewScheduler(redis, stamp.SchedulerOpts())
//	task := asynq.NewTaskWithHeaders("report", nil, map[string]string{})
//	id, err := stamp.Register(scheduler, "*/5 * * * *", task)
//
// The tick is the newest activation of the spec when the scheduler gets to the
// task. So a process that is paused for longer than the interval puts a later
// tick on an earlier task. "@every d" of a stock scheduler counts from the
// start of its process and has no tick that replicas share; the task gets the
// newest multiple of d since 1970: one run in each slot of length d, but less or
// more than d apart.
//
// One task is enqueued at a time, since asynq has tasks share their headers.
// A Stamp belongs to one scheduler. It is safe for concurrent use.
type Stamp struct {
	opts     asynq.SchedulerOpts
	location *time.Location

	bound     sync.Map   // weak.Pointer[asynq.Task] -> schedule
	enqueuing sync.Mutex // held from PreEnqueueFunc to PostEnqueueFunc
}

// NewStamp returns a stamp for a scheduler with these options, which may be nil.
func NewStamp(opts *asynq.SchedulerOpts) *Stamp {
	s := &Stamp{location: time.UTC}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Location != nil {
		s.location = s.opts.Location
	}
	return s
}

// SchedulerOpts returns the options to make the scheduler with. Callbacks of
// the options given to [NewStamp] are called too.
func (s *Stamp) SchedulerOpts() *asynq.SchedulerOpts {
	opts := s.opts
	opts.PreEnqueueFunc, opts.PostEnqueueFunc = s.before, s.after
	return &opts
}

// Register registers task with the scheduler so that it is stamped. The task
// must have headers, so it is made with asynq.NewTaskWithHeaders and a map that
// is not nil. asynq.TaskID, asynq.Unique and asynq.Group are refused as they are
// by [Scheduler]'s Register: they make the tasks of different ticks block each
// other, and with TaskID one that failed and is archived blocks all later ones.
func (s *Stamp) Register(scheduler *asynq.Scheduler, cronspec string, task *asynq.Task, opts ...asynq.Option) (entryID string, err error) {
	if scheduler == nil {
		return "", invalid("scheduler is nil; make one with asynq.NewScheduler and the options SchedulerOpts returns")
	}
	if task == nil || task.Headers() == nil {
		return "", invalid("task is nil or has no headers to put the tick in; make it with asynq.NewTaskWithHeaders(type, payload, map[string]string{})")
	}
	if err := checkTask(task, opts); err != nil {
		return "", err
	}
	known, _ := readOptions(task, opts, false)
	if err := known.checkID(identity(task)); err != nil {
		return "", err
	}
	spec, err := parseSpec(cronspec, s.location)
	if err != nil {
		return "", err
	}
	if spec.after(time.Now()).IsZero() {
		return "", invalid("spec %q has no activation in the next five years", cronspec)
	}
	// A task may be registered twice; its copy is not. asynq does not say when it is unregistered, but then keeps it no longer.
	bound := *task
	key := weak.Make(&bound)
	s.bound.Store(key, spec)
	runtime.AddCleanup(&bound, func(key weak.Pointer[asynq.Task]) { s.bound.Delete(key) }, key)
	return scheduler.Register(cronspec, &bound, opts...)
}

func (s *Stamp) before(task *asynq.Task, opts []asynq.Option) {
	now := time.Now() // before it waits for others
	s.enqueuing.Lock()
	passed := false
	defer func() {
		if !passed { // PreEnqueueFunc has ended the goroutine, so asynq does not call after
			s.enqueuing.Unlock()
		}
	}()
	if spec, ok := s.bound.Load(weak.Make(task)); ok {
		if tick := spec.(schedule).upTo(now); !tick.IsZero() {
			task.Headers()[tickHeader] = formatTick(tick)
		}
	}
	if s.opts.PreEnqueueFunc != nil {
		s.opts.PreEnqueueFunc(task, opts)
	}
	passed = true
}

func (s *Stamp) after(info *asynq.TaskInfo, err error) {
	defer s.enqueuing.Unlock()
	if info != nil {
		// The scheduler goes on to print it, while another task's headers are written.
		info.Headers = maps.Clone(info.Headers)
	}
	if s.opts.PostEnqueueFunc != nil {
		s.opts.PostEnqueueFunc(info, err)
	}
}
