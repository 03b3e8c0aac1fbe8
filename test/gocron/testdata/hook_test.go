package gocron

import "github.com/jonboulle/clockwork"

// SchedulerUnderTest makes the schedulers of gocron's tests. A script has put it there in place of NewScheduler.
var SchedulerUnderTest = NewScheduler

// ClockOf returns the clock that a scheduler with these options has.
func ClockOf(opts []SchedulerOption) (clockwork.Clock, error) {
	s, err := NewScheduler(opts...)
	if err != nil {
		return nil, err
	}
	_ = s.Shutdown() // has nothing to stop
	return s.(*scheduler).exec.clock, nil
}
