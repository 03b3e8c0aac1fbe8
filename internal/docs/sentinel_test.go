package docs_test

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/gomodule/redigo/redis"
)

// docs/compatibility.md's pool for a Sentinel group, which is compiled here;
// test/compat runs its like.
var _ = func(sentinels []string) *redis.Pool {
	limits := []redis.DialOption{
		redis.DialConnectTimeout(time.Second), redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second),
	}
	pool := &redis.Pool{
		MaxIdle: 4,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			for _, addr := range sentinels {
				s, err := redis.DialContext(ctx, "tcp", addr, limits...)
				if err != nil {
					continue
				}
				master, err := redis.Strings(s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"))
				s.Close()
				if err == nil && len(master) == 2 {
					return redis.DialContext(ctx, "tcp", net.JoinHostPort(master[0], master[1]), limits...)
				}
			}
			return nil, errors.New("no Sentinel knows the master")
		},
	}
	return pool
}
