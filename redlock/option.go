package redlock

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Defaults of the options with these names.
const (
	DefaultTTL       = 30 * time.Second
	DefaultDrift     = 0.01
	DefaultRetention = 15 * time.Minute
	DefaultMaxSkew   = 5 * time.Minute
	DefaultHistory   = 20
	// DefaultLateness is the default of WithLateness for a job with a schedule.
	DefaultLateness = 10 * time.Minute

	// DefaultAnyOrderRetention is the default of WithRetention under WithAnyOrder. A queue's ticks may be a day late.
	DefaultAnyOrderRetention = 24 * time.Hour
)

const (
	minTTL     = 20 * time.Millisecond
	maxTTL     = protocol.MaxTTL
	driftFloor = 2 * time.Millisecond
	maxDelay   = time.Minute
	maxHistory = 1000

	maxRetention = 30 * 24 * time.Hour
)

// An option's type says where it may be passed; elsewhere it does not compile. A
// JobOption or MutexOption passed to [New] is the default for all names of that
// [Locker]. New, [Locker.NewMutex] and [Locker.NewJob] check every value.
// Functions passed in options must be safe for concurrent use, except an observer.
type (
	// LockerOption is an option for [New].
	LockerOption interface{ apply(*config) }

	// JobOption is an option for [Locker.NewJob], and for New.
	JobOption interface {
		LockerOption
		job()
	}

	// MutexOption is an option for [Locker.NewMutex], for NewJob and for New.
	MutexOption interface {
		JobOption
		mutex()
	}
)

type (
	lockerOption func(*config)
	jobOption    func(*config)
	mutexOption  func(*config)
)

func (o lockerOption) apply(c *config) { o(c) }
func (o jobOption) apply(c *config)    { o(c) }
func (o mutexOption) apply(c *config)  { o(c) }

func (jobOption) job()     {}
func (mutexOption) job()   {}
func (mutexOption) mutex() {}

type config struct {
	ttl         time.Duration
	drift       float64
	nodeTimeout time.Duration
	retention   time.Duration
	maxSkew     time.Duration
	spacing     time.Duration
	spread      time.Duration
	handicap    time.Duration
	maxHold     time.Duration
	guardWindow time.Duration
	prefix      string
	holder      string
	owner       string
	random      func() (string, error)
	backoff     func(try int) time.Duration
	jitter      func(time.Duration) time.Duration // returns a random duration less than its argument; tests seed it
	observer    Observer
	minLevel    slog.Level // the observer is not told events below this level
	fencing     bool
	takeover    bool
	anyOrder    bool
	triggered   bool // for a run by hand of a job whose ticks are in order
	noRenewal   bool
	history     int
	noErrorText bool
	schedule    string
	next        func(time.Time) time.Time
	lateness    time.Duration
	latenessSet bool
	catchUp     time.Duration
}

// WithTTL sets how long a lease lives on the nodes without renewal, and so how long
// others wait after its holder crashes: 20 ms to 24 h, default 30 s. It does not
// limit how long a job may run, since leases are renewed.
func WithTTL(d time.Duration) MutexOption { return mutexOption(func(c *config) { c.ttl = d }) }

// WithDrift sets how far the rates of two nodes' clocks may differ, as a
// fraction of the TTL: 0 to 0.5, default 0.01. It shortens a lease's validity by
// TTL × drift + 2 ms.
func WithDrift(fraction float64) MutexOption {
	return mutexOption(func(c *config) { c.drift = fraction })
}

// WithNodeTimeout sets how long a vote that the other nodes have not decided waits
// for a silent node: at least 1 ms and less than half the TTL. The default is a
// tenth of the TTL, but at least 10 ms (or a third of the TTL if that is less) and
// at most 500 ms. Claims, Lock and Unlock wait twice as long. For slow nodes pass
// it to [New], whose value decides when a node counts as out.
func WithNodeTimeout(d time.Duration) MutexOption {
	return mutexOption(func(c *config) { c.nodeTimeout = d })
}

