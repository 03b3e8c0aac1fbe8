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
	// the server's null, which is a vote, nor for a server's error.
	switch err := result.NonRedisError(); {
	case rueidis.IsRedisNil(err):
		return driver.Reply{Err: errNotConnected}
	case err != nil && !refusal(err):
		return driver.Reply{Err: exchange.Own(err)}
	}
	value, err := result.ToAny()
	if rueidis.IsRedisNil(err) {
		return driver.Reply{}
	}
	return driver.Reply{Value: exchange.Plain(value), Err: restore(err)}
}

// refusal reports whether err is a server's answer while the client connected.
// ErrNoCache wraps the answer to client-side caching.
func refusal(err error) bool {
	_, servers := rueidis.IsRedisErr(err)
	return servers || errors.Is(err, rueidis.ErrNoCache)
}

// restore puts back the "ERR " that rueidis strips.
func restore(err error) error {
	if _, servers := rueidis.IsRedisErr(err); !servers || driver.ErrorCode(err) != "" {
		return err
	}
	return fmt.Errorf("ERR %w", err)
}
