package dashboard

import (
	"context"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock"
)

const (
	maxNames = 200
	maxTicks = 40
)

// look is what the page shows at one moment.
type look struct {
	At       time.Time
	Names    []name
	More     bool // there are more names than are shown
	Nodes    []node
	Error    string
	ReadOnly bool
}

type name struct {
	Name, Holder, Token string
	Remaining           int64 // milliseconds
	Fence               int64
	Waiters, Votes      int
	Leader              bool // held, and no tick was ever claimed: a lock or a leadership
	Ticks               []tick
}

type tick struct {
	At     time.Time
	Holder string
}

type node struct {
	Name, Error, Version, Persistence string
	RoundTrip, ClockOffset            int64 // microseconds
}

// look asks the nodes once.
func (p *Page) look(ctx context.Context) look {
	l := look{At: time.Now(), ReadOnly: !p.release}
	for _, n := range p.inspector.Nodes(ctx) {
		shown := node{Name: n.Name, Version: n.Version, Persistence: n.Persistence,
			RoundTrip: n.RoundTrip.Microseconds(), ClockOffset: n.ClockOffset.Microseconds()}
		if n.Err != nil {
			shown.Error = n.Err.Error()
		}
		l.Nodes = append(l.Nodes, shown)
	}
	names, more, err := p.inspector.Names(ctx, p.names, maxNames)
	l.More = more
	for _, each := range names {
		shown, showErr := p.name(ctx, each)
		if err == nil {
			err = showErr
		}
		l.Names = append(l.Names, shown)
	}
	if err != nil {
		l.Error = err.Error()
	}
	return l
}

func (p *Page) name(ctx context.Context, of string) (name, error) {
	info, err := p.inspector.Show(ctx, of)
	shown := name{Name: of, Holder: info.Holder, Token: info.Token, Remaining: info.Remaining.Milliseconds(),
		Fence: info.Fence, Waiters: info.Waiters}
	for _, v := range info.Votes {
		if v.Token != "" && v.Token == info.Token {
			shown.Votes++
		}
	}
	if info.LastTick.IsZero() {
		shown.Leader = info.Token != ""
		return shown, err
	}
	var ticks []redlock.TickInfo
	if err == nil {
		ticks, err = p.inspector.Ticks(ctx, of, maxTicks)
	}
	for _, t := range ticks {
		shown.Ticks = append(shown.Ticks, tick{At: t.Tick, Holder: t.Holder})
	}
	slices.Reverse(shown.Ticks)
	return shown, err
}
