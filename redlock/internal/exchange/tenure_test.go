package exchange_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// A demotion ends subscriptions at once, but those that begin before the host name has moved only later, so that a node that always
// refuses writes does not make a connection for each.
func TestTenure_demoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tenure exchange.Tenure
		well := []driver.Reply{{Value: "OK"}}
		demoted := []driver.Reply{{Err: errors.New("READONLY You can't write against a read only replica.")}}
		begin := func() context.Context {
			ctx, stop := tenure.Bound(t.Context())
			t.Cleanup(stop)
			return ctx
		}
		ended := func(ctx context.Context) bool {
			synctest.Wait()
			return ctx.Err() != nil
		}
		first := begin()
		tenure.Note(well)
		if ended(first) {
			t.Fatal("it ended without a demotion")
		}
		tenure.Note(demoted)
		if !ended(first) || errors.Is(context.Cause(first), context.Canceled) {
			t.Fatalf("it ended with %v, want a cause", context.Cause(first))
		}
		second := begin()
		for range 9 {
			time.Sleep(time.Second)
			tenure.Note(demoted)
		}
		if ended(second) {
			t.Error("it ended within ten seconds of the first")
		}
		time.Sleep(time.Second)
		tenure.Note(well) // the host name has moved
		if !ended(second) {
			t.Error("it stayed with the old server")
		}
		third := begin()
		time.Sleep(time.Minute)
		tenure.Note(well)
		if ended(third) {
			t.Error("it ended without another demotion")
		}
	})
}
