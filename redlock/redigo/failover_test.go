package redigo_test

import (
	"testing"

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
