package exchange

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redtick/redtick/redlock/driver"
)

// ErrMissing is the Err of a reply that the client left out. The zero Reply would be
// a null, which is a granted vote.
var ErrMissing = errors.New("the client returned no reply")

// Fail returns n replies that failed with err.
func Fail(n int, err error) []driver.Reply {
	replies := make([]driver.Reply, n)
	for i := range replies {
		replies[i].Err = err
	}
	return replies
}

// Own wraps an error that is not the server's if it looks like one: a Dialer's
// error may be "DIAL failed".
func Own(err error) error {
	if driver.ErrorCode(err) == "" {
		return err
	}
	return fmt.Errorf("not from the server: %w", err)
}

// AllAnswered reports whether all replies came from the server.
func AllAnswered(replies []driver.Reply) bool {
	return !slices.ContainsFunc(replies, func(r driver.Reply) bool { return !driver.Answered(r.Err) })
}

// Demoted reports whether one of replies says that the server is not a primary, does
// not own the key, or has not loaded its data. Once a host name has moved to another
// server, existing connections still lead to the old one.
func Demoted(replies ...driver.Reply) bool {
	return slices.ContainsFunc(replies, func(r driver.Reply) bool { return r.Err != nil && demotes(r.Err.Error()) })
}

func demotes(text string) bool {
	// A former master of a Cluster answers MOVED, even to a client of a single server.
	for _, code := range []string{"READONLY ", "MASTERDOWN ", "LOADING ", "MOVED "} {
		// Before Redis 7 a script's error is wrapped: "ERR Error running script (…): @user_script: 1: -READONLY …".
		if strings.HasPrefix(text, code) || strings.HasPrefix(text, "ERR ") && strings.Contains(text, ": -"+code) {
			return true
		}
	}
	return false
}

// Plain converts a client's value to the types of RESP2.
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
		return value // v would be allocated again
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
