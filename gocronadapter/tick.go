package gocronadapter

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

const (
	// early is how far ahead of its tick a run may start and still be taken for it.
	early = time.Millisecond
	// lookAhead is how many ticks are asked for at first, and at most.
	lookAhead, maxLookAhead = 16, 1 << 16
	// maxSpacing is how long redlock remembers the last tick.
	maxSpacing = 7 * 24 * time.Hour
)

// book is what one replica knows about the ticks of one job.
type book struct {
	job gocron.Job

	mu    sync.Mutex
	armed time.Time   // when the timer of the tick that is due next was set, about
	asked time.Time   // the newest tick that was asked for
	known []time.Time // the ticks that were foreseen then
}

func (l *Locker) plan(ctx context.Context, key string) (plan, error) {
	s := l.attached()
	if s == nil {
		// A timer is late more easily than early: a wall clock has to be set back for that.
		return plan{tick: l.clock.Now().Add(l.window / 10).Truncate(l.window)}, nil
	}
	b, err := l.book(ctx, s, key)
	if err != nil {
		return plan{}, err
	}
	p := plan{spacing: spacingOf(b.job.Schedule())}
	p.tick, err = ask(ctx, func() (time.Time, error) { return b.tick(l.clock.Now()) })
	if err == nil && p.tick.IsZero() {
		err = l.runNow(b.job)
	}
	return p, err
}

// spacingOf serves the schedules whose ticks may differ from replica to
// replica. A tenth is left for clocks that differ.
func spacingOf(s gocron.JobSchedule) time.Duration {
	var d time.Duration
	switch s := s.(type) {
	case gocron.DurationJobSchedule:
		d = s.Duration
	case gocron.DurationRandomJobSchedule:
		d = s.Min
	}
	return min(d-d/10, maxSpacing)
}

// tick is the newest one that is due, or zero: then the schedule did not start this run.
func (b *book) tick(now time.Time) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due := b.due(now)
	if _, random := b.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		return b.randomTick(now, due)
	}
	ticks, err := foresee(b.job, due)
	if err != nil {
		return time.Time{}, err
	}
	// gocron forgets a tick that came due while Lock was busy with the one before.
	for _, t := range b.known {
		if t.After(b.asked) {
			ticks = append(ticks, t)
		}
	}
	newest := newestDue(ticks, due)
	if newest.IsZero() {
		return newest, nil
	}
	b.armed, b.asked, b.known = now, newest, ticks
	if startedAtOnce(b.job.Schedule(), newest) {
		return time.Time{}, nil
	}
	return newest.Round(0), nil
}

// randomTick: replicas have no tick in common, so it is the moment that counts.
// NextRuns would race with gocron for the job's random numbers.
func (b *book) randomTick(now, due time.Time) (time.Time, error) {
	next, err := b.job.NextRun()
	if err != nil || next.IsZero() || next.Round(0).After(due) {
		return time.Time{}, err
	}
	b.armed = now
	return now.Round(0), nil
}

// due is the later of two readings: the wall clock, and where it would be had
// nobody set it back since the timer was set.
func (b *book) due(now time.Time) time.Time {
	wall := now.Round(0)
	steady := b.armed.Round(0).Add(now.Sub(b.armed))
	if steady.After(wall) {
		wall = steady
	}
	return wall.Add(early)
}

// foresee lists the job's ticks until one lies in the future.
func foresee(job gocron.Job, due time.Time) ([]time.Time, error) {
	for n := lookAhead; ; n *= 2 {
		ticks, err := job.NextRuns(n)
		if err != nil {
			return nil, err
		}
		ticks = slices.Clone(ticks)
		if end := slices.IndexFunc(ticks, time.Time.IsZero); end >= 0 {
			return ticks[:end], nil // a one-time job starts from the beginning again after that
		}
		if len(ticks) < n || n >= maxLookAhead || ticks[n-1].Round(0).After(due) {
			return ticks, nil
		}
	}
}

func newestDue(ticks []time.Time, due time.Time) (newest time.Time) {
	for _, t := range ticks {
		if t = t.Round(0); !t.After(due) && t.After(newest) {
			newest = t
		}
	}
	return newest
}

// startedAtOnce: WithStartImmediately makes the instant of the start the first tick.
func startedAtOnce(s gocron.JobSchedule, tick time.Time) bool {
	switch s.(type) {
	case gocron.CronJobSchedule, gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
		return tick.Nanosecond() != 0
	}
	return false
}

// runNow lets a run without a tick pass if it is known to be nobody's: RunNow
// was called. A run that waited in one of gocron's queues has lost its tick too.
func (l *Locker) runNow(job gocron.Job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked[job.ID()] > 0 {
		l.asked[job.ID()]--
		return nil
	}
	if direct() {
		return nil
	}
	return fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken; use Locker.RunNow if it was a RunNow", ErrNoTick, job.Name())
}

// direct tells whether gocron runs the job without a queue.
func direct() bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/gocron/v2.(*executor).start.") {
			return true
		}
		if !more {
			return false
		}
	}
}

func scheduleText(s gocron.JobSchedule) string {
	switch s := s.(type) {
	case gocron.CronJobSchedule:
		return fmt.Sprintf("cron %q", s.Crontab)
	case gocron.DurationJobSchedule:
		return fmt.Sprintf("every %v", s.Duration)
	}
	return fmt.Sprintf("%T", s)
}
