//go:build unix

package redisserver

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Forwarder is an address in front of a server, like a load balancer or a DNS name.
// It is safe for concurrent use.
type Forwarder struct {
	listener net.Listener
	left     atomic.Int64 // how many bytes clients may still receive

	mu     sync.Mutex
	target string
	links  map[*link]struct{}
}

// link is one client's connection. Closing gate stops the forwarding.
type link struct {
	client, server net.Conn
	gate           chan struct{}
	once           sync.Once
}

// Forward listens on a free port of 127.0.0.1 and connects every client to
// target. It ends with the test.
func Forward(t testing.TB, target string) *Forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	f := &Forwarder{listener: listener, target: target, links: map[*link]struct{}{}}
	f.left.Store(math.MaxInt64)
	go f.serve()
	t.Cleanup(f.close)
	return f
}

// Addr returns the forwarder's address.
func (f *Forwarder) Addr() string { return f.listener.Addr().String() }

// Move sends new connections to another target. Existing ones keep their server.
func (f *Forwarder) Move(target string) {
	f.mu.Lock()
	f.target = target
	f.mu.Unlock()
}

// Silence makes black holes of the existing connections, like a NAT or a firewall
// that has forgotten them: nothing passes in either direction, and neither side
// notices. New connections work.
func (f *Forwarder) Silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.silence()
	}
}

// Cut closes the existing connections, and each new one at once, until Move.
func (f *Forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = ""
	for l := range f.links {
		l.client.Close()
		l.server.Close()
	}
}

// CutAfter lets n more bytes pass from servers to clients. It then closes the
// connection that had the last of them, and each whose server sends more.
// math.MaxInt64, as at first, closes none.
func (f *Forwarder) CutAfter(n int64) { f.left.Store(n) }

func (f *Forwarder) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		target := f.target
		f.mu.Unlock()
		server, err := net.Dial("tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{client: client, server: server, gate: make(chan struct{})}
		f.mu.Lock()
		cut := f.target == ""
		if !cut {
			f.links[l] = struct{}{}
		}
		f.mu.Unlock()
		if cut { // while it was dialled
			client.Close()
			server.Close()
			continue
		}
		go f.pass(l, l.server, l.client)
		go f.pass(l, l.client, l.server)
	}
}

// pass copies until one side ends, then closes the other. On a silenced link neither
// side notices the other's end.
func (f *Forwarder) pass(l *link, to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-l.gate:
			// Read on, or the sender would notice that its window fills.
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		cut := false
		if n > 0 && to == l.client {
			left := f.left.Add(-int64(n))
			n, cut = int(max(0, min(int64(n), int64(n)+left))), left <= 0
		}
		if n > 0 {
			_, _ = to.Write(buffer[:n])
		}
		if err != nil || cut {
			f.end(l)
			return
		}
	}
}

func (f *Forwarder) end(l *link) {
	l.client.Close()
	l.server.Close()
	f.mu.Lock()
	delete(f.links, l)
	f.mu.Unlock()
}

func (l *link) silence() { l.once.Do(func() { close(l.gate) }) }

func (f *Forwarder) close() {
	f.listener.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.client.Close()
		l.server.Close()
	}
}
