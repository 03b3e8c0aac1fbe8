package inspect_test

import (
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

// Seen to fail when any two of the cases of State change places, but for two pairs
// of neighbours that exclude each other: a result and "ended", waiting and held.
func TestState(t *testing.T) {
	now := time.Now()
	tick := now.Add(-time.Hour)
	ended := func(results ...string) *inspect.Runs {
		r := &inspect.Runs{Next: now.Add(time.Hour)}
		for _, result := range results {
			r.Runs = append(r.Runs, inspect.Run{Tick: tick, Result: result})
		}
		return r
	}
	late := ended("failed")
	late.Next = now.Add(-time.Minute)
	job := func(token string) *inspect.Info {
		return &inspect.Info{Token: token, LastTick: tick, LastRun: &inspect.Run{}}
	}
	for _, c := range []struct {
		want string
		info *inspect.Info
		runs *inspect.Runs
	}{
		{"paused", &inspect.Info{Paused: &inspect.Pause{}, LastTick: tick}, late},
		{"overdue", job(""), late},
		{"failed", job("a/b"), ended("running", "failed", "ok")},
		{"running", job("a/b"), ended("running")},
		{"waiting", job(""), &inspect.Runs{}},
		{"ended", &inspect.Info{LastTick: tick}, nil},
		{"running", &inspect.Info{LastTick: tick, Tick: tick, Token: "a/b"}, nil},
		{"ended", &inspect.Info{LastTick: tick, Token: "a/b"}, nil},
		{"held", &inspect.Info{Token: "a/b"}, nil},
		{"free", &inspect.Info{}, nil},
	} {
		if got := inspect.State(c.info, c.runs, now); got != c.want {
			t.Errorf("%+v, %+v: %s, want %s", c.info, c.runs, got, c.want)
		}
	}
}
