package gocronadapter

import (
	"time"

	"github.com/redtick/redtick/redlock"
)

// Warning is the kind of an event about a schedule that works but will
// surprise. Its Err matches [ErrSchedule] and says what and why.
const Warning redlock.EventKind = "warning"

// report hands an event of this package to the Locker's observer.
func (l *Locker) report(e redlock.Event) {
	e.At = time.Now()
	l.locker.Report(e)
}
