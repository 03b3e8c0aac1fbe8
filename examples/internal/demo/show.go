package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	readyLimit = 20 * time.Second
	// headStart is the least time until the first tick that counts.
	headStart = 300 * time.Millisecond
	// patience is how long after a tick, by the slowest clock, it counts as missed.
	patience = 900 * time.Millisecond
	redraw   = 100 * time.Millisecond
	// memory is how long printed rows are kept.
	memory = time.Minute
)

// errReported is a failure that the view has shown already.
var errReported = errors.New("not every tick was run exactly once, or the show went wrong")

// show is the parent's side of a demo.
type show struct {
	demo   Demo
	opts   options
	redis  *Redis
	prefix string
	counts string // path of the file in which runs are counted
	view   *view

	events chan event
	fleet  []*process
	board  board
	ledger *ledger

	first    time.Time   // the first tick that counts
	next     []time.Time // by job, the next tick to expect
	soFar    verdict     // on the printed ticks
	ready    int
	killed   bool
	stopping bool
	failures []string
}

// play runs the demo until its ticks are over or ctx is done, and returns an error if it
// failed.
func play(ctx context.Context, d Demo, o options, v *view) (err error) {
	dir, err := os.MkdirTemp("", "redtick-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &show{
		demo: d, opts: o, view: v, ledger: newLedger(),
		prefix: filepath.Base(dir) + ":", counts: filepath.Join(dir, "runs"),
		board:  board{dead: map[string]string{}},
		events: make(chan event, 1024), next: make([]time.Time, len(d.Jobs)),
	}
	if err := os.WriteFile(s.counts, nil, 0o600); err != nil {
		return err
	}
	if s.redis, err = OpenRedis(ctx); err != nil {
		return err
	}
	defer s.redis.Close()
	defer s.stopFleet()
	if err := s.startFleet(ctx); err != nil {
		return err
	}
	s.introduce()
	end := s.watch(ctx)
	s.stopFleet()
	s.sweep()
	return s.conclude(end)
}

// sweep deletes the demo's keys on real nodes, which would stay for the retention.
func (s *show) sweep() {
	if s.redis.Embedded {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := s.redis.sweep(ctx, s.prefix); err != nil {
		s.view.print(fmt.Sprintf("keys with %q in their names are left on some nodes, until they expire: %v", s.prefix, err))
	}
}

// watch follows the fleet, and returns the end of the ticks that were watched to the
// end.
func (s *show) watch(ctx context.Context) time.Time {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.seen()
		case e := <-s.events:
			s.take(e)
		case <-tick.C:
		}
		now := time.Now()
		s.expect(now)
		s.maybeKill(now)
		s.settle(now)
		s.redraw()
		if s.opts.ticks > 0 && !s.seen().Before(s.end()) {
			return s.end()
		}
	}
}

// end returns when the ticks that count are over, or the zero time for never.
func (s *show) end() time.Time {
	if s.opts.ticks == 0 {
		return time.Time{}
	}
	return s.first.Add(time.Duration(s.opts.ticks) * s.demo.Jobs[0].Every)
}

// seen returns the end of the printed ticks.
func (s *show) seen() time.Time {
	for _, r := range s.board.rows {
		if !r.shown {
			return r.tick
		}
	}
	return s.next[0]
}

// expect adds a row for each tick that is due, so that one that no replica asks for is
// shown too.
func (s *show) expect(now time.Time) {
	for i, job := range s.demo.Jobs {
		for !s.next[i].After(now) && s.counting(s.next[i]) {
			s.board.row(job.Name, i, s.next[i])
			s.next[i] = s.next[i].Add(job.Every)
		}
	}
}

// counting reports whether a tick is one of those that count.
func (s *show) counting(tick time.Time) bool {
	end := s.end()
	return !s.first.IsZero() && !tick.Before(s.first) && (end.IsZero() || tick.Before(end))
}

// take handles an event of a replica.
func (s *show) take(e event) {
	p := s.process(e.Replica)
	switch e.Kind {
	case ready:
		s.ready++
	case gone:
		s.bury(p, e.Text)
	case trouble:
		s.say(yellow, "%s says: %s", p.Name, e.Text)
	case ended:
		p.running--
	case began:
		p.running++
		s.ledger.report(e.Job, e.Tick, e.Replica)
		s.answer(p, e)
	case refused:
		s.answer(p, e)
	}
}

// answer puts a run or a refusal in its row.
func (s *show) answer(p *process, e event) {
	if !s.counting(e.Tick) || s.stopping {
		return
	}
	if e.Kind == began {
		p.ran++
	} else {
		p.refused++
	}
	r := s.board.row(e.Job, s.order(e.Job), e.Tick)
	r.put(e)
	if r.shown && e.Kind == began {
		s.say(red, "%s ran %s of %s late, %v after its tick", p.Name, e.Job, clockTime(e.Tick), e.At.Sub(e.Tick).Round(time.Millisecond))
	}
}

func (s *show) order(job string) int {
	for i, j := range s.demo.Jobs {
		if j.Name == job {
			return i
		}
	}
	return len(s.demo.Jobs)
}

// settle prints the rows that are complete, in order.
func (s *show) settle(now time.Time) {
	kept := 0
	for i, r := range s.board.rows {
		if r.shown && now.Sub(r.tick) > memory {
			kept = i + 1
		}
	}
	s.board.rows = s.board.rows[kept:]
	for _, r := range s.board.rows {
		if r.shown {
			continue
		}
		if !r.settled(s.living()) && now.Before(r.tick.Add(s.opts.behind()+patience)) {
			return
		}
		r.shown = true
		s.view.print(s.board.line(s.view, r, true))
		s.soFar = s.ledger.judge(s.demo.Jobs[0], s.first, s.seen())
	}
}

// say prints a line with the time.
func (s *show) say(c colour, format string, args ...any) {
	text := clockTime(time.Now()) + "  " + fmt.Sprintf(format, args...)
	s.view.print(s.view.paint(c, text))
}

// fail prints a failure, which makes the demo fail.
func (s *show) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.failures = append(s.failures, text)
	s.say(red, "%s", text)
}
