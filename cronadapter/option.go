package cronadapter

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// DefaultSpread is how much later than its tick a replica may ask for it, so
// that not always the same one wins: [redlock.WithSpread]. For ticks closer
// than a second it is a tenth of the time between them. WithJobOptions and a
// job's own options change it; redlock.WithSpread(0) turns it off. It goes
// before a redlock.WithSpread of the Locker.
const DefaultSpread = 100 * time.Millisecond

// Option changes a default of an [Adapter]. [New] checks every value.
type Option func(*config)

type config struct {
	parser    cron.ScheduleParser
	now       func() time.Time
	jobs      []redlock.JobOption
	unaligned bool
	triggers  bool
}

// WithJobOptions applies to all jobs, such as redlock.WithTTL, before a job's
// own options. Default none: the redlock.Locker's, and [DefaultSpread].
func WithJobOptions(opts ...redlock.JobOption) Option {
	return func(c *config) { c.jobs = append(c.jobs, opts...) }
}

// WithParser sets how [Adapter.Add] reads a spec. It is needed for a cron that
// has a dialect of its own (cron.WithParser). The default reads those of
// cron.New() and of cron.WithSeconds(): five fields, or six of which the first
// one is seconds, or a descriptor, all with or without CRON_TZ= or TZ=.
func WithParser(p cron.ScheduleParser) Option { return func(c *config) { c.parser = p } }

// WithoutAlignment leaves "@every d" as cron has it: counted from the start of
// each process, so that the ticks of two replicas have nothing in common. A
// tick is then refused when it comes less than d after the newest one that was
// granted (redlock.WithSpacing(d), which a job's own option overrides): one run
// every d, and when its replica goes away a gap of less than 2 d. d must then
// not exceed 7 days. Default: aligned.
func WithoutAlignment() Option { return func(c *config) { c.unaligned = true } }

// WithTriggers runs a job, once in the fleet, when an operator triggers it: with
// redtick trigger, on the page, or by inspect.Inspector.Trigger. It listens on one connection to each node, from the
// first job on. A replica runs nothing before its cron was started; cron.Stop
// alone does not end that, but [Adapter.Stop] does. Default off. What such a run
// is refused for is part of redlock.Job.Triggered.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// WithClock sets what [Job] takes for the time when it looks which tick has
// come. It must be the clock that the cron follows. robfig/cron always follows
// time.Now, so there it is for tests and shows in which a schedule is shifted;
// a fork may have an option for it. Default time.Now.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

func defaults() config {
	return config{
		now:    time.Now,
		parser: cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor),
	}
}

func (c config) with(opts []Option) (config, error) {
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
