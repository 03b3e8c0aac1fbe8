package rueidis_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// allow creates a user with the rules that SECURITY.md lists for a service, plus more.
func allow(t *testing.T, server *redisserver.Server, more func(security string) []string) rueidis.ClientOption {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "ACL SETUSER redtick on '>secret'")
	if !found {
		t.Fatal("SECURITY.md has no ACL rule")
	}
	block, _, _ = strings.Cut(block, "```")
	rules := append([]string{"ACL", "SETUSER", "redtick", "on", ">secret"}, strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(block))...)
	if _, err := server.Do(append(rules, more(string(text))...)...); err != nil {
		t.Fatal(err)
	}
	return rueidis.ClientOption{InitAddress: []string{server.Addr()}, Username: "redtick", Password: "secret"}
}

// A Cluster needs more rules. How rueidis asks for the layout depends on the
// server's version: Valkey 8.0 and Redis 8.0 need more than CLUSTER SLOTS.
func TestNewClient_minimalACL_cluster(t *testing.T) {
	options := allow(t, redisserver.StartCluster(t), func(security string) []string {
		return regexp.MustCompile(`\+cluster\|\w+`).FindAllString(security, -1)
	})
	options.DisableCache = true
	node := newNode(t, options)
	if got := do(node, driver.Command{"SET", "app:k", "v", "PX", "60000"}); got[0] != "OK" {
		t.Errorf("SET: %v", got)
	}
	if masters, err := node.Masters(t.Context()); err != nil || len(masters) != 1 {
		t.Errorf("masters: %v, %v", masters, err)
	}
}

// What docs/compatibility.md says of a user that may do only what SECURITY.md
// lists.
func TestNewClient_minimalACL(t *testing.T) {
	server := redisserver.Start(t)
	options := allow(t, server, func(string) []string { return nil })
	set := driver.Command{"SET", "app:k", "v", "PX", "60000"}

	if client, err := rueidis.NewClient(options); !errors.Is(err, rueidis.ErrNoCache) {
		t.Errorf("with client-side caching: %v, %v; the documentation says that it is refused", client, err)
	}
	without := options
	without.DisableCache = true
	if got := do(newNode(t, without), set); got[0] != "OK" {
		t.Errorf("with DisableCache: %v", got)
	}
	if _, err := server.Do("ACL", "SETUSER", "redtick", "+client|tracking"); err != nil {
		t.Fatal(err)
	}
	node := newNode(t, options)
	if got := do(node, set); got[0] != "OK" {
		t.Errorf("with client|tracking: %v", got)
	}
	// Once the permission is gone, the server's refusal ends a waiting Lock.
	for _, c := range [][]string{{"ACL", "SETUSER", "redtick", "-client|tracking"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if _, err := server.Do(c...); err != nil {
			t.Fatal(err)
		}
	}
	do(node, set) // which finds that the connection is closed
	if r := node.Do(t.Context(), []driver.Command{set})[0]; driver.ErrorCode(r.Err) != "NOPERM" {
		t.Errorf("without client|tracking: %v, %v", r.Value, r.Err)
	}
}
