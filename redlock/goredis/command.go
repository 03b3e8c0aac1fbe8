package goredis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// command is a go-redis command that is sent at most once.
type command struct {
	redis.Cmd
	ctx      context.Context // nil for a client of one server
	written  bool
	answered bool // the whole reply was read, and is no error
}

// Args marks the command as written. For a client of one server, go-redis calls it
// only to write the command. Others route commands by their arguments, and hooks read
// them, so there the last argument records that it is written.
func (c *command) Args() []any {
	if c.ctx == nil {
		c.written = true
		return c.Cmd.Args()
	}
	args := slices.Clone(c.Cmd.Args())
	args[len(args)-1] = (*lastArg)(c)
	return args
}

// lastArg is the last argument of a command.
type lastArg command

// String is for hooks that print a command.
func (a *lastArg) String() string {
	args := a.Cmd.Args()
	return args[len(args)-1].(string)
}

// MarshalBinary returns the text that go-redis writes, or an error once the context
// has ended: go-redis may write long after the batch was abandoned, when later
// commands have overtaken it.
func (a *lastArg) MarshalBinary() ([]byte, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	a.written = true
	return []byte(a.String()), nil
}

// NoRetry reports true, so that go-redis does not resend the command. A resent
// batch may arrive after later commands, on another connection, while the first
// one is still in flight.
func (*command) NoRetry() bool { return true }

// SetErr notes that the reply was read: go-redis calls it for each reply, and again
// for a whole batch when a connection breaks or a shard is down.
func (c *command) SetErr(err error) {
	c.Cmd.SetErr(err)
	c.answered = c.answered || err == nil
	// What comes after a redirect may be a failure to connect elsewhere.
	c.written = c.written && (err == nil || err == redis.Nil)
}

// reply converts the command's result. failure is the client's error for the
// whole batch.
func (c *command) reply(failure error) driver.Reply {
	value, err := c.Result()
	switch {
	case value != nil && (err == nil || c.answered):
		// An error after the answer is the batch's. Without an answer the value is
		// what go-redis makes of a reply that was cut off, such as "".
		return driver.Reply{Value: exchange.Plain(value)}
	case err == redis.Nil && c.written:
		return driver.Reply{}
	case errors.Is(err, redis.Nil):
		// The null came from a Sentinel or a user callback while the client
		// connected. It must not pass for the server's null, which is a vote.
		return driver.Reply{Err: fmt.Errorf("goredis: connecting failed: %w", err)}
	case cmp.Or(err, failure) != nil:
		return driver.Reply{Err: own(cmp.Or(err, failure))}
	}
	// A server's null is redis.Nil. Without it, one of the client's hooks dropped
	// the command; a null Reply would count as a vote.
	return driver.Reply{Err: exchange.ErrMissing}
}

// own keeps an error from a Dialer, a hook or the like from passing for a
// server's.
func own(err error) error {
	if _, servers := err.(redis.Error); servers {
		return err
	}
	return exchange.Own(err)
}
