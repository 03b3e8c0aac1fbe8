package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the floor of what a lock can cost: one TCP connection per node,
// everything that is asked at the same time in one write, and a caller that is
// woken once, at the majority. It has no timeouts, no retries and no clocks.
type wire struct {
	conns []*wireConn
	ttl   string
}

func openWire(s setup) (process, error) {
	p := &wire{ttl: strconv.FormatInt(s.ttl.Milliseconds(), 10)}
	for _, addr := range s.addrs {
		c, err := dialWire(addr)
		if err != nil {
			return nil, err
		}
		p.conns = append(p.conns, c)
	}
	for _, script := range []string{compareAndDelete, compareAndExpire} {
		if v := p.ask(len(p.conns), "SCRIPT", "LOAD", script); !v.won() {
			return nil, fmt.Errorf("a script could not be loaded")
		}
	}
	return p, nil
}

func (p *wire) close() {
	for _, c := range p.conns {
		c.conn.Close()
	}
}

func (p *wire) mutex(name string) mutex { return wireMutex{p, name} }

// ask sends one command to all nodes and waits for so many to say yes, or for
// enough that did not.
func (p *wire) ask(enough int, args ...string) *wireVote {
	v := &wireVote{enough: int32(enough), all: int32(len(p.conns)), done: make(chan struct{}, 1)}
	for _, c := range p.conns {
		c.send(v, args)
	}
	<-v.done
	return v
}

// wireVote counts yes in the upper half of votes and no in the lower.
type wireVote struct {
	enough, all int32
	yes, no     atomic.Int32
	done        chan struct{}
}

func (v *wireVote) won() bool { return v.yes.Load() >= v.enough }

func (v *wireVote) count(yes bool) {
	if yes {
		if v.yes.Add(1) == v.enough {
			v.done <- struct{}{}
		}
		return
	}
	if v.no.Add(1) == v.all-v.enough+1 {
		v.done <- struct{}{}
	}
}

type wireConn struct {
	conn net.Conn

	mu      sync.Mutex
	out     []byte
	spare   []byte
	waiting []*wireVote
	writing bool
}

func dialWire(addr string) (*wireConn, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	c := &wireConn{conn: conn}
	go c.read()
	return c, nil
}

func (c *wireConn) send(v *wireVote, args []string) {
	c.mu.Lock()
	c.out = appendCommand(c.out, args)
	c.waiting = append(c.waiting, v)
	first := !c.writing
	c.writing = true
	c.mu.Unlock()
	if first {
		go c.write()
	}
}

func (c *wireConn) write() {
	for {
		runtime.Gosched() // those who are runnable add to this write
		c.mu.Lock()
		out := c.out
		if len(out) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.out, c.spare = c.spare[:0], out
		c.mu.Unlock()
		if _, err := c.conn.Write(out); err != nil {
			return
		}
	}
}

func (c *wireConn) read() {
	in := bufio.NewReaderSize(c.conn, 1<<16)
	var votes []*wireVote
	for {
		yes, err := readYes(in)
		if err != nil {
			return
		}
		if len(votes) == 0 {
			c.mu.Lock()
			votes = append(votes, c.waiting...)
			c.waiting = c.waiting[:0]
			c.mu.Unlock()
		}
		votes[0].count(yes)
		votes = votes[1:]
	}
}

// readYes reads one reply: OK, 1 and any text are yes, 0 and null are no.
func readYes(in *bufio.Reader) (bool, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	switch line[0] {
	case '+':
		return true, nil
	case ':':
		return line[1] == '1', nil
	case '$':
		n, err := strconv.Atoi(string(line[1 : len(line)-2]))
		if err != nil || n < 0 {
			return false, err
		}
		_, err = in.Discard(n + 2)
		return true, err
	}
	return false, nil
}

func appendCommand(b []byte, args []string) []byte {
	b = append(strconv.AppendInt(append(b, '*'), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(a)), 10), "\r\n"...)
		b = append(append(b, a...), "\r\n"...)
	}
	return b
}

func digest(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

var deleteDigest, expireDigest = digest(compareAndDelete), digest(compareAndExpire)

type wireMutex struct {
	process *wire
	name    string
}

func (m wireMutex) try(context.Context) (held, error) {
	token := newToken()
	p := m.process
	if p.ask(quorum(len(p.conns)), "SET", m.name, token, "NX", "PX", p.ttl).won() {
		return wireHeld{m, token}, nil
	}
	return nil, errTaken
}

func (m wireMutex) lock(ctx context.Context) (held, error) { return m.try(ctx) }

type wireHeld struct {
	wireMutex
	token string
}

func (h wireHeld) unlock(context.Context) error {
	p := h.process
	p.ask(quorum(len(p.conns)), "EVALSHA", deleteDigest, "1", h.name, h.token)
	return nil
}
