package rueidis

import (
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var errNotConnected = errors.New("rueidis: connecting failed: AuthCredentialsFn or the Dialer met a redis nil")

func reply(result rueidis.RedisResult) driver.Reply {
	// An error of a user callback while the client connected must pass neither for
	// the server's null, which is a vote, nor for a server's error. ErrNoCache wraps
	// the server's answer to client-side caching.
	switch err := result.NonRedisError(); {
	case rueidis.IsRedisNil(err):
		return driver.Reply{Err: errNotConnected}
	case err != nil && !isServers(err) && !errors.Is(err, rueidis.ErrNoCache):
		return driver.Reply{Err: exchange.Own(err)}
	}
	value, err := result.ToAny()
	switch {
	case rueidis.IsRedisNil(err):
		return driver.Reply{}
	case isServers(err) && driver.ErrorCode(err) == "":
		err = fmt.Errorf("ERR %w", err) // which rueidis strips
	}
	return driver.Reply{Value: exchange.Plain(value), Err: err}
}

func isServers(err error) bool {
	_, servers := rueidis.IsRedisErr(err)
	return servers
}
