package rueidis_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// What docs/compatibility.md says of a user that may do only what SECURITY.md
// lists.
func TestNewClient_minimalACL(t *testing.T) {
	server := redisserver.Start(t)
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
	if _, err := server.Do(rules...); err != nil {
		t.Fatal(err)
	}
	options := rueidis.ClientOption{InitAddress: []string{server.Addr()}, Username: "redtick", Password: "secret"}
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
	// Taken away again, it is the server that refuses, which ends a waiting Lock.
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
