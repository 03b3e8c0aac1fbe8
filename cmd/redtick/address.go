package main

import (
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

const addressRule = "write host:port, or redis" + exampleCredentials + "host:port/db (rediss:// for TLS) " +
	"with any of / ? # @ : , % in the password escaped, as %2F is for /"

// parseAddresses reads a list of nodes, separated by commas. Its errors say
// which node is wrong and never what was written: it may hold a password, and
// where a password ends in a text that cannot be parsed is anybody's guess.
func parseAddresses(list string) ([]*redis.Options, error) {
	if strings.TrimSpace(list) == "" {
		return nil, usage("no nodes are given; set REDIS_ADDRS=host:port,host:port,host:port or use --nodes")
	}
	items := strings.Split(list, ",")
	all := make([]*redis.Options, len(items))
	for i, item := range items {
		o := parseAddress(strings.TrimSpace(item))
		if o == nil {
			return nil, usage("node %d of %d cannot be read (it is not repeated here, as it may hold a password); %s", i+1, len(items), addressRule)
		}
		all[i] = o
	}
	return all, nil
}

func parseAddress(s string) *redis.Options {
	if strings.Contains(s, "://") {
		o, err := redis.ParseURL(s)
		if err != nil {
			return nil
		}
		return o
	}
	if s == "" || strings.ContainsAny(s, "@/?# ") {
		return nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		s = net.JoinHostPort(strings.Trim(s, "[]"), "6379")
	}
	return &redis.Options{Addr: s}
}
