package gocronadapter

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
)

// RunNow is job.RunNow for a scheduler that the Locker was attached to. It is
// needed only for jobs in singleton or limit mode: there, a run that RunNow
// started is not told apart from one that waited in a queue until its tick was
// over. The run takes the lock and no tick.
func (l *Locker) RunNow(j gocron.Job) error {
	l.expect(j.ID(), 1)
	err := j.RunNow()
	if err != nil {
		l.expect(j.ID(), -1)
	}
	return err
}

// expect reports whether runs of this job had been announced.
func (l *Locker) expect(id uuid.UUID, runs int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	expected := l.announced[id]
	if l.announced[id] += runs; l.announced[id] <= 0 {
		delete(l.announced, id)
	}
	return expected > 0
}

// admitRunNow decides on a run that no tick is due for.
func (l *Locker) admitRunNow(b *book) error {
	switch {
	case l.expect(b.job.ID(), -1):
		return nil
	case b.backlog.answered():
		return fmt.Errorf("%w: a run of job %q was started for a tick that stood by, and another run has picked that up", ErrNoTick, b.job.Name())
	case direct():
		return nil
	}
	return fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken by the run before; use Locker.RunNow if this was a RunNow",
		ErrNoTick, b.job.Name())
}

// direct tells whether gocron started this run without a queue, in which case
// only RunNow can have done it. gocron has no way to ask, but it calls Lock from
// another function. Where that is not recognized the run is refused.
func direct() bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.Contains(f.Function, "/gocron/v2.(*executor).start.") {
			return true
		}
	}
	return false
}
