package main

import (
	"context"
	"errors"

	"github.com/redis/rueidis/rueidislock"
)

// rueidislockProcess does not vote on independent nodes: rueidislock takes a
// majority of keys of one deployment. Where others get n nodes it gets n keys
// on the first one.
type rueidislockProcess struct{ rueidislock.Locker }

func openRueidislock(s setup) (process, error) {
	l, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: s.rueidisOption(s.addrs[0]), KeyValidity: s.ttl,
		// The default, ttl/2, would renew less often than the other contenders.
		ExtendInterval: s.ttl / 3, KeyMajority: int32(quorum(len(s.addrs))), NoLoopTracking: true,
	})
	return rueidislockProcess{l}, err
}

func (p rueidislockProcess) close()                  { p.Close() }
func (p rueidislockProcess) mutex(name string) mutex { return rueidislockMutex{p, name} }

type rueidislockMutex struct {
	process rueidislockProcess
	name    string
}

func (m rueidislockMutex) try(ctx context.Context) (held, error) {
	_, release, err := m.process.TryWithContext(ctx, m.name)
	if errors.Is(err, rueidislock.ErrNotLocked) {
		return nil, errTaken
	}
	return rueidislockHeld(release), err
}

func (m rueidislockMutex) lock(ctx context.Context) (held, error) {
	_, release, err := m.process.WithContext(ctx, m.name)
	return rueidislockHeld(release), err
}

type rueidislockHeld context.CancelFunc

func (h rueidislockHeld) unlock(context.Context) error {
	h()
	return nil
}
