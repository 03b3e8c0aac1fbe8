package cronadapter

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// DefaultSpread is the [redlock.WithSpread] of all jobs, so that the replicas take
// turns though their clocks are up to 40 ms apart. For ticks less than 0.8 s apart it
// is a twentieth of the time between them, which the clocks must then keep to. It
// overrides the Locker's spread. [WithJobOptions] and a job's own options override it;
// redlock.WithSpread(0) turns it off.
//
// On average a run begins 20 ms after its tick if the job has one replica or three,
// and 60 ms if it has two.
const DefaultSpread = 40 * time.Millisecond

// Option changes a default of an [Adapter]. [New] checks every value.
type Option func(*config)

type config struct {
	parser    cron.ScheduleParser
	now       func() time.Time
	jobs      []redlock.JobOption
	unaligned bool
	triggers  bool
}

// WithJobOptions sets options for all jobs, such as redlock.WithTTL. A job's own
// options override them. WithOwner and WithAnyOrder do not suit a schedule and are
// refused. Default: the redlock.Locker's options, and [DefaultSpread].
func WithJobOptions(opts ...redlock.JobOption) Option {
	return func(c *config) { c.jobs = append(c.jobs, opts...) }
}

// WithParser sets the parser of [Adapter.Add]. It is needed for a cron made with
// cron.WithParser. The default reads the specs of cron.New() and of
// cron.WithSeconds(): five fields, or six with seconds first, or a descriptor, each
// with or without CRON_TZ= or TZ=.
func WithParser(p cron.ScheduleParser) Option { return func(c *config) { c.parser = p } }

// WithoutAlignment counts "@every d" from the start of each process, as cron does, so
// that the ticks of two replicas differ. A tick is then refused when it comes less
// than d after the newest granted one (redlock.WithSpacing(d), which a job's own
// option overrides). So the job runs every d, with a gap of less than 2 d when the
// replica that ran it goes away. d must not exceed 7 days. Default: aligned.
func WithoutAlignment() Option { return func(c *config) { c.unaligned = true } }

// WithTriggers runs a job, once in the fleet, when an operator triggers it with
// redtick trigger, on the page, or through inspect.Inspector.Trigger. From the first
// job on, the Locker listens on one connection to each node. A replica reacts to
// triggers from the start of its cron until [Adapter.Stop]; cron.Stop does not end
// that. redlock.Job.Triggered says when such a run is refused. Default off.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// WithClock sets the clock by which a [Job] decides which tick has come. It must be
// the clock that the cron follows. For robfig/cron that is always time.Now, so there
// WithClock is for tests and demos that shift the schedule. A fork may have an option
// for its clock. Default time.Now.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

func newConfig(opts []Option) (config, error) {
	c := config{
		now:    time.Now,
		parser: cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor),
	}
	for i, o := range opts {
		if o == nil {
			return c, invalid("option %d is nil; leave it out", i+1)
		}
		o(&c)
	}
	switch {
	case c.parser == nil:
		return c, invalid("parser is nil; leave WithParser out for five or six fields and descriptors")
	case c.now == nil:
		return c, invalid("clock is nil; leave WithClock out for time.Now")
	}
	return c, nil
}
