package demo

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// introduce explains the demo.
func (s *show) introduce() {
	v := s.view
	v.print(
		v.paint(bold, fmt.Sprintf("%s, one %s, %s", replicas(len(s.fleet)), s.demo.Schedule, s.redis)),
		s.demo.Explain(), "")
	for _, job := range s.demo.Jobs {
		v.print(fmt.Sprintf("  job %-*s every %v, takes %v", jobWidth, job.Name, job.Every, job.Lasts))
	}
	for _, p := range s.fleet {
		v.print(fmt.Sprintf("  replica %s   process %d, clock %s", p.Name, p.cmd.Process.Pid, offset(p.Skew)))
	}
	if after := s.opts.killAfter(); after > 0 {
		v.print(fmt.Sprintf("  after %d ticks or so the replica that ran the last one is killed (-no-kill spares it)", after))
	}
	v.print("",
		"Each line is a tick: what every replica got when it asked for it, and when that was. A",
		"clock that is 40 ms ahead asks 40 ms before the tick.",
		"  RAN    it ran the job",
		"  done   refused: another replica has claimed this tick",
		"  taken  refused: another replica runs this job right now",
		"", v.paint(bold, s.board.heading()))
}

// redraw shows the rows that are not complete yet and the state of the replicas.
func (s *show) redraw() {
	var block []string
	for _, r := range s.board.rows {
		if !r.shown {
			block = append(block, s.board.line(s.view, r, false))
		}
	}
	block = append(block, "")
	for _, p := range s.fleet {
		state, c := "up", green
		if !p.alive || p.fate != "" {
			state, c = p.fate, red
		}
		block = append(block, fmt.Sprintf("  %s  clock %9s  %s  ran %-4d refused %d",
			p.Name, offset(p.Skew), s.view.paint(c, fmt.Sprintf("%-7s", state)), p.ran, p.refused))
	}
	s.view.draw(append(block, "", fmt.Sprintf("  %s so far; Ctrl-C stops", s.soFar))...)
}

// conclude compares the two counts and prints the verdict on each job.
func (s *show) conclude(end time.Time) error {
	v := s.view
	v.draw()
	v.print("")
	s.audit(end)
	for _, failure := range s.failures {
		what, _, _ := strings.Cut(failure, "\n")
		v.print(v.paint(red, "went wrong: "+what))
	}
	good := true
	for i := len(s.demo.Jobs) - 1; i >= 0; i-- {
		job := s.demo.Jobs[i]
		verdict := s.ledger.judge(job, s.first, end)
		good = good && verdict.good()
		line := verdict.String()
		if i > 0 {
			line = fmt.Sprintf("job %s: %s", job.Name, line)
		}
		v.print(v.paint(mark(verdict), line))
	}
	if !good || len(s.failures) > 0 {
		return errReported
	}
	return nil
}

// audit compares the replicas' reports with the file.
func (s *show) audit(end time.Time) {
	file, err := os.Open(s.counts)
	if err != nil {
		s.fail("the count of runs is unreadable: %v", err)
		return
	}
	defer file.Close()
	if err := s.ledger.readCounts(file); err != nil {
		s.fail("the count of runs is damaged: %v", err)
	}
	for _, difference := range s.ledger.differences() {
		s.fail("the two counts differ: %s", difference)
	}
	if len(s.failures) == 0 {
		s.view.print(fmt.Sprintf("%d runs, reported by the replicas and counted in a file by the jobs: both agree.", s.ledger.total(s.first, end)))
	}
}

func mark(v verdict) colour {
	if v.good() {
		return green
	}
	return red
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}

func offset(d time.Duration) string {
	if d > 0 {
		return "+" + d.String()
	}
	return d.String()
}
