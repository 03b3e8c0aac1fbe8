package cronadapter

import (
	"time"

	"github.com/robfig/cron/v3"
)

// Option changes a default of an [Adapter]. [New] checks every value.
type Option func(*config)

type config struct {
	logger    cron.Logger
	parser    cron.ScheduleParser
	now       func() time.Time
	unaligned bool
}

// WithLogger sets where skips and errors go. A tick that another replica has is
// told with Info("skip", …); Error is for a job that failed, a lease that was
// lost, a missing quorum and every other reason why a tick may have run nowhere.
// The pairs that follow the message are "job", "tick", and for a skip "reason"
// and "holder". It is called from many goroutines at a time.
//
// Default cron.DefaultLogger, which prints errors to standard output and leaves
// out skips.
func WithLogger(l cron.Logger) Option { return func(c *config) { c.logger = l } }

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

// WithClock sets what [Job] takes for the time when it looks which tick has
// come. It is for tests and shows in which a schedule is shifted, as if the
// machine's clock were wrong: the clock must be wrong by the same amount. cron
// itself has no such option. Default time.Now.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

func defaults() config {
	return config{
		now:    time.Now,
		logger: cron.DefaultLogger,
		parser: cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor),
	}
}

func (c config) with(opts []Option) (config, error) {
	for i, o := range opts {
		if o == nil {
			return c, invalid("option %d is nil; leave it out", i)
		}
		o(&c)
	}
	switch {
	case c.logger == nil:
		return c, invalid("logger is nil; leave WithLogger out for cron.DefaultLogger, or pass cron.DiscardLogger")
	case c.parser == nil:
		return c, invalid("parser is nil; leave WithParser out for five or six fields and descriptors")
	case c.now == nil:
		return c, invalid("clock is nil; leave WithClock out for time.Now")
	}
	return c, nil
}
