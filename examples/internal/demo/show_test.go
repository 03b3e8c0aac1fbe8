package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock"
)

// The shows of these tests are this test binary, started again, with a schedule
// whose replicas do what the test's case says. No lock keeps them apart.
//
// Mutations that were made and seen to fail here:
//   - ledger.judge without `v.more += len(runs)`: off the schedule
//   - ledger.judge with n >= 1 as once: twice
//   - ledger.judge without `v.missed++`: missed
//   - ledger.all without counted: counted only
//   - ledger.all without reported: reported only
//   - show.audit without differences: reported only, counted only
//   - show.bury without fail: falls over, does not stop
//   - runReplica without its own limit: does not stop
//   - strike without p.kill: A runs all -ticks 4
const showEnv = "DEMO_TEST_SHOW"

func TestMain(m *testing.M) {
	name := os.Getenv(showEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	demo.Main(demo.Demo{
		Schedule: "test schedule",
		Explain:  func() string { return name },
		Jobs:     []demo.Job{{Name: "pulse", Every: time.Second, Lasts: time.Millisecond}},
		Replica:  func(ctx context.Context, r *demo.Replica) error { return replicas[name](ctx, r) },
	})
}

// odd is true for one of three ticks in a row.
func odd(tick time.Time) bool { return tick.Unix()%3 == 0 }

type replica func(ctx context.Context, r *demo.Replica) error

var replicas = map[string]replica{
	"A runs all": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		return onlyA(ctx, r, tick)
	}),
	"twice": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if r.Name == "B" && odd(tick) {
			return r.Work(ctx, "pulse", tick)
		}
		return onlyA(ctx, r, tick)
	}),
	"missed": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if odd(tick) {
			return nil
		}
		return onlyA(ctx, r, tick)
	}),
	"off the schedule": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if r.Name == "B" && odd(tick) {
			return r.Work(ctx, "pulse", tick.Add(-500*time.Millisecond))
		}
		return onlyA(ctx, r, tick)
	}),
	"reported only": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if r.Name == "A" && odd(tick) {
			return json.NewEncoder(os.Stdout).Encode(map[string]any{"kind": "began", "replica": "A", "at": time.Now(), "job": "pulse", "tick": tick})
		}
		return onlyA(ctx, r, tick)
	}),
	"counted only": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if r.Name == "A" && odd(tick) {
			return count(tick)
		}
		return onlyA(ctx, r, tick)
	}),
	"falls over": each(func(ctx context.Context, r *demo.Replica, tick time.Time) error {
		if r.Name == "B" && odd(tick) {
			return errors.New("fell over")
		}
		return onlyA(ctx, r, tick)
	}),
	"does not start": func(context.Context, *demo.Replica) error { return errors.New("no schedule") },
	"does not stop": func(ctx context.Context, r *demo.Replica) error {
		_ = each(onlyA)(ctx, r)
		if r.Name == "B" {
			select {}
		}
		return nil
	},
}

// each is a schedule that calls f for every second by the replica's clock.
func each(f func(ctx context.Context, r *demo.Replica, tick time.Time) error) replica {
	return func(ctx context.Context, r *demo.Replica) error {
		r.Ready()
		for tick := r.Now().Truncate(time.Second).Add(time.Second); ; tick = tick.Add(time.Second) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tick.Sub(r.Now())):
			}
			if err := f(ctx, r, tick); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func onlyA(ctx context.Context, r *demo.Replica, tick time.Time) error {
	if r.Name != "A" {
		r.Refused("pulse", tick, redlock.ErrTickDone)
		return nil
	}
	return r.Work(ctx, "pulse", tick)
}

// count adds a run to the file without reporting it.
func count(tick time.Time) error {
	var id struct{ Counts string }
	if err := json.Unmarshal([]byte(os.Getenv("REDTICK_DEMO_REPLICA")), &id); err != nil {
		return err
	}
	file, err := os.OpenFile(id.Counts, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "pulse %d A\n", tick.UnixMilli())
	return err
}

// played is a show that was played.
type played struct {
	stdout, stderr string
	status         int
	err            error
}

