//go:build unix

package redisserver

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// StartCluster runs a Redis Cluster of one server that owns all slots. It
// routes, refuses keys of different slots in one command and so on like a
// larger one, but it never redirects.
func StartCluster(t testing.TB) *Server {
	t.Helper()
	// The bus port is set, since the default, port + 10000, need not exist.
	s := Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(freePort(t)))
	if _, err := s.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		info, err := s.Do("CLUSTER", "INFO")
		if text, ok := info.(string); err == nil && ok && strings.Contains(text, "cluster_state:ok") {
			return s
		}
	}
	t.Fatal("redisserver: the cluster does not come up")
	return nil
}
