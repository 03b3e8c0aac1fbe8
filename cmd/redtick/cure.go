package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
)

// serverCures maps the beginning of a server's error to its cure.
var serverCures = []struct{ code, cure string }{
	{"NOAUTH", noLogin},
	{"ERR Protocol error: unauthenticated", noLogin},
	{"WRONGPASS", wrongLogin},
	{"ERR invalid password", wrongLogin},
	{"ERR AUTH <password> called without any password", "it has no password: leave it out"},
	{"NOPERM this user has no permissions to access one of the keys", otherKeys},
	{"NOPERM No permissions to access a key", otherKeys},
	{"NOPERM this user has no permissions to access one of the channels", otherChannels},
	{"NOPERM No permissions to access a channel", otherChannels},
	{"NOPERM", "the user may not do this: allow what SECURITY.md lists for operators (ACL SETUSER), or give another user"},
	{"DENIED", "it refuses other machines while it has no password (protected mode): set requirepass, or an ACL, and give the password here"},
	{"READONLY", "it is a replica, which cannot vote: give the address of its primary"},
	{"MOVED", "it is a member of a Redis Cluster: give the Cluster as one node, redis-cluster://host,host/"},
	{"CLUSTERDOWN", "its Cluster is not complete: see redis-cli --cluster check"},
	{"MASTERDOWN", "it is a replica without its primary: give the address of the primary"},
	{"LOADING", "it is loading its data after a start: wait for that"},
	{"MISCONF", "it cannot save to its disk and so refuses writes: check its log and its disk"},
	{"OOM", "its memory is full: raise maxmemory or delete what is not needed"},
	{"BUSY", "a script of another program blocks it: see redis-cli SCRIPT KILL"},
	{"NOREPLICAS", "it has fewer replicas than min-replicas-to-write: bring them back"},
	{"ERR max number of clients reached", "its connections are used up: raise maxclients, or see with redis-cli CLIENT LIST who has them"},
	{"ERR DB index is out of range", "it has no database of that number: give another one after the last slash, or none"},
	{"redis: nil", "the Sentinels know no master of that name: correct the name after the slash"}, // wrapped in an error of dialing
	{"ERR This instance has cluster support disabled", "it is not a member of a Cluster: write host:port in place of redis-cluster://host/"},
	{"ERR unknown command 'sentinel'", "it is not a Sentinel: give the Sentinels' addresses, or host:port of the server alone"},
	{"ERR unknown command", "it is older than Redis 5.0, forbids the command, or is a Sentinel: give the address of a server"},
}

// What Redis 7.2 says differs from what servers before it do.
const (
	otherKeys     = "the user may touch other keys only: give the --prefix of the services, or allow it these keys (ACL SETUSER name ~prefix*)"
	otherChannels = "the user may not trigger: allow it &redtick:trigger (ACL SETUSER), or give another user"
)

const (
	noLogin    = "it needs a password: put redis" + exampleCredentials + "host:port into REDIS_ADDRS"
	wrongLogin = "the user name or password is wrong: correct them in REDIS_ADDRS, and write any of / ? # @ : , % in them escaped, as %2F is for /"
)

// cure is what to do about the error of a node, or "".
func cure(err error) string {
	if answer := redis.Error(nil); errors.As(err, &answer) {
		for _, c := range serverCures {
			if strings.HasPrefix(answer.Error(), c.code) {
				return c.cure
			}
		}
		return ""
	}
	if text := tlsCure(err); text != "" {
		return text
	}
	var unknown *net.DNSError
	var late net.Error
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return "correct the address, or check the name server"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server, or correct host and port"
	case errors.Is(err, os.ErrNotExist):
		return "there is no such socket: start the server, or correct the path"
	case errors.Is(err, os.ErrPermission):
		return "this user may not open the socket: check its permissions"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to that machine: check that it is up, and the network"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection: is it a TLS port? then write rediss:// (rediss-sentinel://, rediss-cluster://); where that is written, it may want a certificate of yours: --tls-cert and --tls-key"
	case strings.Contains(err.Error(), "redis: invalid reply"), strings.Contains(err.Error(), "redis: can't parse"):
		return "that is not a Redis server: correct host and port"
	case errors.As(err, &late) && late.Timeout(), strings.HasPrefix(err.Error(), "no answer within"), errors.Is(err, redlock.ErrNodeOut):
		return "it hangs, a firewall drops what is sent to it, or rediss:// is written for a port without TLS: try redis-cli -h HOST ping"
	}
	return ""
}

func tlsCure(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &authority):
		return "give the CA that signed its certificate with --tls-ca"
	case errors.As(err, &host):
		return "its certificate is for another host: write the host that it is for"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew its certificate, or check the clocks of both machines"
	case errors.As(err, &header):
		return "it does not speak TLS there: write redis:// in place of rediss://"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls"):
		return "it refuses this client: give a certificate that it trusts with --tls-cert and --tls-key"
	}
	return ""
}

// outBecause returns the text of a node's error with its cure. An error in one of redlock's scripts has one already.
func outBecause(err error) string {
	text, advice := plain(err), cure(err)
	if answer := redis.Error(nil); errors.As(err, &answer) && advice != "" {
		text = plain(answer)
	}
	if advice == "" {
		return text
	}
	return strings.TrimSuffix(text, ".") + "; " + advice
}

// explained returns the text of an error, with a line for each node's error.
func explained(err error) string {
	var lines []string
	nodes := nodeErrors(err)
	if text := withoutNodes(err); len(nodes) == 0 || text != plain(err) {
		lines = append(lines, text)
	}
	for _, n := range nodes {
		lines = append(lines, n.Node+": "+printable(outBecause(n.Err)))
	}
	return strings.Join(lines, "\n  ")
}

// withoutNodes returns the text of an error without the nodes' errors.
func withoutNodes(err error) string {
	failed := (*redlock.Error)(nil)
	if !errors.As(err, &failed) {
		return plain(err)
	}
	head := *failed
	head.Nodes = nil
	return plain(errors.New(strings.Replace(err.Error(), failed.Error(), plain(&head), 1)))
}

// nodeErrors are what nodes said, in an error or in those it wraps.
func nodeErrors(err error) (nodes []*redlock.NodeError) {
	switch e := err.(type) {
	case *redlock.NodeError:
		return append(nodes, e)
	case interface{ Unwrap() error }:
		return nodeErrors(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			nodes = append(nodes, nodeErrors(each)...)
		}
	}
	return nodes
}
