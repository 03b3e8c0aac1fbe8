package docs_test

import (
	"crypto/tls"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
)

// SECURITY.md's client, which is compiled only.
var _ = func() (*redlock.Locker, error) {
	client := redis.NewClient(&redis.Options{
		Addr: "redis-a:6380", Username: "redtick", Password: os.Getenv("REDIS_PASSWORD"),
		TLSConfig: &tls.Config{ServerName: "redis-a", MinVersion: tls.VersionTLS12},
	})
	locker, err := redlock.New(goredis.Nodes(client), redlock.WithPrefix("app:"))
	return locker, err
}