// WithRetention sets how long the nodes remember a claimed tick, and so how late a
// replica may still ask for it: 1 s to 30 days, and at least the TTL. An older tick
// is refused with [ErrTickStale]. The default is 15 minutes, or a day under
// [WithAnyOrder]. It is raised to the TTL, and to [WithLateness] or [WithCatchUp]
// plus the max skew, where one of these is longer. All replicas need the same one:
// a tick that the nodes have forgotten after a shorter one may run again.
func WithRetention(d time.Duration) JobOption { return jobOption(func(c *config) { c.retention = d }) }

// WithLateness sets how late a tick may begin if its claim found no quorum. The
// claim then asks again for up to d, but not beyond the next tick that
// [WithSchedule] knows. (It asks for a node timeout in any case.) It does not ask
// again if waiting cannot help, such as after a missing permission. The observer is
// warned once the claim has asked for six node timeouts.
//
// For a job with a schedule, as the adapters' jobs have, the default is 10 minutes,
// but at most two thirds of its retention. For other jobs it is 0 (off). The
// lateness must be less than the retention, whose default follows it. Under
// [WithTakeover] it has no effect, since [Job.Await] asks until the tick is stale.
func WithLateness(d time.Duration) JobOption {
	return jobOption(func(c *config) { c.lateness, c.latenessSet = d, true })
}

// WithCatchUp has the adapters run a missed tick; see [Job.Missed]. When they start,
// and once the job is resumed or the nodes are back, they run the newest missed
// tick once in the fleet if it is no more than d old. d is 0 (off, the default) or
// more, and less than the retention, whose default follows it. The nodes then
// remember the newest tick granted for as long as the runs of [WithHistory].
func WithCatchUp(d time.Duration) JobOption { return jobOption(func(c *config) { c.catchUp = d }) }

// WithHistory sets how many runs of a job, and their results, the nodes remember:
// 0 (none) to 1000, default 20. Each takes about 300 bytes, and no round trip. They
// are kept for at least 35 days after the last run, and for at least three intervals,
// of a year at most, where [WithSchedule] says when the next run is due.
func WithHistory(n int) JobOption { return jobOption(func(c *config) { c.history = n }) }

// WithoutErrorText keeps the text of a run's error off the nodes, for errors that
// may quote secrets. By default the nodes remember up to 200 bytes of it.
func WithoutErrorText() JobOption { return jobOption(func(c *config) { c.noErrorText = true }) }

// WithSchedule describes the schedule that the ticks follow. The nodes keep the
// first 100 bytes of words for readers of the history. next returns the tick after
// a given one, or the zero time if there is none. It may be nil, must not block, and
// is called for each claim that is granted or lacks a quorum. The adapters set this
// option themselves.
func WithSchedule(words string, next func(tick time.Time) time.Time) JobOption {
	return jobOption(func(c *config) { c.schedule, c.next = protocol.Cut(words, maxScheduleText), next })
}

// WithMaxSkew sets how far ahead of a node's clock a tick may lie: 1 s to 24 h,
// default 5 minutes. A tick further ahead is refused with [ErrClockSkew], so that a
// clock in 2099 cannot stop a job. Under [WithRestartGuard] the default is the
// guard's longest TTL, since a node that restarted abstains for the max skew as well.
func WithMaxSkew(d time.Duration) JobOption { return jobOption(func(c *config) { c.maxSkew = d }) }

// WithSpacing refuses, with [ErrTickDone], a tick that is less than d after the newest
// tick granted; see [Job.LastTick]. It is for schedules whose ticks differ from
// replica to replica, such as "every 10 s since start". d is 0 (off, the default) to
// 7 days.
func WithSpacing(d time.Duration) JobOption { return jobOption(func(c *config) { c.spacing = d }) }

