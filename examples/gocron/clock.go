package main

import (
	"time"

	"github.com/jonboulle/clockwork"
)

// clock is a wall clock that is wrong by a fixed amount. Its timers run at the right
// speed.
type clock struct {
	clockwork.Clock
	ahead time.Duration
}

func shifted(ahead time.Duration) clock { return clock{clockwork.NewRealClock(), ahead} }

func (c clock) Now() time.Time                  { return c.Clock.Now().Add(c.ahead) }
func (c clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }
func (c clock) Until(t time.Time) time.Duration { return t.Sub(c.Now()) }
