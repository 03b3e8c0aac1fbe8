package cronadapter

import (
	"time"

	"github.com/redtick/redtick/redlock"
)

// Event kinds that this package adds to redlock's.
const (
	// Warning means that a schedule works, but may differ between replicas. Err
	// matches [ErrSchedule].
	Warning redlock.EventKind = "warning"
)

func (a *Adapter) report(kind redlock.EventKind, name string, tick time.Time, err error) {
	a.locker.Report(redlock.Event{Kind: kind, Name: name, Tick: tick, Err: err})
}
