package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
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
	Leader              bool // held without a tick: a lock or a leadership
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

// look asks the nodes, one look at a time: viewers share what is remembered.
func (p *Page) look(ctx context.Context) look {
	p.turn.Lock()
	defer p.turn.Unlock()
	l := look{ReadOnly: !p.release}
	for _, n := range p.inspector.Nodes(ctx) {
		l.Nodes = append(l.Nodes, describe(n))
	}
	names, more, err := p.roster.list(ctx, p)
	infos, showErr := p.show(ctx, names)
	p.strips.update(ctx, p, infos)
	for _, info := range infos {
		l.Names = append(l.Names, p.name(info))
	}
	if err == nil {
		err = showErr
	}
	if err != nil {
		l.Error = err.Error()
	}
	l.More, l.At = more, time.Now()
	return l
}

func describe(n inspect.Node) node {
	shown := node{Name: n.Name, Version: n.Version, Persistence: n.Persistence,
		RoundTrip: n.RoundTrip.Microseconds(), ClockOffset: n.ClockOffset.Microseconds()}
	if n.Err != nil {
		shown.Error = n.Err.Error()
	}
	return shown
}

// show asks about all names at once, so that the questions travel together and
// a silent node costs one wait. The error is one of theirs.
func (p *Page) show(ctx context.Context, names []string) (infos []*inspect.Info, err error) {
	infos = make([]*inspect.Info, len(names))
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, each := range names {
		all.Go(func() { infos[i], errs[i] = p.inspector.Show(ctx, each) })
	}
	all.Wait()
	for _, each := range errs {
		if err == nil {
			err = each
		}
	}
	return infos, err
}

func (p *Page) name(info *inspect.Info) name {
	shown := name{Name: info.Name, Holder: info.Holder, Token: info.Token, Remaining: info.Remaining.Milliseconds(),
		Fence: info.Fence, Waiters: info.Waiters, Ticks: p.strips.of(info.Name)}
	for _, v := range info.Votes {
		if v.Token != "" && v.Token == info.Token {
			shown.Votes++
		}
	}
	shown.Leader = info.Token != "" && len(shown.Ticks) == 0
	return shown
}
