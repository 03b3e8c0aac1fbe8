package redlocktest_test

import (
	"testing"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func TestNode_keeps_the_contract(t *testing.T) {
	redlocktest.TestNode(t, func(testing.TB) redlock.Node { return redlocktest.NewServer().Node("memory") })
}
