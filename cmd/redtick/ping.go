package main

import (
	"context"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
)

const pingVariable = "REDTICK_PING"

// pings makes the calls of --ping and ping=. The URLs have been checked.
type pings struct{ *checkin.Calls }

func newPings() *pings { return &pings{checkin.New()} }

// around calls the URL at before and after run. If at is "", it only calls run.
func (p *pings) around(at string, lease *redlock.Lease, run func() error) error {
	if at == "" {
		return run()
	}
	_ = p.Call(at, checkin.Start, lease.Token())
	err, step := run(), checkin.Success
	if err != nil {
		step = checkin.Failure
	}
	_ = p.Call(at, step, lease.Token())
	return err
}

// close waits for the last calls, which may be both calls of a run.
func (p *pings) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*checkin.Timeout)
	defer cancel()
	_ = p.Close(ctx)
}
