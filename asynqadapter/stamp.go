package asynqadapter

import (
	"maps"
	"slices"
	"sync"
	"time"

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
// The tick is the spec's newest activation when the scheduler gets to the task. So a
// process that is paused for longer than the interval gives a task a later tick than
// its own. A stock scheduler counts "@every d" from the start of its process, so
// replicas share no ticks. Such a task gets the newest multiple of d since 1970: it
// runs once in each slot of length d, but less or more than d apart.
//
// Tasks are enqueued one at a time, because asynq's tasks share their headers. A Stamp
// belongs to one scheduler. It is safe for concurrent use.
type Stamp struct {
	opts      asynq.SchedulerOpts
	enqueuing sync.Mutex // held from PreEnqueueFunc to PostEnqueueFunc
}

// NewStamp returns a stamp for a scheduler with the given options, which may be nil.
func NewStamp(opts *asynq.SchedulerOpts) *Stamp {
	return &Stamp{opts: optionsOf(opts)}
}

// SchedulerOpts returns the options to make the scheduler with. They include the
// callbacks given to [NewStamp].
func (s *Stamp) SchedulerOpts() *asynq.SchedulerOpts {
	opts := s.opts
	opts.PreEnqueueFunc, opts.PostEnqueueFunc = s.before, s.after
	return &opts
}

// Register registers task with the scheduler so that it is stamped. The task must have
// headers: make it with asynq.NewTaskWithHeaders and a map that is not nil.
// asynq.TaskID, asynq.Unique and asynq.Group are refused as in [Scheduler.Register]:
// tasks of different ticks would block each other, and with TaskID one archived task
// would block all later ones.
func (s *Stamp) Register(scheduler *asynq.Scheduler, cronspec string, task *asynq.Task, opts ...asynq.Option) (entryID string, err error) {
	if scheduler == nil {
		return "", invalid("scheduler is nil; make one with asynq.NewScheduler and the options SchedulerOpts returns")
	}
	if task == nil || task.Headers() == nil {
		return "", invalid("task is nil or has no headers to put the tick in; make it with asynq.NewTaskWithHeaders(type, payload, map[string]string{})")
	}
	known, _, err := readOptions(task, opts, false)
	if err == nil {
		err = known.check(identity(task), 0)
	}
	if err != nil {
		return "", err
	}
	spec, err := parseSpec(cronspec, s.opts.Location)
	if err != nil {
		return "", err
	}
	if spec.after(time.Now()).IsZero() {
		return "", invalid("spec %q has no activation in the next five years", cronspec)
	}
	return scheduler.Register(cronspec, task, append(slices.Clip(opts), stampOption{spec})...)
}

// stampOption is an entry's last option, which asynq ignores and passes to PreEnqueueFunc. asynq's
// Inspector panics on a text without parentheses.
type stampOption struct{ schedule }

func (stampOption) String() string         { return "Stamp()" }
func (stampOption) Type() asynq.OptionType { return notAsynqs }
func (stampOption) Value() any             { return nil }

func (s *Stamp) before(task *asynq.Task, opts []asynq.Option) {
	now := time.Now() // before waiting for the mutex
	s.enqueuing.Lock()
	passed := false
	defer func() {
		if !passed { // PreEnqueueFunc ended the goroutine, so asynq does not call after
			s.enqueuing.Unlock()
		}
	}()
	if last := len(opts) - 1; last >= 0 {
		if stamp, ok := opts[last].(stampOption); ok {
			if tick := stamp.upTo(now); !tick.IsZero() {
				task.Headers()[tickHeader] = formatTick(tick)
			}
			opts = slices.Clip(opts[:last]) // out of reach of the user's function
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
		// The scheduler prints info later, while another task may write the headers.
		info.Headers = maps.Clone(info.Headers)
	}
	s.opts.PostEnqueueFunc(info, err)
}
