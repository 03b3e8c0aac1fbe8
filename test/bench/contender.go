package main

import (
	"context"
	"errors"
	"time"
)

// contender is one way to lock that is measured: a library behind one of its
// drivers, or a floor that does the least that a lock needs.
type contender struct {
	name string
	// floor: it promises nothing; it shows what the work itself costs.
	floor bool
	// maxNodes is how many independent nodes it can vote on, 0 for any number.
	maxNodes int
	open     func(setup) (process, error)
}

func (c contender) takes(nodes int) bool { return c.maxNodes == 0 || nodes <= c.maxNodes }

// setup is what a process of a user's service is started with.
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

// process is what one process of a user's service holds: its clients and a
// locker over them.
type process interface {
	// mutex describes a name. One goroutine at a time uses what it returns.
	mutex(name string) mutex
	close()
}

type mutex interface {
	// try answers at once; errTaken when another has it.
	try(ctx context.Context) (held, error)
	// lock waits.
	lock(ctx context.Context) (held, error)
}

// held is a lock that was granted.
type held interface {
	unlock(ctx context.Context) error
}

// extender is a held lock that is kept alive by its user.
type extender interface {
	extend(ctx context.Context) error
}

// claimer is a process that is granted each tick of a job once.
type claimer interface {
	claim(ctx context.Context, job string, tick time.Time) (held, error)
}

var errTaken = errors.New("taken")

// quorum is a majority of n nodes.
func quorum(n int) int { return n/2 + 1 }

// contenders in the order of the tables.
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
