package asynqadapter

import (
	"cmp"
	"reflect"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// taskOptions are the options of a periodic task that bear on its ID being
// taken long enough.
type taskOptions struct {
	managed   bool   // by a provider of asynq's: then a TaskID, which would stop all ticks but the first, is a name
	id        string // of such a TaskID
	name      string
	retention time.Duration
	retained  bool
	refused   string // an option that would free the ID too early, or take another
	queue     string
	spare     bool // asynq appends the ID of each tick to the task's options, in place if it can
}

// readOptions reads options given to Register and, as they apply too, to
// asynq.NewTask. It returns those of Register that asynq shall have.
func readOptions(task *asynq.Task, opts []asynq.Option, managed bool) (known taskOptions, others []asynq.Option) {
	known = taskOptions{managed: managed, queue: "default"}
	known.readInside(task)
	for _, o := range opts {
		if name, ok := o.(nameOption); ok {
			known.name = string(name)
			continue
		}
		switch o.Type() {
		case asynq.RetentionOpt:
			known.retention, known.retained = o.Value().(time.Duration), true
		case asynq.QueueOpt:
			known.queue = o.Value().(string)
		case asynq.TaskIDOpt:
			known.readID(o.Value().(string), o.String())
			continue
		case asynq.UniqueOpt, asynq.GroupOpt:
			known.refused = o.String()
		}
		others = append(others, o)
	}
	known.name = cmp.Or(known.name, known.id)
	return known, others
}

func (k *taskOptions) readID(id, words string) {
	if k.managed {
		k.id = id
	} else {
		k.refused = words
	}
}

// readInside looks at the options inside a task. asynq does not show them, so
// their types' names have to do; a test notices when these change.
func (k *taskOptions) readInside(task *asynq.Task) {
	inside := reflect.ValueOf(task).Elem().FieldByName("opts")
	if !inside.IsValid() || inside.Kind() != reflect.Slice {
		return
	}
	k.spare = inside.Cap() > inside.Len()
	for i := range inside.Len() {
		value := inside.Index(i).Elem()
		switch value.Type().Name() {
		case "nameOption":
			k.name = value.String()
		case "retentionOption":
			k.retention, k.retained = time.Duration(value.Int()), true
		case "queueOption":
			k.queue = value.String()
		case "taskIDOption":
			k.readID(value.String(), "TaskID (inside the task)")
		case "uniqueOption":
			k.refused = "Unique (inside the task)"
		case "groupOption":
			k.refused = "Group (inside the task)"
		}
	}
}

// check refuses what would let a tick be enqueued twice, or never.
func (k taskOptions) check(name string, lateness time.Duration) error {
	if err := k.checkID(name); err != nil {
		return err
	}
	switch least := leastRetention * lateness; {
	case k.spare:
		return invalid("the task of entry %q was made with an options slice that has room to spare, which asynq would write to for several ticks at a time; "+
			"pass slices.Clip(opts)... to asynq.NewTask, or the options to Register", name)
	case !k.retained || k.retention < least:
		return invalid("entry %q has Retention(%v), must be at least %v, %d times the lateness (%v): until then a late replica would enqueue the tick again; raise it or lower WithLateness",
			name, k.retention, least, leastRetention, lateness)
	}
	return nil
}

// checkID refuses options that make the tasks of different ticks, or of one, mistaken for each other.
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

// Name is an option for [Scheduler.Register], or asynq.NewTask: the entry's
// name, the same on all replicas. Each tick's task ID is the name, "@" and the tick.
func Name(name string) asynq.Option { return nameOption(name) }

type nameOption string

func (n nameOption) String() string         { return "Name(\"" + string(n) + "\")" }
func (n nameOption) Type() asynq.OptionType { return -1 } // none of asynq's
func (n nameOption) Value() any             { return string(n) }
