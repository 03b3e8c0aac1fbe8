//go:build unix

package drivertest

import (
	"math"
	"reflect"
	"testing"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// TestCutReply cuts the connection after each byte of the replies. What arrived whole counts, and nothing else.
func TestCutReply(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	command(t, server, "SET", "held", "host-1:1/ABCDEFGH")
	link := redisserver.Forward(t, server.Addr())
	node := connect(t, link.Addr())
	for _, batch := range [][]driver.Command{
		{{"SET", "held", "ours", "NX", "GET", "PX", "1000"}},
		{{"EVAL", "return { 'TAKEN', 'host-1:1/ABCDEFGH', 12345 }", "0"}},
		{{"GET", "none"}, {"EVAL", "return 12345", "0"}, {"EVAL", "return { 'A', { 'B' } }", "0"}, {"NONE", "x"}, {"GET", "held"}},
	} {
		want := untilAnswered(t, node, batch)
		for cut, whole := int64(0), 0; whole < len(want); cut++ {
			untilAnswered(t, node, batch)
			link.CutAfter(cut)
			got := send(t, node, batch)
			link.CutAfter(math.MaxInt64)
			whole = 0
			for i := range want {
				switch {
				case reflect.DeepEqual(got[i].Value, want[i].Value) && text(got[i].Err) == text(want[i].Err):
					whole++
				case driver.Answered(got[i].Err):
					t.Errorf("%v, cut off after %d bytes of %v: value %#v, error %v", batch[i], cut, batch, got[i].Value, got[i].Err)
				}
			}
			if cut > 1000 {
				t.Fatalf("%v is never answered", batch)
			}
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// untilAnswered repeats a batch until the client has a connection again.
func untilAnswered(t *testing.T, node driver.Node, batch []driver.Command) []driver.Reply {
	t.Helper()
	for range 100 {
		replies := send(t, node, batch)
		answered := true
		for _, r := range replies {
			answered = answered && driver.Answered(r.Err)
		}
		if answered {
			return replies
		}
	}
	t.Fatalf("%v is not answered", batch)
	return nil
}