// WithSpread shares out the ticks where one replica would always be first, because
// its clock is ahead or its link is faster. Each claim is delayed by less than d, at
// random. For replicas to take turns, the claim after a granted one is delayed by 2d
// more, and the next one by d more; but not after eight grants in a row, since then
// no other replica seems to be there. d is 0 (off, the default) to 1 minute, and
// should be as long as the clocks are apart. ctx and the time between two ticks must
// be longer than 3d.
func WithSpread(d time.Duration) JobOption { return jobOption(func(c *config) { c.spread = d }) }

// WithHandicap delays each claim by d, in addition to [WithSpread]. It is for a
// replica that should win only when no other does, such as a warm spare, and should
// be more than three times the spread of the others. d is 0 (the default) to 1 minute.
func WithHandicap(d time.Duration) JobOption {
	return jobOption(func(c *config) { c.handicap = d })
}

// WithMaxHold ends renewal when a lease has been held for d, so that a stuck job
// loses its lease instead of keeping it for ever. The default is 0, no limit.
func WithMaxHold(d time.Duration) MutexOption { return mutexOption(func(c *config) { c.maxHold = d }) }

// WithPrefix sets a prefix for every name, such as "prod:". The default is none. With
// the prefix, a name shared with another library must equal that library's key.
func WithPrefix(prefix string) LockerOption {
	return lockerOption(func(c *config) { c.prefix = prefix })
}

// WithHolder sets the readable first part of every token, which tells others who
// holds a name: 1 to 256 bytes, default "hostname:pid".
func WithHolder(holder string) MutexOption { return mutexOption(func(c *config) { c.holder = holder }) }

// WithOwner lets the owner of a tick claim it again. A queue passes a task's ID, so
// that a retry of the task runs. It needs [WithAnyOrder]: in order, a tick that was
// granted is done for everybody. owner has at most 256 bytes. By default each claim
// is an owner of its own.
func WithOwner(owner string) JobOption { return jobOption(func(c *config) { c.owner = owner }) }

// WithTokenFunc replaces the source of the random part of tokens. Every call must
// return a new, unguessable string of 1 to 128 bytes without @ and ~. A slash in it
// becomes an underscore. The default is 128 bits of crypto/rand, in 22 characters of
// base64url; package inspect does not list a held lock whose token looks different.
func WithTokenFunc(f func() (string, error)) LockerOption {
	return lockerOption(func(c *config) { c.random = f })
}

// WithBackoff sets how long a waiting Lock pauses before it asks again, if
// neither a release notice nor the holder's expiry comes first. While it is
// subscribed to notices it pauses four times as long, but no longer than the TTL.
// try counts from 0. The default is random, 100 to 300 ms.
func WithBackoff(f func(try int) time.Duration) MutexOption {
	return mutexOption(func(c *config) { c.backoff = f })
}

// WithFencing gives each new lease of the name, lock or claim, a larger number than
// all earlier ones; see [Lease.Fence]. It is off by default, and [WithTakeover]
// includes it. A job whose ticks are in order needs it only if its name is also
// locked, or if it is also run by hand, since a late tick after such a run is
// smaller. Otherwise its tick is its fence.
func WithFencing() MutexOption { return mutexOption(func(c *config) { c.fencing = true }) }

// WithTakeover makes a tick run at least once instead of at most once. Losers
// wait, and if the holder dies one of them runs the same tick as soon as the lock
// has expired. A run whose unlock takes longer than the TTL may be repeated, too. It
// is off by default, and excludes [WithAnyOrder].
func WithTakeover() JobOption { return jobOption(func(c *config) { c.takeover = true }) }

// WithAnyOrder accepts ticks in any order, even hours late, as a queue with a
// backlog produces them. By default a tick is refused once a later one was granted.
func WithAnyOrder() JobOption { return jobOption(func(c *config) { c.anyOrder = true }) }

// WithoutRenewal leaves renewal to [Lease.Extend]. By default a lease is
// renewed every third of its TTL until Unlock.
func WithoutRenewal() MutexOption { return mutexOption(func(c *config) { c.noRenewal = true }) }

