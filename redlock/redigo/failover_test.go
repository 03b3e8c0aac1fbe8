package redigo_test

import (
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/drivertest"
)

func TestNode_failover(t *testing.T) {
	drivertest.TestFailover(t, func(t testing.TB, addr string) driver.Node {
		p := pool(addr)
		p.MaxIdle = 8
		return newNode(t, p)
	})
}

func TestNode_slowClient(t *testing.T) {
	drivertest.TestSlowClient(t, func(t testing.TB, addr string, wait func()) driver.Node {
		p := pool(addr)
		p.TestOnBorrow = func(redis.Conn, time.Time) error { wait(); return nil }
		return newNode(t, p)
	})
}
