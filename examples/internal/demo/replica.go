package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/redtick/redtick/redlock"
)

const (
	// replicaEnv makes a process a replica. Its value is an identity in JSON.
	replicaEnv = "REDTICK_DEMO_REPLICA"
	// stopLimit is how long a replica may take to stop.
	stopLimit = 5 * time.Second
	// closeLimit is how long a replica waits for nodes that are down.
	closeLimit = time.Second
	// A timer may fire a moment before its tick.
	early = 20 * time.Millisecond
)

// identity is what a replica is started with.
type identity struct {
	Name   string        `json:"name"`
	Skew   time.Duration `json:"skew"`
	Addrs  []string      `json:"addrs"`
	Prefix string        `json:"prefix"`
	Counts string        `json:"counts"`
}

// Replica is one replica, within its own process. It is safe for concurrent use.
type Replica struct {
	// Name is "A", "B" and so on.
	Name string
	// Skew is how far this replica's clock is ahead of the machine's.
	Skew time.Duration
	// Addrs are the addresses of the Redis nodes.
	Addrs []string
	// Prefix is the prefix of names, unique to this demo. On real nodes, keys that contain
	// it are deleted at the end.
	Prefix string

	jobs   []Job
	counts *os.File

	mu  sync.Mutex
	out *json.Encoder
}

// runReplica is Main in a replica. Its standard input carries no data: it is closed when
// the parent asks the replica to stop, and when the parent dies.
func runReplica(d Demo, text string) error {
	// Ctrl-C reaches the whole process group, but the parent decides when to stop.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	r, err := newReplica(d, text)
	if err != nil {
		return err
	}
	defer r.counts.Close()
	logging.Disable() // the Locker reports a dead node once, not at each attempt
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
		time.Sleep(stopLimit)
		fmt.Fprintf(os.Stderr, "replica %s did not stop within %v\n", r.Name, stopLimit)
		os.Exit(1)
	}()
	return d.Replica(ctx, r)
}

func newReplica(d Demo, text string) (*Replica, error) {
	var id identity
	if err := json.Unmarshal([]byte(text), &id); err != nil {
		return nil, fmt.Errorf("%s is %q; it is set by the demo for its replicas, unset it: %w", replicaEnv, text, err)
	}
	counts, err := os.OpenFile(id.Counts, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &Replica{
		Name: id.Name, Skew: id.Skew, Addrs: id.Addrs,
		Prefix: id.Prefix, jobs: d.Jobs, counts: counts, out: json.NewEncoder(os.Stdout),
	}, nil
}

// Now returns the time by this replica's clock.
func (r *Replica) Now() time.Time { return time.Now().Add(r.Skew) }

// LockerOptions returns options for a Locker that reports its refusals to the view and
// uses names that no other demo does.
func (r *Replica) LockerOptions() []redlock.LockerOption {
	return []redlock.LockerOption{redlock.WithPrefix(r.Prefix), redlock.WithHolder(r.Name), redlock.WithObserver(r.observe)}
}

// Ready reports that the schedule has started.
func (r *Replica) Ready() { r.tell(event{Kind: ready}) }

// Work is one run of a job. It counts the run, reports it to the view, and takes as long
// as the job lasts, or until ctx is done. A zero tick, from a lock that knows no ticks,
// is replaced by the current one of this replica's clock.
func (r *Replica) Work(ctx context.Context, job string, tick time.Time) error {
	tick = r.tick(job, tick)
	if _, err := fmt.Fprintf(r.counts, countFormat, job, tick.UnixMilli(), r.Name); err != nil {
		return fmt.Errorf("count a run of %s: %w", job, err)
	}
	r.tell(event{Kind: began, Job: job, Tick: tick})
	defer r.tell(event{Kind: ended, Job: job, Tick: tick})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(r.job(job).Lasts):
		return nil
	}
}

// Job returns a function that does the work of a job, for the tick in its context.
func (r *Replica) Job(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		tick, ok := redlock.TickFrom(ctx)
		if !ok {
			r.Trouble(errors.New("the run has no tick"))
		}
		err := r.Work(ctx, name, tick)
		if err != nil && ctx.Err() == nil {
			r.Trouble(err)
		}
		return err
	}
}

// Close closes a Locker that is no longer in use.
func (r *Replica) Close(locker *redlock.Locker) {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := locker.Close(ctx); err != nil {
		r.Trouble(err) // a node is down; its locks expire
	}
}

// Refused reports to the view that this replica did not get a tick, and why. A Locker
// made with LockerOptions calls it for its own refusals.
func (r *Replica) Refused(job string, tick time.Time, err error) {
	why := reason(err)
	r.tell(event{Kind: refused, Job: job, Tick: r.tick(job, tick), Reason: why})
	if why != reasonDone && why != reasonTaken && why != reasonStopped {
		r.Trouble(err)
	}
}

// Trouble shows an error in the view. The demo goes on.
func (r *Replica) Trouble(err error) {
	r.tell(event{Kind: trouble, Text: strings.NewReplacer("redlock: ", "", "\n", "; ").Replace(err.Error())})
}

func (r *Replica) job(name string) Job {
	for _, j := range r.jobs {
		if j.Name == name {
			return j
		}
	}
	return Job{Name: name, Every: time.Second}
}

func (r *Replica) tick(job string, known time.Time) time.Time {
	if known.IsZero() {
		return r.Now().Add(early).Truncate(r.job(job).Every)
	}
	return known
}

func (r *Replica) observe(e redlock.Event) {
	job := strings.TrimPrefix(e.Name, r.Prefix)
	switch e.Kind {
	case redlock.Refused:
		r.Refused(job, e.Tick, e.Err)
	case redlock.Lost, redlock.RenewFailed:
		r.Trouble(e.Err)
	case redlock.NodeOut:
		r.Trouble(&redlock.NodeError{Node: e.Node, Err: e.Err})
	case redlock.NodeBack:
		r.Trouble(fmt.Errorf("node %s is back", e.Node))
	}
}

// tell writes one event. Errors do not matter, as they mean that the parent is gone.
func (r *Replica) tell(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Replica, e.At = r.Name, time.Now()
	_ = r.out.Encode(e)
}
