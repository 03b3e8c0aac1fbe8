package main

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/goredis"
)

const addressRule = "write host:port, redis" + exampleCredentials + "host:port/db (rediss:// for TLS), unix:///path/of/socket, " +
	"redis-sentinel://host,host/master or redis-cluster://host,host/ with any of / ? # @ : , % in the password escaped, as %2F is for /"

// kind is the kind of deployment behind an address.
type kind uint8

const (
	oneServer kind = iota
	sentinelGroup
	wholeCluster
)

// several matches the address of a deployment with several servers: "s" for TLS, what it is, and the rest.
var several = regexp.MustCompile(`^redis(s?)-(sentinel|cluster)://(.*)$`)

// address is the address of one node.
type address struct {
	kind
	server *redis.Options // for several servers only the credentials, the database and TLS
	hosts  []string       // of several servers
	master string         // of a Sentinel group
	// Credentials for the Sentinels; server has those for the servers.
	sentinelUser, sentinelPassword string
}

// parseAddresses parses a comma-separated list of nodes. Its errors say which node
// is wrong but do not quote it: it may contain a password, which cannot be located
// in a text that does not parse.
func parseAddresses(list string) ([]*address, error) {
	if strings.TrimSpace(list) == "" {
		return nil, usage("no nodes are given; set REDIS_ADDRS=host:port,host:port,host:port or use --nodes")
	}
	items := splitNodes(list)
	all := make([]*address, len(items))
	for i, item := range items {
		a := parseAddress(strings.TrimSpace(item))
		if a == nil {
			return nil, usage("node %d of %d cannot be read (it is not repeated here, as it may hold a password); %s", i+1, len(items), addressRule)
		}
		all[i] = a
	}
	return all, nil
}

// splitNodes splits at the commas, except those between the hosts of one node, which end at a slash.
func splitNodes(list string) (nodes []string) {
	open := false
	for item := range strings.SplitSeq(list, ",") {
		if open && !strings.Contains(item, "://") {
			nodes[len(nodes)-1] += "," + item
			open = !strings.Contains(item, "/")
			continue
		}
		nodes = append(nodes, item)
		found := several.FindStringSubmatch(strings.TrimSpace(item))
		open = found != nil && !strings.Contains(found[3], "/")
	}
	return nodes
}

func parseAddress(s string) *address {
	if found := several.FindStringSubmatch(s); found != nil {
		return parseSeveral(found[2], found[3], "redis"+found[1]+"://")
	}
	if strings.Contains(s, "://") {
		o, err := redis.ParseURL(s)
		if err != nil {
			return nil
		}
		return &address{server: o}
	}
	at := withPort(s, "6379")
	if at == "" {
		return nil
	}
	return &address{server: &redis.Options{Addr: at}}
}

// parseSeveral parses [user:password@]host,host/path. The path of a Sentinel group is its master, optionally with /database.
// scheme is that of one of the servers.
func parseSeveral(what, rest, scheme string) *address {
	a, port := &address{kind: wholeCluster}, "6379"
	if what == "sentinel" {
		a.kind, port = sentinelGroup, "26379"
	}
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@")
	for host := range strings.SplitSeq(authority[at+1:], ",") {
		at := withPort(strings.TrimSpace(host), port)
		if at == "" {
			return nil
		}
		a.hosts = append(a.hosts, at)
	}
	path, query, _ := strings.Cut(path, "?")
	database := ""
	if a.kind == sentinelGroup {
		a.master, database, _ = strings.Cut(path, "/")
		path = ""
	}
	var err error
	if a.master, err = url.PathUnescape(a.master); err != nil || path != "" || (a.master == "") == (a.kind == sentinelGroup) {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	a.sentinelUser, a.sentinelPassword = values.Get("sentinel_username"), values.Get("sentinel_password")
	values.Del("sentinel_username")
	values.Del("sentinel_password")
	if a.server, err = redis.ParseURL(scheme + authority[:at+1] + "servers/" + database + "?" + values.Encode()); err != nil {
		return nil
	}
	if a.server.TLSConfig != nil {
		a.server.TLSConfig.ServerName = "" // each server has its own
	}
	return a
}

// withPort returns host:port, or "" if host is not valid, for example because of a wrong separator or of quotes from a file.
func withPort(host, port string) string {
	if host == "" || strings.ContainsAny(host, "@/?#;'\" ") {
		return ""
	}
	_, given, err := net.SplitHostPort(host)
	if err != nil {
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	if n, err := strconv.Atoi(given); err == nil && (n < 1 || n > 65535) {
		return ""
	}
	return host
}

// connect returns a client with the timeout patience. It does not connect yet.
func (a *address) connect(patience time.Duration) redis.UniversalClient {
	o, quiet := a.server, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if a.kind != oneServer {
		return redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: a.hosts, IsClusterMode: a.kind == wholeCluster,
			MasterName: a.master, SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig, Protocol: o.Protocol,
			DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
			ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, MaintNotificationsConfig: quiet,
		})
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = patience, patience, patience
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.MaintNotificationsConfig = quiet
	return redis.NewClient(o)
}

// sentinelNode is a node of a Sentinel group, named after its Sentinels and master.
type sentinelNode struct {
	*goredis.Node
	name string
}

// String returns the Sentinels' addresses and the master's name.
func (n *sentinelNode) String() string { return n.name }

func (a *address) node(client redis.UniversalClient) (driver.Node, error) {
	node, err := goredis.NewNode(client)
	if err == nil && a.kind == sentinelGroup {
		return &sentinelNode{node, strings.Join(a.hosts, ",") + "/" + a.master}, nil
	}
	return node, err
}
