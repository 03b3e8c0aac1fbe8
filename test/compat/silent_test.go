//go:build unix

package compat_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// TestQuietNight makes a firewall forget the connections of an idle service. The first claim after that must be granted. It
// prints how long that took.
func TestQuietNight(t *testing.T) {
	var rows sync.Map
	t.Run("all", func(t *testing.T) {
		for _, count := range []int{1, 3} {
			for client := range single("") {
				t.Run(fmt.Sprintf("%d nodes, %s", count, client), func(t *testing.T) {
					t.Parallel()
					took := quietNight(t, client, count)
					rows.Store(fmt.Sprintf("| %d | %s |", count, client), fmt.Sprintf(" %.0f ms | %.0f ms | %.0f ms |", ms(took[0]), ms(took[1]), ms(took[2])))
				})
			}
		}
	})
	fmt.Printf("\n%s\n| Nodes | Client | claim before | first claim | second claim |\n| --- | --- | --- | --- | --- |\n%s\n", version(t), sorted(&rows))
}

// sorted returns the rows of a table, one on each line.
func sorted(rows *sync.Map) string {
	var lines []string
	rows.Range(func(head, rest any) bool {
		lines = append(lines, head.(string)+rest.(string)+"\n")
		return true
	})
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quietNight returns how long claims took before, right after, and later.
func quietNight(t *testing.T, client string, count int) (took [3]time.Duration) {
	var nodes []driver.Node
	var names []*redisserver.Forwarder
	for range count {
		f := redisserver.Forward(t, redisserver.Start(t).Addr())
		names, nodes = append(names, f), append(nodes, single(f.Addr())[client](t))
	}
	locker, err := redlock.New(nodes, redlock.WithPrefix(client+":"), redlock.WithObserver(func(redlock.Event) {}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer locker.Close(ctx)
	job, err := locker.NewJob("nightly")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(tick time.Time) time.Duration {
		begin := time.Now()
		lease, err := job.Claim(ctx, tick)
		took := time.Since(begin)
		if err != nil {
			t.Errorf("%s, %d nodes: after %v: %v", client, len(nodes), took, err)
			return took
		}
		if err := lease.Unlock(ctx); err != nil {
			t.Errorf("%s, %d nodes: Unlock: %v", client, len(nodes), err)
		}
		return took
	}
	tick := time.Now().Truncate(time.Second)
	claim(tick.Add(-3 * time.Second)) // connects
	took[0] = claim(tick.Add(-2 * time.Second))
	time.Sleep(200 * time.Millisecond) // the confirms and releases are through
	for _, f := range names {
		f.Silence()
	}
	time.Sleep(2 * time.Second) // longer than a connection is trusted for, or a client takes to ask by itself
	took[1] = claim(tick.Add(-time.Second))
	took[2] = claim(tick)
	return took
}
