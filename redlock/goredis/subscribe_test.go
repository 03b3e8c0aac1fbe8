package goredis_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/internal/drivertest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestNode_Subscribe(t *testing.T) {
	drivertest.TestSubscriber(t, func(t testing.TB, addr string) driver.Node {
		return newNode(t, &redis.Options{Addr: addr, DialerRetries: 1})
	})
}

func TestNode_Subscribe_ssh(t *testing.T) {
	server := redisserver.Start(t)
	drivertest.Exercise(t, server, newNode(t, overSSH(&redis.Options{Addr: server.Addr()}, func() {})))
}

func TestNode_Subscribe_ring(t *testing.T) {
	server := redisserver.Start(t)
	client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}})
	defer client.Close()
	drivertest.Exercise(t, server, goredis.Nodes(client)[0].(*goredis.Node))
}

func TestNode_Subscribe_cluster(t *testing.T) {
	t.Parallel()
	server := redisserver.StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	defer client.Close()
	drivertest.Exercise(t, server, goredis.Nodes(client)[0].(*goredis.Node))
}
