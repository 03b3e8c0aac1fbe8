package main

import (
	"context"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
)

const pingVariable = "REDTICK_PING"

// pings are the calls of --ping and ping=. Without a URL they do nothing. The URLs were checked before.
type pings struct{ *checkin.Calls }

func newPings() *pings { return &pings{checkin.New()} }

// around calls at before and after a run.
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

// close waits for the last calls, which may be the first and the last of a run.
func (p *pings) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*checkin.Timeout)
	defer cancel()
	_ = p.Close(ctx)
}
