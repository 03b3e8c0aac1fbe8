package main

import (
	"context"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

func init() { redis.SetLogger(silence{}) }

// silence keeps go-redis from logging nodes that are down on purpose.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func (s setup) goredis() []*redis.Client {
	clients := make([]*redis.Client, len(s.addrs))
	for i, addr := range s.addrs {
		o := &redis.Options{Addr: addr}
		if s.impatient {
			o.DialTimeout, o.ReadTimeout, o.WriteTimeout = impatience, impatience, impatience
			o.MaxRetries, o.ContextTimeoutEnabled = -1, true
		}
		clients[i] = redis.NewClient(o)
	}
	return clients
}

func (s setup) rueidis() ([]rueidis.Client, error) {
	var clients []rueidis.Client
	for _, addr := range s.addrs {
		c, err := rueidis.NewClient(s.rueidisOption(addr))
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func (s setup) rueidisOption(addr string) rueidis.ClientOption {
	o := rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}
	if s.impatient {
		o.ConnWriteTimeout, o.DisableRetry = impatience, true
		o.Dialer.Timeout = impatience
	}
	return o
}

// redigo sets MaxIdle, without which redigo would dial for every call.
func (s setup) redigo() []*redigo.Pool {
	pools := make([]*redigo.Pool, len(s.addrs))
	for i, addr := range s.addrs {
		var options []redigo.DialOption
		if s.impatient {
			options = append(options, redigo.DialConnectTimeout(impatience), redigo.DialReadTimeout(impatience), redigo.DialWriteTimeout(impatience))
		}
		pools[i] = &redigo.Pool{MaxIdle: 10, IdleTimeout: time.Minute,
			Dial: func() (redigo.Conn, error) { return redigo.Dial("tcp", addr, options...) }}
	}
	return pools
}
