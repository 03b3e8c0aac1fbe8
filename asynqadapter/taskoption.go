package asynqadapter

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// taskOptions are the options of a periodic task that matter for its task IDs.
type taskOptions struct {
	managed   bool   // from a manager's provider: a TaskID is then taken as the name
	id        string // of such a TaskID
	name      string
	retention time.Duration
	retained  bool
	refused   string // an option that would free the ID too early, or set another one
	queue     string
}

// readOptions reads the options given to Register and to asynq.NewTask. It also returns
// those of Register that are to be passed to asynq.
func readOptions(task *asynq.Task, opts []asynq.Option, managed bool) (known taskOptions, others []asynq.Option) {
	known = taskOptions{managed: managed, queue: "default"}
	for _, o := range optionsInside(task) {
		known.read(o, " (inside the task)")
	}
	for _, o := range opts {
		if known.read(o, "") {
			others = append(others, o)
		}
	}
	known.name = cmp.Or(known.name, known.id)
	return known, others
}

// read notes an option, and reports whether it is to be passed to asynq.
func (k *taskOptions) read(o asynq.Option, where string) bool {
	if name, ok := o.(nameOption); ok {
		k.name = string(name)
		return false
	}
	switch kind := o.Type(); {
	case kind == asynq.RetentionOpt:
		k.retention, k.retained = o.Value().(time.Duration), true
	case kind == asynq.QueueOpt:
		k.queue = o.Value().(string)
	case kind == asynq.TaskIDOpt && k.managed:
		k.id = o.Value().(string)
		return false
	case kind == asynq.TaskIDOpt, kind == asynq.UniqueOpt, kind == asynq.GroupOpt:
		k.refused = o.String() + where
	}
	return true
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

// copyOf returns a copy of a task with headers and options of its own. PreEnqueueFunc
// may write to them while another tick of the entry is being enqueued.
func copyOf(task *asynq.Task) *asynq.Task {
	return asynq.NewTaskWithHeaders(task.Type(), task.Payload(), task.Headers(), optionsInside(task)...)
}

// check refuses options with which a tick could be enqueued twice, or never.
func (k taskOptions) check(name string, lateness time.Duration) error {
	if err := k.checkID(name); err != nil {
		return err
	}
	if least := leastRetention * lateness; !k.retained || k.retention < least {
		return invalid("entry %q has Retention(%v), must be at least %v, %d times the lateness (%v): until then a late replica would enqueue the tick again; raise it or lower WithLateness",
			name, k.retention, least, leastRetention, lateness)
	}
	return nil
}

// checkID refuses options that conflict with task IDs made from ticks.
func (k taskOptions) checkID(name string) error {
	switch {
	case k.refused != "":
		return invalid("entry %q has the option %s; each tick needs a task of its own, "+
			"and TaskID, Unique (whose lock outlives a conflict) and Group (which frees the ID early) do not go with that; leave it out", name, k.refused)
	case strings.TrimSpace(k.queue) == "":
		return invalid("entry %q has a blank queue name; leave Queue out for \"default\"", name)
	}
	return nil
}

// Name returns an option for [Scheduler.Register] or asynq.NewTask that sets the
// entry's name. It must be the same on all replicas. The task ID of a tick is the name,
// "@" and the tick. An empty name counts as none.
func Name(name string) asynq.Option { return nameOption(name) }

type nameOption string

const notAsynqs asynq.OptionType = -1

func (n nameOption) String() string         { return "Name(\"" + string(n) + "\")" }
func (n nameOption) Type() asynq.OptionType { return notAsynqs }
func (n nameOption) Value() any             { return string(n) }
