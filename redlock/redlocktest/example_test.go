package redlocktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Examples have no testing.T, so TestExamples lends its own.
var t *testing.T

// The body of a user's test. Hours pass in microseconds, and a leaked goroutine fails
// it.
func ExampleNodes() {
	synctest.Test(t, func(t *testing.T) {
		servers := redlocktest.Servers(3)
		locker, err := redlock.New(redlocktest.Nodes(servers, "replica-1"))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close(t.Context())
		backup, err := locker.NewMutex("backup")
		if err != nil {
			t.Fatal(err)
		}

		err = backup.Do(t.Context(), func(ctx context.Context) error {
			servers[0].Freeze() // one of three is no loss
			time.Sleep(time.Hour)
			if err := context.Cause(ctx); err != nil {
				t.Errorf("with one server down: %v", err)
			}
			servers[1].Freeze()
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, redlock.ErrLost) {
			t.Errorf("with two servers down: %v, want ErrLost", err)
		}
		servers[0].Thaw()
		servers[1].Thaw()
	})
}

// The body of a driver's test. Instead of the in-memory node it would return one of the
// driver, on an empty server.
func ExampleTestNode() {
	redlocktest.TestNode(t, func(t testing.TB) driver.Node {
		return redlocktest.NewServer().Node("memory")
	})
}

// The body of ExampleTestNode is TestNode_keeps_the_contract.
//
// Mutations seen to fail: the second server is not frozen; both are frozen at first.
func TestExamples(test *testing.T) {
	t = test
	ExampleNodes()
}
