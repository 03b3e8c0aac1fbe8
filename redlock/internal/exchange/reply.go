package exchange

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redtick/redtick/redlock/driver"
)

// ErrMissing stands for a reply that a client left out: the zero Reply is a null, a
// granted vote.
var ErrMissing = errors.New("the client returned no reply")

// Fail returns n replies that failed with err.
func Fail(n int, err error) []driver.Reply {
	replies := make([]driver.Reply, n)
	for i := range replies {
		replies[i].Err = err
	}
	return replies
}

// Own returns an error that is not a server's, so that it does not pass for one:
// a Dialer may say "DIAL failed".
func Own(err error) error {
	if driver.ErrorCode(err) == "" {
		return err
	}
	return fmt.Errorf("not from the server: %w", err)
}

// AllAnswered reports whether all replies came from the server.
func AllAnswered(replies []driver.Reply) bool {
	for i := range replies {
		if !driver.Answered(replies[i].Err) {
			return false
		}
	}
	return true
}

// Demoted reports whether one of replies says that the server is not a primary, is
// not the one of this key, or has not got its data. When a name has moved to another
// server, all connections that stand lead to the former one, and only a new
// connection leads to the other.
func Demoted(replies ...driver.Reply) bool {
	for i := range replies {
		if err := replies[i].Err; err != nil && demotes(err.Error()) {
			return true
		}
	}
	return false
}

func demotes(text string) bool {
	// A former master of a Cluster says MOVED, also to a client that knows of no Cluster.
	for _, code := range []string{"READONLY ", "MASTERDOWN ", "LOADING ", "MOVED "} {
		// Before Redis 7 a script's error is wrapped: "ERR Error running script (…): @user_script: 1: -READONLY …".
		if strings.HasPrefix(text, code) || strings.HasPrefix(text, "ERR ") && strings.Contains(text, ": -"+code) {
			return true
		}
	}
	return false
}

// Plain makes of a value that a client returned what a server says in RESP2.
func Plain(value any) any {
	switch v := value.(type) {
	case nil, int64, string:
		return v
	case []byte:
		return string(v)
	case []any:
		for i := range v {
			v[i] = Plain(v[i])
		}
		return v
	case map[any]any:
		return flat(v)
	case map[string]any:
		return flat(v)
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

func flat[K comparable](m map[K]any) []any {
	list := make([]any, 0, 2*len(m))
	for key, element := range m {
		list = append(list, Plain(key), Plain(element))
	}
	return list
}
