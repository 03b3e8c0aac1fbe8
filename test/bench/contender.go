package main

import (
	"context"
	"errors"
	"time"
)

// contender is one measured way to lock: a library with one of its drivers, or a
// floor, which does the least that a lock needs.
type contender struct {
	name string
	// floor marks a contender without guarantees, which shows the cost of the work itself.
	floor bool
	// maxNodes is the largest number of independent nodes it can vote on, or 0 for any.
	maxNodes int
	open     func(setup) (process, error)
}

func (c contender) takes(nodes int) bool { return c.maxNodes == 0 || nodes <= c.maxNodes }

// setup is the configuration of a process of a user's service.
type setup struct {
	addrs []string
	ttl   time.Duration
	// impatient clients have short timeouts and no retries; the others keep
	// their libraries' defaults.
	impatient bool
}

const (
	impatience = 500 * time.Millisecond
	defaultTTL = 30 * time.Second
)

// process is one process of a user's service, with its clients and a locker.
type process interface {
	// mutex returns the mutex of a name. It is used by one goroutine at a time.
	mutex(name string) mutex
	close()
}

type mutex interface {
	// try does not wait. It returns errTaken if another process has the lock.
	try(ctx context.Context) (held, error)
	// lock waits.
	lock(ctx context.Context) (held, error)
}

// held is a lock that was granted.
type held interface {
	unlock(ctx context.Context) error
}

// extender is a held lock that its user must renew.
type extender interface {
	extend(ctx context.Context) error
}

// claimer is a process that can claim each tick of a job once.
type claimer interface {
	claim(ctx context.Context, job string, tick time.Time) (held, error)
}

var errTaken = errors.New("taken")

// quorum returns a majority of n nodes.
func quorum(n int) int { return n/2 + 1 }

// contenders returns all contenders, in the order of the tables.
func contenders() []contender {
	return []contender{
		{name: tcpFloor, floor: true, open: openWire},
		{name: goredisFloor, floor: true, open: openRaw},
		{name: "redtick (go-redis)", open: openRedtickGoredis},
		{name: "redtick (rueidis)", open: openRedtickRueidis},
		{name: "redtick (redigo)", open: openRedtickRedigo},
		{name: "redsync (go-redis)", open: openRedsyncGoredis(false)},
		{name: "redsync fail-fast (go-redis)", open: openRedsyncGoredis(true)},
		{name: "redsync (rueidis)", open: openRedsyncRueidis(false)},
		{name: "redsync fail-fast (rueidis)", open: openRedsyncRueidis(true)},
		{name: "redislock", maxNodes: 1, open: openRedislock},
		{name: "rueidislock", open: openRueidislock},
	}
}

const (
	tcpFloor     = "floor: one TCP connection"
	goredisFloor = "floor: go-redis"
)
