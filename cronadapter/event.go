package cronadapter

import (
	"time"

	"github.com/redtick/redtick/redlock"
)

// The kinds of events that this package adds to redlock's. Their Err says why.
const (
	// Warning: a schedule works, but will surprise. Err matches [ErrSchedule].
	Warning redlock.EventKind = "warning"
)

func (a *Adapter) report(kind redlock.EventKind, name string, tick time.Time, err error) {
	a.locker.Report(redlock.Event{Kind: kind, Name: name, Tick: tick, Err: err})
}
