package asynqadapter

import (
	"reflect"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// taskOptions are the options of a periodic task that bear on its ID being
// taken long enough.
type taskOptions struct {
	name      string
	retention time.Duration
	retained  bool
	refused   string // an option that would free the ID too early, or take another
	spare     bool   // asynq appends the ID of each tick to the task's options, in place if it can
}

// readOptions reads options given to Register and, as they apply too, to asynq.NewTask.
func readOptions(task *asynq.Task, opts []asynq.Option) (known taskOptions, others []asynq.Option) {
	known.readInside(task)
	for _, o := range opts {
		if name, ok := o.(nameOption); ok {
			known.name = string(name)
			continue
		}
		switch o.Type() {
		case asynq.RetentionOpt:
			known.retention, known.retained = o.Value().(time.Duration), true
		case asynq.UniqueOpt, asynq.TaskIDOpt, asynq.GroupOpt:
			known.refused = o.String()
		}
		others = append(others, o)
	}
	return known, others
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
		case "uniqueOption", "taskIDOption", "groupOption":
			name := strings.TrimSuffix(value.Type().Name(), "Option")
			k.refused = strings.ToUpper(name[:1]) + name[1:] + " (inside the task)"
		}
	}
}

// Name is an option for [Scheduler.Register], or asynq.NewTask: the entry's
// name, the same on all replicas. Each tick's task ID is the name, "@" and the tick.
func Name(name string) asynq.Option { return nameOption(name) }

type nameOption string

func (n nameOption) String() string         { return "Name(\"" + string(n) + "\")" }
func (n nameOption) Type() asynq.OptionType { return -1 } // none of asynq's
func (n nameOption) Value() any             { return string(n) }
