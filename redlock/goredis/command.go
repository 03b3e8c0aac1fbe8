package goredis

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// command is a go-redis command that is sent at most once.
type command struct {
	redis.Cmd
	written bool
}

// newCommand hands the shared slice on as it is: go-redis only reads it.
func newCommand(ctx context.Context, c driver.Command) command {
	return command{Cmd: *redis.NewCmd(ctx, c...)}
}

// Args is what go-redis writes. For a client of one server it asks at no other
// time.
func (c *command) Args() []any {
	c.written = true
	return c.Cmd.Args()
}

// NoRetry overrides go-redis' own answer. A repeated batch may come after
// later commands, on another connection, while the first is still under way.
func (*command) NoRetry() bool { return true }

// reply translates the outcome. failure is what the client said of the whole
// batch.
func (c *command) reply(failure error) driver.Reply {
	value, err := c.Result()
	switch {
	case value != nil:
		// Whatever err says: go-redis fails a whole batch when a connection
		// breaks or a shard is down, also the commands that were answered.
		return driver.Reply{Value: exchange.Plain(value)}
	case err == redis.Nil && c.written:
		return driver.Reply{}
	case errors.Is(err, redis.Nil):
		// A Sentinel's null or one that a function of the user's met, while the
		// client connected. It must not pass for a null of the server's: a vote.
		return driver.Reply{Err: fmt.Errorf("goredis: connecting failed: %w", err)}
	case cmp.Or(err, failure) != nil:
		return driver.Reply{Err: own(cmp.Or(err, failure))}
	}
	// A null is redis.Nil. Without that a hook of the client's kept the
	// command back, and to take it for a null would count it as a vote.
	return driver.Reply{Err: exchange.ErrMissing}
}

// own makes sure that an error of a Dialer, a hook or the like does not pass for
// a server's.
func own(err error) error {
	if _, servers := err.(redis.Error); servers {
		return err
	}
	return exchange.Own(err)
}
