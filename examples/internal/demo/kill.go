package demo

import (
	"slices"
	"time"
)

// maybeKill kills one replica half way: the one that ran the last tick.
func (s *show) maybeKill(now time.Time) {
	after := s.opts.killAfter()
	half := s.first.Add(time.Duration(after-1) * s.demo.Jobs[0].Every)
	if s.killed || after == 0 || now.Before(half) {
		return
	}
	if p := s.winner(); p != nil && s.betweenRuns(p, now) {
		s.killed = true
		s.strike(p)
	}
}

// betweenRuns reports whether the replica may be killed: about half way between two
// ticks by its own clock, when it asks for none. Until the last two ticks, no job may
// be running there either, so that no run is cut off.
func (s *show) betweenRuns(p *process, now time.Time) bool {
	every := s.demo.Jobs[0].Every
	since := now.Add(p.Skew).Sub(s.first) % every
	if since < every*4/10 || since > every*7/10 {
		return false
	}
	return p.running == 0 || s.opts.ticks > 0 && now.After(s.end().Add(-2*every))
}

// strike kills the process and says whether that cuts off a run.
func (s *show) strike(p *process) {
	state := "It was between two runs"
	if p.running > 0 {
		state = "Its run is cut off, and nobody repeats it"
	}
	p.fate = "killed"
	p.kill()
	s.say(yellow, "kill -9 %d: replica %s, which ran the last tick, is dead.", p.cmd.Process.Pid, p.Name)
	s.say(yellow, "%s. The ticks go on: %d left.", state, len(s.living())-1)
}

// winner returns the living process that last ran a tick of the first job, or nil.
func (s *show) winner() *process {
	for _, r := range slices.Backward(s.board.rows) {
		if r.order != 0 || r.runs == 0 {
			continue
		}
		for _, p := range s.fleet {
			if c := r.cells[p.Name]; c != nil && c.ran && p.alive {
				return p
			}
		}
	}
	return nil
}