// WithRestartGuard keeps a node that restarted, was flushed or was promoted from
// voting on what it may have forgotten. Such a node abstains until longest has
// passed. Pass the longest TTL that any mutex or job of the fleet uses, at most 24 h.
// It is off by default, and does not work on Redis Cluster.
func WithRestartGuard(longest time.Duration) LockerOption {
	return lockerOption(func(c *config) { c.guardWindow = longest })
}

// WithObserver reports every event to o; see [Observer]. The default is
// [Log](nil), which writes warnings and errors to slog.Default. For silence,
// pass an observer that does nothing.
func WithObserver(o Observer) LockerOption {
	return lockerOption(func(c *config) { c.observer, c.minLevel = o, math.MinInt })
}

func defaults() config {
	return config{
		ttl: DefaultTTL, drift: DefaultDrift, history: DefaultHistory,
		holder: defaultHolder(), random: protocol.Random,
		jitter: rand.N[time.Duration], observer: Log(nil), minLevel: slog.LevelWarn,
		backoff: func(int) time.Duration { return 100*time.Millisecond + rand.N(200*time.Millisecond) },
	}
}

// apply sets the options in c.
func apply[O LockerOption](c *config, opts []O) error {
	for i, o := range opts {
		if any(o) == nil {
			return invalid("option %d is nil; leave it out", i+1)
		}
		o.apply(c)
	}
	return nil
}

// derive fills in the defaults that depend on other options, and checks every value.
func (c *config) derive() error {
	// Under take-over two replicas may run one tick, so the tick cannot be the fence.
	c.fencing = c.fencing || c.takeover
	if c.nodeTimeout == 0 {
		c.nodeTimeout = min(max(c.ttl/10, 10*time.Millisecond), 500*time.Millisecond)
		c.nodeTimeout = min(c.nodeTimeout, c.ttl/3)
	}
	if c.maxSkew == 0 {
		c.maxSkew = DefaultMaxSkew
		if c.guardWindow > 0 {
			c.maxSkew = max(min(c.guardWindow, maxTTL), time.Second) // at most maxTTL, so that a guard that is too long is not refused as a max skew
		}
	}
	// The retention follows a lateness that was set, and a lateness that was not follows the retention.
	if c.retention == 0 {
		c.retention = DefaultRetention
		if c.anyOrder {
			c.retention = DefaultAnyOrderRetention
		}
		c.retention = min(max(c.retention, c.ttl, c.lateness+c.maxSkew, c.catchUp+c.maxSkew), maxRetention)
	}
	if !c.latenessSet && c.next != nil {
		c.lateness = min(DefaultLateness, c.retention*2/3)
	}
	return c.check()
}

func (c *config) check() error {
	switch {
	case c.ttl < minTTL || c.ttl > maxTTL:
		return invalid("TTL is %v, must be %v to %v; long jobs need no long TTL, leases are renewed", c.ttl, minTTL, maxTTL)
	case !(c.drift >= 0 && c.drift <= 0.5): // so written, it refuses NaN, too
		return invalid("drift is %v, must be 0 to 0.5 of the TTL (default %v)", c.drift, DefaultDrift)
	case c.validity() <= c.nodeTimeout:
		return invalid("TTL %v less its drift leaves %v, which must be more than the node timeout %v; raise WithTTL or lower WithDrift or WithNodeTimeout", c.ttl, c.validity(), c.nodeTimeout)
	case c.nodeTimeout < time.Millisecond || c.nodeTimeout >= c.ttl/2:
		return invalid("node timeout is %v, must be at least 1ms and less than half the TTL (%v)", c.nodeTimeout, c.ttl/2)
	case c.retention < time.Second || c.retention > maxRetention || c.retention < c.ttl:
		return invalid("retention is %v, must be 1s to %v and at least the TTL (%v)", c.retention, maxRetention, c.ttl)
	case c.maxSkew < time.Second || c.maxSkew > 24*time.Hour:
		return invalid("max skew is %v, must be 1s to 24h (default %v)", c.maxSkew, DefaultMaxSkew)
	case c.spacing < 0 || c.spacing > protocol.LastLifetime:
		return invalid("spacing is %v, must be 0 (off) to %v", c.spacing, protocol.LastLifetime)
	case c.maxHold < 0:
		return invalid("max hold is %v, must be 0 (no limit) or more", c.maxHold)
	case c.history < 0 || c.history > maxHistory:
		return invalid("history is %d runs, must be 0 (off) to %d (default %d)", c.history, maxHistory, DefaultHistory)
	case c.lateness < 0 || c.lateness >= c.retention:
		return c.staleBefore("lateness", c.lateness)
	case c.catchUp < 0 || c.catchUp >= c.retention:
		return c.staleBefore("catch-up", c.catchUp)
	case c.spread < 0 || c.spread > maxDelay || c.handicap < 0 || c.handicap > maxDelay:
		return invalid("spread is %v and handicap %v, each must be 0 (off) to %v; a claim waits up to three spreads and the handicap before it asks", c.spread, c.handicap, maxDelay)
	case 3*c.spread+c.handicap >= c.retention:
		return invalid("spread is %v and handicap %v, three spreads and the handicap must be less than the retention (%v), after which a tick is stale; lower them, or raise or leave out WithRetention", c.spread, c.handicap, c.retention)
	}
	return c.checkModes()
}

