package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/redis/go-redis/v9"
)

// compareAndDelete and compareAndExpire are the usual scripts of Redlock clients.
const (
	compareAndDelete = `if redis.call("GET",KEYS[1])==ARGV[1] then return redis.call("DEL",KEYS[1]) else return 0 end`
	compareAndExpire = `if redis.call("GET",KEYS[1])==ARGV[1] then return redis.call("PEXPIRE",KEYS[1],ARGV[2]) else return 0 end`
)

var (
	deleteScript = redis.NewScript(compareAndDelete)
	expireScript = redis.NewScript(compareAndExpire)
)

func newToken() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// raw sends SetNX and a compare-and-delete through go-redis and waits for a majority.
// It does not check the validity, and does not release lost votes.
type raw struct {
	clients []*redis.Client
	ttl     time.Duration
}

func openRaw(s setup) (process, error) { return &raw{s.goredis(), s.ttl}, nil }

func (p *raw) close() {
	for _, c := range p.clients {
		c.Close()
	}
}

func (p *raw) mutex(name string) mutex { return rawMutex{p, name} }

// poll asks every node, and returns when a majority has answered yes or no.
func (p *raw) poll(ask func(*redis.Client) (bool, error)) (bool, error) {
	if len(p.clients) == 1 {
		return ask(p.clients[0])
	}
	type reply struct {
		yes bool
		err error
	}
	replies := make(chan reply, len(p.clients))
	for _, c := range p.clients {
		go func() {
			yes, err := ask(c)
			replies <- reply{yes, err}
		}()
	}
	yes, no := 0, 0
	var last error
	for yes < quorum(len(p.clients)) && no < quorum(len(p.clients)) {
		r := <-replies
		if r.yes {
			yes++
		} else {
			no++
			last = r.err
		}
	}
	if yes > no {
		return true, nil
	}
	return false, last
}

type rawMutex struct {
	process *raw
	name    string
}

func (m rawMutex) try(ctx context.Context) (held, error) {
	token := newToken()
	yes, err := m.process.poll(func(c *redis.Client) (bool, error) { return c.SetNX(ctx, m.name, token, m.process.ttl).Result() })
	switch {
	case yes:
		return rawHeld{m, token}, nil
	case err != nil:
		return nil, err
	}
	return nil, errTaken
}

// lock is never used by scenarios with waiters; see the oracle.
func (m rawMutex) lock(ctx context.Context) (held, error) { return m.try(ctx) }

type rawHeld struct {
	rawMutex
	token string
}

func (h rawHeld) unlock(ctx context.Context) error {
	_, err := h.process.poll(func(c *redis.Client) (bool, error) {
		n, err := deleteScript.Run(ctx, c, []string{h.name}, h.token).Int()
		return n == 1, err
	})
	return err
}

func (h rawHeld) extend(ctx context.Context) error {
	_, err := h.process.poll(func(c *redis.Client) (bool, error) {
		n, err := expireScript.Run(ctx, c, []string{h.name}, h.token, h.process.ttl.Milliseconds()).Int()
		return n == 1, err
	})
	return err
}
