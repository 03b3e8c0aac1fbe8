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

// DefaultSpread is how much later than its tick a replica may ask for it, so
// that not always the same one wins: [redlock.WithSpread]. For ticks closer
// than a second it is a tenth of the time between them. WithJobOptions and
// WithJob change it; redlock.WithSpread(0) turns it off.
//
// With three replicas a run begins 25 ms after its tick on average;
// docs/performance.md has what share of the ticks each replica gets.
const DefaultSpread = 100 * time.Millisecond

// wideGap is the time between two ticks from which on the spread is the default.
const gapPerSpread, wideGap = 10, gapPerSpread * DefaultSpread

const (
	minWindow = 10 * time.Millisecond
	maxWindow = 24 * time.Hour
)

// Option changes a default of [NewLocker] or [NewScheduler], which check every
// value.
type Option func(*config)

type config struct {
	all       []redlock.JobOption
	jobs      map[string][]redlock.JobOption
	scheduler []gocron.SchedulerOption
	clock     clockwork.Clock
	window    time.Duration
	triggers  bool
	twice     string // a job name that was given to WithJob twice
	catchesUp bool   // some job has redlock.WithCatchUp

	// takeover says which jobs' ticks are taken over: those with options of their own by name, all others under "".
	takeover map[string]bool
}

// WithJobOptions applies to all jobs, such as
// redlock.WithTTL. Default none: the redlock.Locker's own. Not every option
// suits a schedule: WithOwner and WithAnyOrder are refused with the reason.
// redlock.WithTakeover makes runs at least once; see the package's description.
func WithJobOptions(opts ...redlock.JobOption) Option {
	return func(c *config) { c.all = append(c.all, opts...) }
}

// WithJob applies to the job with this name only, after those of
// [WithJobOptions]. Default none. A name is given once.
func WithJob(name string, opts ...redlock.JobOption) Option {
	return func(c *config) {
		if _, given := c.jobs[name]; given {
			c.twice = name
		}
		c.jobs[name] = opts
	}
}

// WithSchedulerOptions passes gocron's own options to the scheduler that
// [NewScheduler] makes. Default none. [NewLocker] makes no scheduler and
// refuses it. A gocron.WithDistributedLocker among them is replaced; an elector
// is refused, because gocron then asks no locker.
func WithSchedulerOptions(opts ...gocron.SchedulerOption) Option {
	return func(c *config) { c.scheduler = append(c.scheduler, opts...) }
}

// WithClock tells which clock gocron's schedule follows. [NewScheduler] passes
// it on to gocron; with [NewLocker] it must be the one of gocron.WithClock,
// else no tick is recognized. Default: the real one.
func WithClock(clock clockwork.Clock) Option { return func(c *config) { c.clock = clock } }

// WithWindow matters only for a Locker that is not attached: which runs count
// as one tick; see [Locker.Attach]. 10 ms to 24 h, default 1 s.
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
	case c.twice != "":
		return c, invalid("WithJob has the job %q twice; give all its options in one", c.twice)
	}
	return c, nil
}

// of lists the options of one job. What the schedule asks for comes first, so that the user's word is the last.
// gap is the time between two of its ticks, or 0: a claim must not wait for a good part of it.
func (c *config) of(name string, spacing, gap time.Duration) []redlock.JobOption {
	opts := make([]redlock.JobOption, 0, 8)
	if spacing > 0 {
		opts = append(opts, redlock.WithSpacing(spacing))
	}
	if gap > 0 {
		opts = append(opts, redlock.WithSpread(min(DefaultSpread, gap/gapPerSpread)))
	}
	return append(append(opts, c.all...), c.jobs[name]...)
}

// check refuses what does not go with a schedule. Options cannot be looked at, but redlock says which exclude each other.
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

// takesOver reports whether the ticks of the job with this name are run at least once. It is asked on each job's first tick,
// so it makes no redlock.Job for the answer.
func (c *config) takesOver(name string) bool {
	if takeover, of := c.takeover[name]; of {
		return takeover
	}
	return c.takeover[""]
}

func (c *config) checkJob(locker *redlock.Locker, name string, of []redlock.JobOption) (takeover bool, err error) {
	job := func(more ...redlock.JobOption) (*redlock.Job, error) {
		return locker.NewJob(name, slices.Concat(c.all, of, more)...)
	}
	j, err := job()
	if err != nil {
		return false, err
	}
	if _, err := job(redlock.WithSpacing(0), redlock.WithOwner(""), redlock.WithTakeover()); err != nil {
		return false, invalid("WithAnyOrder does not suit a schedule: its ticks come in order; leave it out")
	}
	c.catchesUp = c.catchesUp || j.CatchUp() > 0
	return j.Takeover(), nil
}
