package gocronadapter

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jonboulle/clockwork"

	"github.com/redtick/redtick/redlock"
)

// DefaultWindow is the default of [WithWindow].
const DefaultWindow = time.Second

// DefaultSpread is the [redlock.WithSpread] of all jobs, so that the replicas take
// turns though their clocks are up to 40 ms apart. For ticks less than 0.8 s apart it
// is a twentieth of the time between them, which the clocks must then keep to. To
// change it, pass redlock.WithSpread to [WithJobOptions] or [WithJob];
// redlock.WithSpread(0) turns it off.
//
// On average a run begins 20 ms after its tick if the job has one replica or three,
// and 60 ms if it has two; see docs/performance.md.
const DefaultSpread = 40 * time.Millisecond

// wideGap is the shortest time between two ticks at which the spread is the default.
const gapPerSpread, wideGap = 20, gapPerSpread * DefaultSpread

const minWindow, maxWindow = 10 * time.Millisecond, 24 * time.Hour

// Option configures [NewLocker] or [NewScheduler], which check every value.
type Option func(*config)

type config struct {
	all       []redlock.JobOption
	jobs      map[string][]redlock.JobOption
	scheduler []gocron.SchedulerOption
	clock     clockwork.Clock
	window    time.Duration
	triggers  bool
	duplicate string // a job name given to WithJob twice
	catchesUp bool   // some job has redlock.WithCatchUp

	// takeover says whether ticks are taken over, by job name; "" stands for all jobs without options of their own.
	takeover map[string]bool
}

// WithJobOptions sets options of all jobs, such as redlock.WithTTL. Without it
// those of the redlock.Locker apply. WithOwner and WithAnyOrder do not suit a
// schedule and are refused. redlock.WithTakeover runs ticks at least once; see
// the package documentation.
func WithJobOptions(opts ...redlock.JobOption) Option {
	return func(c *config) { c.all = append(c.all, opts...) }
}

// WithJob sets options of the job with this name. They override those of
// [WithJobOptions]. Default none. A name may be given only once.
func WithJob(name string, opts ...redlock.JobOption) Option {
	return func(c *config) {
		if _, given := c.jobs[name]; given {
			c.duplicate = name
		}
		c.jobs[name] = opts
	}
}

// WithSchedulerOptions passes gocron's own options to the scheduler that
// [NewScheduler] makes. Default none. [NewLocker] makes no scheduler and refuses
// them. A gocron.WithDistributedLocker among them is replaced. An elector is
// refused, because gocron then asks no locker.
func WithSchedulerOptions(opts ...gocron.SchedulerOption) Option {
	return func(c *config) { c.scheduler = append(c.scheduler, opts...) }
}

// WithClock sets the clock that gocron's schedule follows. [NewScheduler] passes
// it to gocron. With [NewLocker] it must be the clock of gocron.WithClock, or no
// tick is recognized. Default: the real clock.
func WithClock(clock clockwork.Clock) Option { return func(c *config) { c.clock = clock } }

// WithTriggers lets an operator run a job, once in the fleet: with redtick trigger,
// on the page, or by inspect.Inspector.Trigger. Default off. It needs
// [NewScheduler], because gocron does not give a Locker its jobs. While the
// scheduler runs, it listens on one connection to each node.
//
// The run is started by the job's RunNow and is like its other runs: it reaches the
// listeners, counts for WithLimitedRuns, and may wait in a queue of gocron. If
// gocron drops it, it is started again for up to 3 s. On the replicas that do not
// get it, it ends like a tick that another replica runs. redlock.Job.Triggered says
// why such a run is refused.
//
// A job with gocron.WithDisabledDistributedJobLocker cannot be triggered. Nor can
// one with gocron.WithIntervalFromCompletion while it rests, because its lock is
// held.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// WithWindow sets the length of the window of time that counts as one tick, 10 ms
// to 24 h, for a Locker that is not attached; see [Locker.Attach]. Default
// [DefaultWindow], 1 s; [NewScheduler] refuses any other.
func WithWindow(d time.Duration) Option { return func(c *config) { c.window = d } }

func newConfig(opts []Option) (config, error) {
	c := config{jobs: make(map[string][]redlock.JobOption), clock: clockwork.NewRealClock(), window: DefaultWindow}
	for i, o := range opts {
		if o == nil {
			return c, invalid("option %d is nil; leave it out", i+1)
		}
		o(&c)
	}
	switch {
	case c.clock == nil:
		return c, invalid("clock is nil; leave WithClock out for the real one")
	case c.window < minWindow || c.window > maxWindow:
		return c, invalid("window is %v, must be %v to %v; it is the shortest time between two ticks of a job", c.window, minWindow, maxWindow)
	case c.duplicate != "":
		return c, invalid("WithJob has the job %q twice; give all its options in one", c.duplicate)
	}
	return c, nil
}

// jobOptions returns the options of one job. The schedule's come first, so that the user's override them. gap is the time between
// two of its ticks, or 0: the spread must be much shorter.
func (c *config) jobOptions(name string, spacing, gap time.Duration) []redlock.JobOption {
	opts := make([]redlock.JobOption, 0, 8)
	if spacing > 0 {
		opts = append(opts, redlock.WithSpacing(spacing))
	}
	if gap > 0 {
		opts = append(opts, redlock.WithSpread(min(DefaultSpread, gap/gapPerSpread)))
	}
	return append(append(opts, c.all...), c.jobs[name]...)
}

// check refuses options that do not suit a schedule.
func (c *config) check(locker *redlock.Locker) error {
	c.takeover = make(map[string]bool)
	takeover, err := c.checkJob(locker, "any", nil)
	if err != nil {
		return err
	}
	c.takeover[""] = takeover
	for name, opts := range c.jobs {
		if c.takeover[name], err = c.checkJob(locker, name, opts); err != nil {
			return fmt.Errorf("WithJob(%q): %w", name, err)
		}
	}
	return nil
}

// takesOver reports whether the ticks of the job with this name run at least once. It is called at each job's first tick, so it makes
// no redlock.Job.
func (c *config) takesOver(name string) bool {
	takeover, own := c.takeover[name]
	return takeover || !own && c.takeover[""]
}

func (c *config) checkJob(locker *redlock.Locker, name string, own []redlock.JobOption) (takeover bool, err error) {
	j, err := locker.NewJob(name, slices.Concat(c.all, own)...)
	if err != nil {
		return false, err
	}
	if j.AnyOrder() {
		return false, invalid("WithAnyOrder does not suit a schedule: its ticks come in order; leave it out")
	}
	c.catchesUp = c.catchesUp || j.CatchUp() > 0
	return j.Takeover(), nil
}
