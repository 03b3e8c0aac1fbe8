package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
)

// node answers its batches one after the other, and the last way for all that follow.
type node struct {
	batches int
	answer  func(batch int) error
}

func (n *node) Do(_ context.Context, commands []driver.Command) []driver.Reply {
	n.batches++
	err := n.answer(n.batches)
	replies := make([]driver.Reply, len(commands))
	for i := range replies {
		replies[i].Err = err
	}
	return replies
}

// A release is sent again when the time is over in which copies may still be executed. One that is due a little earlier takes the
// other along, but not before that time: it would then be sent again, and again, until it is over.
//
// Seen to fail when both are due at that time: 100 batches.
func TestPipeline_releases_of_a_suspect_node(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		n := &node{answer: func(batch int) error {
			switch {
			case batch == 1:
				time.Sleep(2 * timeout)
			case batch == 3:
				return errors.New("BUSY a script runs")
			case batch > 100:
				time.Sleep(time.Millisecond) // time stands still while batch follows batch
			}
			return nil
		}}
		p := pipeline.New(n, "node", timeout, func(bool, error) {})
		release := func() {
			p.Send(pipeline.Request{Command: driver.Command{"DEL", "k"}}, time.Now().Add(time.Minute), pipeline.Release)
			synctest.Wait()
		}
		p.Send(pipeline.Request{Command: driver.Command{"SET", "k", "v"}}, time.Now().Add(time.Minute), pipeline.Question)
		time.Sleep(2 * timeout)
		suspectUntil := time.Now().Add(2*timeout + time.Second)
		synctest.Wait()
		release()
		time.Sleep(time.Until(suspectUntil) - 13*time.Millisecond)
		release() // is due again 3 ms before
		<-p.Flushed()
		if n.batches > 6 || time.Now().Before(suspectUntil) {
			t.Errorf("%d batches, the last %v after the time", n.batches, time.Since(suspectUntil))
		}
	})
}
