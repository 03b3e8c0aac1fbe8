package asynqadapter

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"
)

// taskOptions are the options of a periodic task that matter for its task IDs.
type taskOptions struct {
	name, queue string
	retention   time.Duration // unset if there is none
	refused     string        // an option that would free the ID too early, or set another one
}

const unset time.Duration = math.MinInt64

// readOptions reads the options given to Register and to asynq.NewTask. It also returns
// those of Register that are to be passed to asynq. A manager's TaskID is taken as the
// name, unless there is a Name. It refuses arguments that asynq would refuse later or
// panic on.
func readOptions(task *asynq.Task, opts []asynq.Option, managed bool) (known taskOptions, others []asynq.Option, err error) {
	if task == nil || strings.TrimSpace(task.Type()) == "" {
		return known, nil, invalid("task is nil or has no type; make it with asynq.NewTask(type, payload)")
	}
	if i := slices.Index(opts, nil); i >= 0 {
		return known, nil, invalid("option %d of task %q is nil; leave it out", i+1, task.Type())
	}
	known = taskOptions{queue: "default", retention: unset}
	id, inside := "", optionsInside(task)
	for i, o := range slices.Concat(inside, opts) {
		switch kind := o.Type(); {
		case kind == notAsynqs:
			if name, ok := o.(nameOption); ok {
				known.name = string(name)
				continue
			}
		case kind == asynq.RetentionOpt:
			known.retention = o.Value().(time.Duration)
		case kind == asynq.QueueOpt:
			known.queue = o.Value().(string)
		case kind == asynq.TaskIDOpt && managed:
			id = o.Value().(string)
			continue
		case kind == asynq.TaskIDOpt, kind == asynq.UniqueOpt, kind == asynq.GroupOpt:
			if known.refused = o.String(); i < len(inside) {
				known.refused += " (inside the task)"
			}
		}
		if i >= len(inside) {
			others = append(others, o)
		}
	}
	known.name = cmp.Or(known.name, id, identity(task))
	if !utf8.ValidString(fmt.Sprintln(task.Type(), known.name, known.queue, task.Headers())) {
		err = invalid("task %q has a type, name, queue or header that is not UTF-8, as which asynq stores them", task.Type())
	}
	return known, others, err
}

// optionsInside returns the options that a task was made with, which asynq does not
// export. A test fails if asynq moves them.
func optionsInside(task *asynq.Task) []asynq.Option {
	inside := reflect.ValueOf(task).Elem().FieldByName("opts")
	if !inside.IsValid() || inside.Type() != reflect.TypeFor[[]asynq.Option]() {
		return nil
	}
	all := *(*[]asynq.Option)(inside.Addr().UnsafePointer())
	return slices.DeleteFunc(slices.Clone(all), func(o asynq.Option) bool { return o == nil }) // asynq ignores these
}

// copyOf returns a copy of a task with payload, headers and options of its own.
// PreEnqueueFunc may write to them while another tick of the entry is being enqueued.
func copyOf(task *asynq.Task) *asynq.Task {
	return asynq.NewTaskWithHeaders(task.Type(), slices.Clone(task.Payload()), task.Headers(), optionsInside(task)...)
}

// check refuses options with which a tick could be enqueued twice, or never.
// lateness is 0 for a Stamp, under which task IDs are not made from ticks.
func (k taskOptions) check(name string, lateness time.Duration) error {
	switch least := leastRetention * lateness; {
	case k.refused != "":
		return invalid("entry %q has the option %s; each tick needs a task of its own, "+
			"and TaskID, Unique (whose lock outlives a conflict) and Group (which frees the ID early) do not go with that; leave it out", name, k.refused)
	case strings.TrimSpace(k.queue) == "":
		return invalid("entry %q has a blank queue name; leave Queue out for \"default\"", name)
	case least > 0 && k.retention < least:
		return invalid("entry %q has Retention(%v), must be at least %v, %d times the lateness (%v): until then a late replica would enqueue the tick again; raise it or lower WithLateness",
			name, max(0, k.retention), least, leastRetention, lateness)
	}
	return nil
}

// Name returns an option for [Scheduler.Register] or asynq.NewTask that sets the
// entry's name. It must be the same on all replicas. The task ID of a tick is the name,
// "@" and the tick. It has at most 200 bytes; an empty one counts as none.
func Name(name string) asynq.Option { return nameOption(name) }

type nameOption string

const notAsynqs asynq.OptionType = -1

func (n nameOption) String() string         { return "Name(\"" + string(n) + "\")" }
func (n nameOption) Type() asynq.OptionType { return notAsynqs }
func (n nameOption) Value() any             { return string(n) }
