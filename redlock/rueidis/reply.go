package rueidis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

var errNotConnected = errors.New("rueidis: connecting failed: AuthCredentialsFn or the Dialer met a redis nil")

func reply(result rueidis.RedisResult) driver.Reply {
	if err := result.NonRedisError(); rueidis.IsRedisNil(err) {
		// One that a function of the user's met while the client connected. It must not
		// pass for a null of the server's: a vote.
		return driver.Reply{Err: errNotConnected}
	}
	value, err := result.ToAny()
	if rueidis.IsRedisNil(err) {
		return driver.Reply{}
	}
	return driver.Reply{Value: exchange.Plain(value), Err: restore(err)}
}

// restore puts back the "ERR " that rueidis cuts off.
func restore(err error) error {
	var answered *rueidis.RedisError
	if !errors.As(err, &answered) {
		return err
	}
	code, _, _ := strings.Cut(answered.Error(), " ")
	if code != "" && code == strings.ToUpper(code) {
		return err
	}
	return fmt.Errorf("ERR %w", err)
}