// show plays one in the background: most of its time is spent waiting.
func show(t *testing.T, name string, args ...string) <-chan played {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), showEnv+"="+name, "REDIS_ADDRS=", "TMPDIR="+t.TempDir())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	end := make(chan played, 1)
	go func() {
		err := cmd.Run()
		if errors.As(err, new(*exec.ExitError)) {
			err = nil
		}
		end <- played{out.String(), errs.String(), cmd.ProcessState.ExitCode(), err}
	}()
	return end
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestMain_verdict(t *testing.T) {
	cases := []struct {
		show   string
		args   string
		last   string
		status int
		says   string
	}{
		{"A runs all", "-ticks 3 -no-kill", `ticks=3 once=3 more=0 missed=0`, 0, `3 runs, .* both agree`},
		{"A runs all", "-ticks 3 -replicas 1", `ticks=3 once=3 more=0 missed=0`, 0, `pulse   RAN`},
		{"A runs all", "-ticks 4", `ticks=4 once=2 more=0 missed=2`, 1, `killed +done .*<- nobody ran it`},
		{"twice", "-ticks 3 -no-kill", `ticks=3 once=2 more=1 missed=0`, 1, `<- ran 2 times`},
		{"missed", "-ticks 3 -no-kill", `ticks=3 once=2 more=0 missed=1`, 1, `<- nobody ran it`},
		{"off the schedule", "-ticks 5 -no-kill", `ticks=5 once=5 more=[12] missed=0`, 1, `B .*`},
		{"reported only", "-ticks 3 -no-kill", `ticks=3 once=3 more=0 missed=0`, 1, `pulse on A: reported 1 times, counted 0 times`},
		{"counted only", "-ticks 3 -no-kill", `ticks=3 once=3 more=0 missed=0`, 1, `pulse on A: reported 0 times, counted 1 times`},
		{"falls over", "-ticks 3 -no-kill", `ticks=3 once=3 more=0 missed=0`, 1, `replica B ended: exit status 1\s+fell over`},
		{"does not stop", "-ticks 1", `ticks=1 once=1 more=0 missed=0`, 1, `replica B ended: exit status 1\s+replica B did not stop within 5s`},
	}
	shows := make([]<-chan played, len(cases))
	for i, c := range cases {
		shows[i] = show(t, c.show, strings.Fields(c.args)...)
	}
	for i, c := range cases {
		t.Run(c.show+" "+c.args, func(t *testing.T) {
			p := <-shows[i]
			if p.err != nil || p.status != c.status {
				t.Errorf("status %d, want %d; %v", p.status, c.status, p.err)
			}
			if !regexp.MustCompile("^" + c.last + "$").MatchString(lastLine(p.stdout)) {
				t.Errorf("last line %q, want %s", lastLine(p.stdout), c.last)
			}
			if !regexp.MustCompile(c.says).MatchString(p.stdout) {
				t.Errorf("nothing matches %q", c.says)
			}
			if t.Failed() {
				t.Logf("%s\n%s", p.stdout, p.stderr)
			}
		})
	}
}

func TestMain_refuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		redis  string
		status int
		says   string
	}{
		{"negative ticks", []string{"-ticks", "-1"}, "", 2, "-ticks is -1, must be at least 1"},
		{"no replicas", []string{"-replicas", "0"}, "", 2, "-replicas is 0, must be 1 to 26"},
		{"too many replicas", []string{"-replicas", "27"}, "", 2, "-replicas is 27, must be 1 to 26"},
		{"skew that is no duration", []string{"-skew", "0s,fast"}, "", 2, `-skew has "fast", must be durations`},
		{"skew that is too large", []string{"-skew", "0s,-11s"}, "", 2, `-skew has "-11s", must be durations from -10s to +10s`},
		{"argument", []string{"twenty"}, "", 2, `unexpected argument "twenty"`},
		{"empty address", nil, "127.0.0.1:1,,127.0.0.1:2", 1, "has an empty address; write host:port"},
		{"no majority", nil, "127.0.0.1:1,127.0.0.1:2", 1, "no answer from 2 of 2 nodes in REDIS_ADDRS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("REDIS_ADDRS", c.redis)
			cmd := exec.CommandContext(t.Context(), os.Args[0], c.args...)
			cmd.Env = append(os.Environ(), showEnv+"=A runs all")
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != c.status || !strings.Contains(string(out), c.says) {
				t.Errorf("status %d, want %d; it says %q, want %q", status, c.status, out, c.says)
			}
		})
	}
}

func TestMain_replica_does_not_start(t *testing.T) {
	p := <-show(t, "does not start")
	if p.status != 1 || !regexp.MustCompile(`replica . did not start: exit status 1\s+no schedule`).MatchString(p.stderr) {
		t.Errorf("status %d, want 1; it says %q; %v", p.status, p.stderr, p.err)
	}
}
