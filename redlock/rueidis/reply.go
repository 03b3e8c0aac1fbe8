package rueidis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
)

func reply(result rueidis.RedisResult) driver.Reply {
	value, err := result.ToAny()
	if rueidis.IsRedisNil(err) {
		return driver.Reply{}
	}
	return driver.Reply{Value: plain(value), Err: restore(err)}
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

// plain makes of a RESP3 value what the same server says in RESP2.
func plain(value any) any {
	switch v := value.(type) {
	case nil, int64, string:
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		flat := make([]any, 0, 2*len(v))
		for key, element := range v {
			flat = append(flat, key, plain(element))
		}
		return flat
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case float64:
		return strconv.FormatFloat(v, 'g', 17, 64)
	}
	return fmt.Sprint(value)
}
