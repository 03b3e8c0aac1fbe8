//go:build unix

package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestStatus_topology(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "redis.sock")
	redisserver.Start(t, append(durable, "--unixsocket", socket)...)
	group := redisserver.StartSentinel(t)
	shards := redisserver.StartShards(t)
	awaitReplicas(t, shards)
	plain := []*redisserver.Server{redisserver.Start(t, durable...), redisserver.Start(t, durable...), redisserver.Start(t, durable...)}
	for _, c := range []struct {
		name, addrs string
		code        int
		want        []string
	}{
		{"a socket", "unix://" + socket, 0, []string{"server, 0 replicas", "locks can be acquired\n", "a single node: no failure is survived"}},
		{"three servers", addrs(plain...), 0, []string{"1 of the 3 that vote may fail"}},
		{"a Sentinel group", "redis-sentinel://" + strings.Join(group.Addrs(), ",") + "/" + redisserver.SentinelMaster, 1,
			[]string{group.Addrs()[0], "sentinel, 1 replica", "a single node: the failure of the master stops all names until a replica takes over"}},
		{"a Sentinel group of another name", "redis-sentinel://" + strings.Join(group.Addrs(), ",") + "/another", 2,
			[]string{"the Sentinels know no master of that name: correct the name after the slash"}},
		{"no Sentinel", "redis-sentinel://" + plain[0].Addr() + "/master", 2, []string{"it is not a Sentinel"}},
		{"no Cluster", "redis-cluster://" + plain[0].Addr(), 2, []string{"it is not a member of a Cluster"}},
		{"a Cluster", "redis-cluster://" + strings.Join(shards.Addrs()[:2], ","), 1,
			[]string{"cluster, 3 masters, 3 replicas", "locks can be acquired\n", "the failure of a master stops its share of the names"}},
		{"a Cluster and two servers", "redis-cluster://" + strings.Join(shards.Addrs(), ",") + "/," + addrs(plain[:2]...), 1,
			[]string{"cluster, 3 masters", "3 of 3 nodes answer", "1 of the 3 that vote may fail"}},
		{"a member of a Cluster", shards.Master("a").Addr(), 1,
			[]string{"member of a cluster", "locks can be acquired on some names only", "MOVED; give the Cluster as one node, redis-cluster://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := redtick(t, c.addrs, "status")
			if o.code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", o.code, c.code, o.all())
			}
			has(t, o.stdout, c.want...)
		})
	}
	o := redtick(t, "redis-cluster://"+shards.Addrs()[3], "status", "-o", "json")
	s := decode[statusJSON](t, o.stdout)
	if n := s.Nodes[0]; n.Topology != "cluster" || n.Masters != 3 || n.Replicas != 3 || n.Server != "redis" && n.Server != "valkey" || s.Survives != 0 {
		t.Errorf("in JSON: %+v", s)
	}
}

// awaitReplicas waits, for a second or two, until each member knows all replicas.
func awaitReplicas(t *testing.T, shards *redisserver.Shards) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		unheard := ""
		for _, s := range shards.Servers {
			slots, err := s.Do("CLUSTER", "SLOTS")
			for _, other := range shards.Servers {
				if listed := fmt.Sprint(slots); err != nil || !strings.Contains(listed, strconv.Itoa(other.Port())) {
					unheard = other.Addr()
				}
			}
		}
		if unheard == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not listed by all members", unheard)
		}
	}
}

// Names of each shard can be run, listed and shown through any member of a Cluster, and through Sentinels.
func TestRun_severalAddresses(t *testing.T) {
	group, shards := redisserver.StartSentinel(t), redisserver.StartShards(t)
	for name, addr := range map[string]string{
		"Sentinel": "redis-sentinel://" + strings.Join(group.Addrs(), ",") + "/" + redisserver.SentinelMaster,
		"Cluster":  "redis-cluster://" + shards.Replica(shards.Master("a")).Addr(),
	} {
		t.Run(name, func(t *testing.T) {
			for _, job := range []string{"{a}job", "{b}job", "{c}job"} {
				if o := redtick(t, addr, "run", "-name", job, "-tick", "1h", "--", "true"); o.code != 0 {
					t.Fatalf("%s: %+v", job, o)
				}
			}
			o := redtick(t, addr, "ls")
			if o.code != 0 {
				t.Errorf("ls: %+v", o)
			}
			has(t, o.stdout, "{a}job", "{b}job", "{c}job")
		})
	}
}

func TestAddresses_refused(t *testing.T) {
	for _, addr := range []string{
		"redis-sentinel://host", "redis-sentinel://host/", "redis-sentinel:///master", "redis-sentinel://host,,host/master",
		"redis-sentinel://host/master/db", "redis-sentinel://host/master?nosuch=1", "redis-cluster://", "redis-cluster://host/1",
		"redis-cluster://host,/", "redis-galaxy://host", "unix://",
		"host:1;other:2", `"host:1"`, "'host:1,other:2'", "host:99999", "redis-cluster://host:0/", "redis-cluster://host;other/",
	} {
		if o := redtick(t, addr, "ls"); o.code != 64 || !strings.Contains(o.stderr, "node 1 of") || !strings.Contains(o.stderr, "redis-sentinel://host,host/master") {
			t.Errorf("%s: %+v", addr, o)
		}
	}
}

// The server also requires a client certificate.
func TestTLS_flags(t *testing.T) {
	s := redisserver.StartTLS(t, "--tls-auth-clients", "yes")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, cert, key := s.TLSFiles()
	addr := "rediss://" + s.TLSAddr()
	if o := redtick(t, addr, "ls", "--timeout", "20s", "--tls-ca", ca, "--tls-cert", cert, "--tls-key", key); o.code != 0 {
		t.Errorf("all is given: %+v", o)
	}
	strangerCert, strangerKey := stranger(t)
	strange, strangeKey := file("strange.pem", strangerCert), file("strange-key.pem", strangerKey)
	broken := file("broken.pem", "not a certificate")
	for _, c := range []struct {
		name, addr string
		args       []string
		code       int
		want       []string
	}{
		{"no CA", addr, []string{"--tls-cert", cert, "--tls-key", key}, 2, []string{"certificate"}},
		{"another CA", addr, []string{"--tls-ca", strange, "--tls-cert", cert, "--tls-key", key}, 2, []string{"certificate"}},
		{"no certificate", addr, []string{"--tls-ca", ca}, 2, []string{"--tls-cert and --tls-key"}},
		{"another certificate", addr, []string{"--tls-ca", ca, "--tls-cert", strange, "--tls-key", strangeKey}, 2, []string{"--tls-cert and --tls-key"}},
		{"no such file", addr, []string{"--tls-ca", dir + "/none.pem"}, 64, []string{"--tls-ca", "none.pem", "no such file", "in PEM"}},
		{"no PEM", addr, []string{"--tls-ca", broken}, 64, []string{"broken.pem", "holds no certificate", "must hold"}},
		{"no key", addr, []string{"--tls-cert", cert}, 64, []string{"--tls-key", "must be given together"}},
		{"another key", addr, []string{"--tls-cert", cert, "--tls-key", strangeKey}, 64, []string{"strange-key.pem", "its own key"}},
		{"no TLS", s.Addr(), []string{"--tls-ca", ca}, 64, []string{"none does", "write rediss://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := redtick(t, c.addr, append([]string{"ls", "--timeout", "20s"}, c.args...)...)
			if o.code != c.code {
				t.Errorf("exit code %d, want %d: %+v", o.code, c.code, o)
			}
			has(t, o.stderr, c.want...)
		})
	}
}

func stranger(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "stranger"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bare}))
}
