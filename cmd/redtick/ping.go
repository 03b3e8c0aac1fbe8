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

func (p *pings) begin(at string, lease *redlock.Lease) { p.call(at, checkin.Start, lease) }

func (p *pings) end(at string, lease *redlock.Lease, result error) {
	step := checkin.Success
	if result != nil {
		step = checkin.Failure
	}
	p.call(at, step, lease)
}

func (p *pings) call(at string, step checkin.Step, lease *redlock.Lease) {
	if at != "" {
		_ = p.Call(at, step, lease.Token())
	}
}

// close waits for the last calls, which may be the first and the last of a run.
func (p *pings) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*checkin.DefaultTimeout)
	defer cancel()
	_ = p.Close(ctx)
}
