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
	// replicaEnv tells a process that it is a replica, and which.
	replicaEnv = "REDTICK_DEMO_REPLICA"
	// stopLimit is how long a replica may take to stop.
	stopLimit = 5 * time.Second
	// closeLimit is how long a replica waits for nodes that are down.
	closeLimit = time.Second
	// A timer may fire a moment before its tick.
	early = 20 * time.Millisecond
)

// identity is what the parent tells a replica.
type identity struct {
	Name   string        `json:"name"`
	Skew   time.Duration `json:"skew"`
	Addrs  []string      `json:"addrs"`
	Prefix string        `json:"prefix"`
	Counts string        `json:"counts"`
}

// Replica is one process of the fleet, seen from inside. It is safe for
// concurrent use.
type Replica struct {
	// Name is "A", "B" and so on.
	Name string
	// Skew is how far this replica's clock is ahead of the machine's.
	Skew time.Duration
	// Addrs are the addresses of the Redis nodes.
	Addrs []string
	// Prefix starts the names that belong to this show alone. On real nodes, keys that contain it are deleted at its end.
	Prefix string

	jobs   []Job
	counts *os.File

	mu  sync.Mutex
	out *json.Encoder
}

// runReplica is Main in a replica. Its standard input never says anything: it
// ends when the parent wants the replica to stop, and when the parent dies.
func runReplica(d Demo, text string) error {
	// Ctrl-C reaches the whole process group, but it is the parent who decides.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	r, err := newReplica(d, text)
	if err != nil {
		return err
	}
	defer r.counts.Close()
	logging.Disable() // the Locker tells of dead nodes, once instead of at each attempt
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

// Now is the time by this replica's clock.
func (r *Replica) Now() time.Time { return time.Now().Add(r.Skew) }

// LockerOptions make a Locker tell the view what it is refused and why, under
// names that no other show uses.
func (r *Replica) LockerOptions() []redlock.LockerOption {
	return []redlock.LockerOption{redlock.WithPrefix(r.Prefix), redlock.WithHolder(r.Name), redlock.WithObserver(r.observe)}
}

// Ready tells that the schedule has started.
func (r *Replica) Ready() { r.tell(event{Kind: ready}) }

// Work is one run of a job: it is counted, told to the view, and takes as long
// as the job lasts, or until ctx ends. A tick that is zero, which a lock
// without ticks cannot know, becomes the one this replica's clock shows.
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

// Job is the work of a job whose context has the tick.
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

// Close closes a Locker that nothing uses any more.
func (r *Replica) Close(locker *redlock.Locker) {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := locker.Close(ctx); err != nil {
		r.Trouble(err) // a node is down: what it is owed expires there
	}
}

// Refused tells the view that this replica did not get a tick, and why. The
// Locker's refusals are told already when it was made with LockerOptions.
func (r *Replica) Refused(job string, tick time.Time, err error) {
	why := reason(err)
	r.tell(event{Kind: refused, Job: job, Tick: r.tick(job, tick), Reason: why})
	if why != reasonDone && why != reasonTaken && why != reasonStopped {
		r.Trouble(err)
	}
}

// Trouble shows an error that ends nothing.
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

// tell writes one event. When the parent is gone there is nobody to tell.
func (r *Replica) tell(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Replica, e.At = r.Name, time.Now()
	_ = r.out.Encode(e)
}
