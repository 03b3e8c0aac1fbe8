package asynqadapter

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/internal/ticks"
)

const (
	// maxSleep bounds how long a step of the wall clock goes unnoticed.
	maxSleep = time.Minute
	// reloadLimit is how soon an entry must be registered again to go on where it was.
	reloadLimit = 10 * time.Second
	// jumpLimit is how far the wall clock must get ahead of the monotonic clock to
	// count as set forward. Slewing stays far below.
	jumpLimit = time.Second
)

// moment is an instant on both clocks. Ticks are instants of the wall clock; the
// monotonic clock shows whether that was set.
type moment struct {
	wall time.Time // without a monotonic reading
	mono time.Time
}

func (s *Scheduler) moment() moment {
	return moment{wall: s.cfg.now().Round(0), mono: time.Now()}
}

// jumped reports whether the wall clock was set forward between two moments.
func (m moment) jumped(since moment) bool {
	return m.wall.Sub(since.wall)-m.mono.Sub(since.mono) > jumpLimit
}

// fire starts the ticks that are due, and sets the timer to the next one.
func (s *Scheduler) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return
	}
	now := s.moment()
	pause := maxSleep
	for _, e := range s.entries {
		s.take(e, now)
		if !e.next.IsZero() {
			pause = min(pause, e.next.Sub(now.wall))
		}
	}
	maps.DeleteFunc(s.departed, func(_ string, e *entry) bool { return e.gone(now) })
	s.wakeAt = now.mono.Add(pause)
	s.timer.Reset(max(pause, 0))
}

// wakeBy makes fire be called by an instant of the wall clock. fire looks at all entries, so it is not called for each that is added.
// s.mu must be held.
func (s *Scheduler) wakeBy(at time.Time, now moment) {
	pause := at.Sub(now.wall)
	if due := now.mono.Add(pause); due.Before(s.wakeAt) {
		s.wakeAt = due
		s.timer.Reset(max(pause, 0))
	}
}

// take starts the due ticks of one entry. It skips over ticks that are too old instead
// of listing them: a clock may be set forward by decades, as when a machine without a
// clock battery first learns the time. s.mu must be held.
func (s *Scheduler) take(e *entry, now moment) {
	oldest, newestOnly := now.wall.Add(-s.cfg.lateness), s.cfg.newestOnly || now.jumped(e.seen)
	if now.wall.Before(e.seen.wall) {
		// The clock was set back. Ticks that come again find their task IDs taken,
		// unless they were enqueued long ago.
		e.begin(now)
		s.hide(e) // asynq's scheduler does not notice a set clock
	}
	e.seen = now
	if first := e.next; !first.IsZero() && !first.After(now.wall) {
		if first.Before(oldest) {
			first = e.schedule.after(oldest.Add(-time.Nanosecond))
		}
		if newestOnly {
			if newest := e.schedule.upTo(now.wall); newest.After(first) {
				first = newest
			}
		}
		if missed := e.next; first.After(missed) {
			err := fmt.Errorf("%w: it passed while this process was paused or its clock was set forward, as did all until %s", ErrLate, formatTick(first))
			s.work.Go(func() { s.giveUp(e, missed, e.opts, err) })
		}
		for e.next = first; !e.next.IsZero() && !e.next.After(now.wall); e.next = e.schedule.after(e.next) {
			tick := e.next
			e.previous = tick
			s.work.Go(func() { s.enqueue(e, tick) })
		}
	}
	s.show(e, now.wall)
}

// begin derives the next and previous ticks from the wall clock again.
func (e *entry) begin(now moment) {
	e.seen, e.next = now, e.schedule.after(now.wall)
	if e.previous.After(now.wall) {
		e.previous = time.Time{}
	}
}

// gone reports whether an entry was removed too long ago to be continued.
func (e *entry) gone(now moment) bool { return now.mono.Sub(e.seen.mono) > reloadLimit }

// shared is an asynq.RedisConnOpt for a client that the caller closes.
type shared struct{ redis.UniversalClient }

func (s shared) MakeRedisClient() any { return s }
func (shared) Close() error           { return nil }

// noHistory deletes no history of enqueue events, which asynq would do for each entry, one after the other, when it shuts down: the mirror
// has none.
type noHistory struct{ redis.UniversalClient }

func (c noHistory) MakeRedisClient() any { return c }

func (c noHistory) Del(ctx context.Context, keys ...string) *redis.IntCmd {
	if len(keys) == 1 && strings.HasPrefix(keys[0], "asynq:scheduler_history:") {
		return redis.NewIntCmd(ctx)
	}
	return c.UniversalClient.Del(ctx, keys...)
}

// makeMirror makes a stock scheduler that has the same entries and enqueues nothing.
// It writes the heartbeats that asynqmon and asynq.Inspector.SchedulerEntries read;
// their format is internal to asynq.
func (s *Scheduler) makeMirror() {
	if s.cfg.heartbeat == nil {
		return
	}
	r := s.cfg.heartbeat
	if client, ok := r.MakeRedisClient().(redis.UniversalClient); ok { // otherwise asynq panics
		r = noHistory{client}
	}
	s.mirror = asynq.NewScheduler(r, &asynq.SchedulerOpts{
		HeartbeatInterval: s.opts.HeartbeatInterval, Location: s.opts.Location,
		Logger: s.opts.Logger, LogLevel: max(s.opts.LogLevel, asynq.WarnLevel),
		// asynq calls this on a goroutine of its own for each tick, right before it
		// enqueues. There is no other way to stop it.
		PreEnqueueFunc: func(*asynq.Task, []asynq.Option) { runtime.Goexit() },
	})
}

// show adds an entry to the mirror. asynq counts "@every" from then on, so such an
// entry is added right after a tick. s.mu must be held.
func (s *Scheduler) show(e *entry, now time.Time) {
	_, every := e.schedule.activations.(ticks.Grid)
	if s.mirror == nil || e.shown != "" || every && now.Sub(e.previous) >= time.Second {
		return
	}
	opts := append([]asynq.Option{Name(e.name)}, e.opts...)
	e.shown, _ = s.mirror.Register(e.spec, e.task, opts...) // the spec was parsed before
}

// hide removes an entry from the mirror. s.mu must be held.
func (s *Scheduler) hide(e *entry) {
	if e.shown != "" && s.mirror != nil {
		_ = s.mirror.Unregister(e.shown)
		e.shown = ""
	}
}
