package gocronadapter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
)

// ledger records the runs of all replicas of a fleet. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	runs    map[string]map[time.Time]int // by job and tick; the zero tick is that of runs without one
	refused map[string][]error
	running map[string]int
	overlap bool          // two runs of one job at one time
	lag     time.Duration // the longest from a tick to the start of its run
	delays  []span        // from ticks to the starts of their runs, when those were long
}

// span is a stretch of time.
type span struct{ from, to time.Time }

func newLedger() *ledger {
	return &ledger{runs: make(map[string]map[time.Time]int), refused: make(map[string][]error), running: make(map[string]int)}
}

// task works for so long and writes down its tick.
func (l *ledger) task(job string, work time.Duration) gocron.Task {
	return gocronadapter.Task(func(ctx context.Context) error {
		tick, _ := redlock.TickFrom(ctx)
		l.begin(job, tick)
		defer l.end(job)
		time.Sleep(work)
		return nil
	})
}

func (l *ledger) begin(job string, tick time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[job] == nil {
		l.runs[job] = make(map[time.Time]int)
	}
	l.runs[job][tick]++
	if !tick.IsZero() {
		now := time.Now()
		l.lag = max(l.lag, now.Sub(tick))
		if now.Sub(tick) > 200*time.Millisecond {
			l.delays = append(l.delays, span{tick, now})
		}
	}
	if l.running[job]++; l.running[job] > 1 {
		l.overlap = true
	}
}

func (l *ledger) end(job string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[job]--
}

// delayed reports whether any run was late between the two.
func (l *ledger) delayed(from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.delays, func(s span) bool { return s.from.Before(to) && s.to.After(from) })
}

// refusals is the job option that writes down what Lock refused.
func (l *ledger) refusals() gocron.JobOption {
	return gocron.WithEventListeners(gocron.AfterLockError(func(_ uuid.UUID, job string, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused[job] = append(l.refused[job], err)
	}))
}

// of returns the ticks of the job's runs, in order; a tick that ran twice is in it twice.
func (l *ledger) of(job string) (ticks []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tick, n := range l.runs[job] {
		for range n {
			ticks = append(ticks, tick)
		}
	}
	slices.SortFunc(ticks, time.Time.Compare)
	return ticks
}

// refusedFor counts the refusals that match each of the reasons; what matches none is an error.
func (l *ledger) refusedFor(t *testing.T, job string, reasons ...error) []int {
	t.Helper()
	counts := make([]int, len(reasons))
	for _, err := range l.refusalsOf(job) {
		i := slices.IndexFunc(reasons, func(reason error) bool { return errors.Is(err, reason) })
		if i < 0 {
			t.Errorf("job %s was refused: %v", job, err)
			continue
		}
		counts[i]++
	}
	return counts
}

func (l *ledger) refusalsOf(job string) []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.refused[job])
}

// withoutTick counts the job's runs that had none.
func (l *ledger) withoutTick(job string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[job][time.Time{}]
}

// tally counts the ticks of a grid by how often they ran. Runs beside the grid are an error.
func (l *ledger) tally(t *testing.T, job string, first, last time.Time, interval time.Duration) (byRuns map[int]int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	byRuns = make(map[int]int)
	for tick := first; !tick.After(last); tick = tick.Add(interval) {
		byRuns[l.runs[job][tick.UTC()]]++
	}
	for tick := range l.runs[job] {
		if !tick.Equal(tick.Truncate(interval)) {
			t.Errorf("job %s ran for %v, which is no tick", job, tick)
		}
	}
	return byRuns
}

// asking is what became of one tick.
type asking struct {
	times      int // how often Lock was called for it
	ran        bool
	unanswered bool // too few nodes answered one of the calls
	inTheWay   bool // the run of an earlier tick was under way
	refused    []error
}

// asked sorts the job's calls of Lock by their ticks, in Unix ms. A refusal that
// names no tick, or has another reason than the nodes and the other replicas, is
// an error, unless gocron was stopping.
func (l *ledger) asked(t *testing.T, job string) map[int64]asking {
	t.Helper()
	ticks := make(map[int64]asking)
	for _, tick := range l.of(job) {
		q := ticks[tick.UnixMilli()]
		ticks[tick.UnixMilli()] = asking{times: q.times + 1, ran: true}
	}
	for _, err := range l.refusalsOf(job) {
		var refusal *redlock.Error
		unanswered := errors.Is(err, redlock.ErrNoQuorum)
		switch {
		case errors.Is(err, context.Canceled):
			continue
		case !errors.As(err, &refusal) || !unanswered && !errors.Is(err, redlock.ErrTickDone) && !errors.Is(err, redlock.ErrTaken):
			t.Errorf("job %s was refused: %v", job, err)
			continue
		}
		q := ticks[refusal.Tick.UnixMilli()]
		theirs := redlock.TickOf(refusal.Holder)
		inTheWay := errors.Is(err, redlock.ErrTaken) && !theirs.IsZero() && theirs.Before(refusal.Tick)
		ticks[refusal.Tick.UnixMilli()] = asking{q.times + 1, q.ran, q.unanswered || unanswered, q.inTheWay || inTheWay, append(q.refused, err)}
	}
	return ticks
}

// noWarning is an observer to which a warning is an error.
func noWarning(t *testing.T) redlock.Observer {
	return func(e redlock.Event) {
		if e.Kind == gocronadapter.Warning {
			t.Errorf("warned: %v", e.Err)
		}
	}
}
