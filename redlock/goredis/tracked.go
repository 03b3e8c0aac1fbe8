package goredis

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// tracked is a command whose reply can be read before go-redis returns: a Cluster
// client returns only when its slowest shard has answered.
type tracked struct {
	command
	ctx context.Context

	mu    *sync.Mutex // the batch's
	reply driver.Reply
	final bool
}

// SetErr records the reply. go-redis calls it when it has read the reply, and
// again when it redirects the command or abandons the batch.
func (c *tracked) SetErr(err error) {
	c.command.SetErr(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final {
		return
	}
	c.reply = c.command.reply(nil)
	c.final = driver.Answered(c.reply.Err) && !redirected(c.reply.Err)
	c.written = false // what comes after this reply may be a failure to connect elsewhere
}

// Args replaces the last argument with one that records when it is written.
// Calls of Args do not tell: routing and hooks read the arguments, too.
func (c *tracked) Args() []any {
	args := slices.Clone(c.Cmd.Args())
	args[len(args)-1] = lastArg{c, args[len(args)-1].(string)}
	return args
}

type lastArg struct {
	of   *tracked
	text string
}

// String is for hooks that print a command.
func (a lastArg) String() string { return a.text }

// MarshalBinary returns the text that go-redis writes, or an error once ctx has
// ended: go-redis may write long after the batch was abandoned, when later
// commands have overtaken it.
func (a lastArg) MarshalBinary() ([]byte, error) {
	if err := a.of.ctx.Err(); err != nil {
		return nil, err
	}
	a.of.written = true
	return []byte(a.text), nil
}

// redirected reports whether go-redis follows err to another server.
func redirected(err error) bool {
	code := driver.ErrorCode(err)
	return code == "MOVED" || code == "ASK"
}

// batch is one pipeline for a client of several servers.
type batch struct {
	mu       sync.Mutex
	commands []*tracked
}

func newBatch(ctx context.Context, commands []driver.Command) *batch {
	b := &batch{commands: make([]*tracked, len(commands))}
	for i, c := range commands {
		b.commands[i] = &tracked{command: newCommand(ctx, c), ctx: ctx, mu: &b.mu}
	}
	return b
}

// send uses a pipeline even for one command. For its first single command a
// Cluster client sends COMMAND to a random server, and when that one hangs,
// everything waits for it.
func (b *batch) send(ctx context.Context, client redis.UniversalClient) error {
	cmds := make([]redis.Cmder, len(b.commands))
	for i, c := range b.commands {
		cmds[i] = c
	}
	pipe := client.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	return err
}

// replies returns the replies received so far, and failure for the rest. Before
// go-redis has returned, only final replies count.
func (b *batch) replies(failure error, returned bool) []driver.Reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	replies := exchange.Fail(len(b.commands), failure)
	for i, c := range b.commands {
		if c.final || returned && c.reply.Err != nil {
			replies[i] = c.reply
		}
	}
	return replies
}
