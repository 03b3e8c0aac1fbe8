//go:build unix

package drivertest

import (
	"io"
	"net"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// TestCutReply cuts the connection after each byte of the replies. What arrived whole counts, and nothing else.
func TestCutReply(t *testing.T, connect func(t testing.TB, addr string) driver.Node) {
	server := redisserver.Start(t)
	command(t, server, "SET", "held", "host-1:1/ABCDEFGH")
	link := cutLink(t, server.Addr())
	node := connect(t, link.addr)
	for _, batch := range [][]driver.Command{
		{{"SET", "held", "ours", "NX", "GET", "PX", "1000"}},
		{{"EVAL", "return { 'TAKEN', 'host-1:1/ABCDEFGH', 12345 }", "0"}},
		{{"GET", "none"}, {"EVAL", "return 12345", "0"}, {"EVAL", "return { 'A', { 'B' } }", "0"}, {"NONE", "x"}, {"GET", "held"}},
	} {
		want := untilAnswered(t, node, batch)
		for cut, whole := int64(0), 0; whole < len(want); cut++ {
			untilAnswered(t, node, batch)
			link.left.Store(cut)
			got := send(t, node, batch)
			link.left.Store(unlimited)
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

const unlimited = 1 << 40

// cutting is an address in front of a server. It closes a connection once the server has sent left bytes on all.
type cutting struct {
	addr string
	left atomic.Int64
}

func cutLink(t *testing.T, target string) *cutting {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &cutting{addr: listener.Addr().String()}
	c.left.Store(unlimited)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.pass(client, target)
		}
	}()
	return c
}

func (c *cutting) pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	for buffer := make([]byte, 32<<10); ; {
		n, err := server.Read(buffer)
		left := c.left.Add(-int64(n))
		_, _ = client.Write(buffer[:max(0, min(int64(n), int64(n)+left))])
		if err != nil || left <= 0 {
			return
		}
	}
}