// staleBefore returns the error for a duration that is not less than the retention, after which a tick is stale.
func (c *config) staleBefore(what string, d time.Duration) error {
	return invalid("%s is %v, must be 0 (off) or more and less than the retention (%v), after which a tick is stale; lower it, or raise or leave out WithRetention, which is %v at most",
		what, d, c.retention, maxRetention)
}

func (c *config) checkModes() error {
	switch {
	case c.takeover && c.anyOrder:
		return invalid("WithTakeover and WithAnyOrder exclude each other: a take-over needs `last`, which only ticks in order have; choose one")
	case c.spacing > 0 && c.anyOrder:
		return invalid("WithSpacing and WithAnyOrder exclude each other: spacing counts from the newest tick, which only ticks in order have; choose one")
	case c.catchUp > 0 && c.anyOrder:
		return invalid("WithCatchUp and WithAnyOrder exclude each other: what was missed counts from the newest tick, which only ticks in order have; choose one")
	case c.takeover && c.owner != "":
		return invalid("WithTakeover and WithOwner exclude each other: a take-over lets every owner try again; choose one")
	case c.owner != "" && !c.anyOrder:
		return invalid("WithOwner needs WithAnyOrder: in order, a tick that was granted is done for every owner; pass both or none")
	case c.guardWindow != 0 && (c.guardWindow < c.ttl || c.guardWindow > maxTTL):
		return invalid("restart guard's longest TTL is %v, must be at least the TTL (%v) and at most %v; use the same on every Locker of the fleet", c.guardWindow, c.ttl, maxTTL)
	case c.observer == nil:
		return invalid("observer is nil; for silence pass one that does nothing, for warnings and errors in slog.Default leave WithObserver out")
	case c.random == nil:
		return invalid("token function is nil; leave WithTokenFunc out for crypto/rand")
	case c.backoff == nil:
		return invalid("back-off function is nil; leave WithBackoff out for 100 to 300 ms")
	case c.holder == "" || len(c.holder) > 256:
		return invalid("holder has %d bytes, must have 1 to 256", len(c.holder))
	case len(c.owner) > 256:
		return invalid("owner has %d bytes, must have at most 256", len(c.owner))
	}
	return nil
}

// validity returns how long a lease counts, from before its first command was sent:
// the TTL less what the nodes' clocks may gain on ours in that time.
func (c *config) validity() time.Duration {
	return c.ttl - time.Duration(float64(c.ttl)*c.drift) - driftFloor
}

// mode returns how ticks may be granted.
func (c *config) mode() protocol.Mode {
	switch {
	case c.takeover:
		return protocol.Takeover
	case c.anyOrder:
		return protocol.AnyOrder
	}
	return protocol.InOrder
}

func defaultHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}
