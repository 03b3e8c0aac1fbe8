package dashboard

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

const (
	// rereadAfter is for the ticks that came and went between two looks.
	rereadAfter = 15 * time.Second
	// readAtMost bounds the reading of one name's ticks: the page waits for it.
	readAtMost = 2 * time.Second
)

// strips are the last ticks of each name. What the nodes remember is read when
// a name is first seen; from then on the newest tick is in every answer, and
// the rest is read again now and then, since that scans.
type strips struct {
	named map[string]*strip
	next  time.Time
}

type strip struct {
	ticks []tick // oldest first
	fresh bool   // there are ticks that a reading has not seen
	next  time.Time
}

func (s *strips) of(name string) []tick {
	if s.named[name] == nil {
		return nil
	}
	return s.named[name].ticks
}

// update notes what the answers tell, and reads what is due: who waited
// longest comes first.
func (s *strips) update(ctx context.Context, p *Page, infos []*inspect.Info) {
	known := map[string]bool{}
	var due []string
	for _, info := range infos {
		known[info.Name] = true
		if s.note(info) {
			due = append(due, info.Name)
		}
	}
	maps.DeleteFunc(s.named, func(name string, _ *strip) bool { return !known[name] })
	slices.SortStableFunc(due, func(a, b string) int { return s.named[a].next.Compare(s.named[b].next) })
	s.read(ctx, p, due)
}

// read reads the ticks of these names for no longer than the page would rest
// between two looks.
func (s *strips) read(ctx context.Context, p *Page, due []string) {
	begin := time.Now()
	if len(due) == 0 || begin.Before(s.next) {
		return
	}
	end := begin
	for _, name := range due {
		if end.Sub(begin) > p.interval/2 {
			break
		}
		s.named[name].read(ctx, p, name)
		end = time.Now()
	}
	s.next = end.Add(end.Sub(begin) * (share - 1))
}

// note reports whether the name's ticks are due to be read.
func (s *strips) note(info *inspect.Info) (due bool) {
	if info.LastTick.IsZero() && info.Tick.IsZero() {
		return false
	}
	if s.named[info.Name] == nil {
		s.named[info.Name] = &strip{fresh: true}
	}
	strip := s.named[info.Name]
	strip.add(info.LastTick, info.LastHolder)
	strip.add(info.Tick, info.Holder)
	return strip.fresh && !time.Now().Before(strip.next)
}

func (s *strip) add(at time.Time, holder string) {
	if at.IsZero() {
		return
	}
	i, found := slices.BinarySearchFunc(s.ticks, at, func(t tick, at time.Time) int { return t.At.Compare(at) })
	switch {
	case !found:
		// A copy, because viewers may be reading the old one.
		s.ticks = slices.Insert(slices.Clone(s.ticks), i, tick{At: at, Holder: holder})
		s.ticks = s.ticks[max(0, len(s.ticks)-maxTicks):]
		s.fresh = true
	case holder != "" && holder != s.ticks[i].Holder:
		s.ticks = slices.Clone(s.ticks)
		s.ticks[i].Holder = holder
	}
}

func (s *strip) read(ctx context.Context, p *Page, name string) {
	ctx, cancel := context.WithTimeout(ctx, readAtMost)
	defer cancel()
	ticks, err := p.inspector.Ticks(ctx, name, maxTicks)
	for _, t := range ticks {
		s.add(t.Tick, t.Holder)
	}
	s.fresh = err != nil
	s.next = time.Now().Add(rereadAfter)
}
