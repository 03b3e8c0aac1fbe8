package redlock_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// serverVersion is what the in-memory servers answer like. TestOldServers sets it.
var serverVersion = cmp.Or(os.Getenv(serverVersionEnv), "7.0")

const serverVersionEnv = "REDTICK_SERVER_VERSION"

// confirmed is when the nodes know that a claim was granted, also the slow ones.
const confirmed = 20 * time.Millisecond

// fleet is a set of in-memory servers and the processes that use them.
type fleet struct {
	t       testing.TB
	servers []*redlocktest.Server
	lockers []*redlock.Locker
}

// inBubble runs f with n fresh servers in fake time. Whatever goroutine is left after the lockers were closed fails the test.
func inBubble(t *testing.T, n int, f func(t *testing.T, fl *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fl := &fleet{t: t, servers: redlocktest.Servers(n)}
		for _, s := range fl.servers {
			s.Version(serverVersion)
		}
		f(t, fl)
		fl.close()
	})
}

func (fl *fleet) close() {
	fl.t.Helper()
	for _, l := range fl.lockers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		if err := l.Close(ctx); err != nil {
			fl.t.Errorf("Close: %v", err)
		}
		cancel()
	}
}

// answer makes every server answer with the error code, or as usual for "".
func (fl *fleet) answer(code string) {
	for _, s := range fl.servers {
		s.Answer(code)
	}
}

// process is one replica: its locker and its links.
type process struct {
	*redlock.Locker
	links []*redlocktest.Node
}

func (fl *fleet) process(name string, opts ...redlock.LockerOption) *process {
	fl.t.Helper()
	p := &process{}
	nodes := redlocktest.Nodes(fl.servers, name)
	for _, n := range nodes {
		p.links = append(p.links, n.(*redlocktest.Node))
	}
	var err error
	opts = append([]redlock.LockerOption{redlock.WithHolder(name), redlock.WithObserver(func(redlock.Event) {})}, opts...)
	if p.Locker, err = redlock.New(nodes, opts...); err != nil {
		fl.t.Fatal(err)
	}
	fl.lockers = append(fl.lockers, p.Locker)
	return p
}

// inspector looks at the nodes over the process's links.
func (p *process) inspector(t testing.TB, opts ...inspect.Option) *inspect.Inspector {
	t.Helper()
	nodes := make([]driver.Node, len(p.links))
	for i, l := range p.links {
		nodes[i] = l
	}
	return inspectorOn(t, nodes, opts...)
}

// inspector looks at the servers over links of its own.
func (fl *fleet) inspector(name string, opts ...inspect.Option) *inspect.Inspector {
	fl.t.Helper()
	return inspectorOn(fl.t, redlocktest.Nodes(fl.servers, name), opts...)
}

func inspectorOn(t testing.TB, nodes []driver.Node, opts ...inspect.Option) *inspect.Inspector {
	t.Helper()
	i, err := inspect.New(nodes, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// bootstrap declares a locker's nodes to be fresh.
func bootstrap(ctx context.Context, l *redlock.Locker) error {
	i, err := inspect.New(redlock.NodesOf(l))
	if err != nil {
		return err
	}
	return i.Bootstrap(ctx)
}

func (p *process) mutex(t testing.TB, name string, opts ...redlock.LockerOption) *subject {
	t.Helper()
	return subjectOn(t, p.Locker, name, opts...)
}

// subject is one name as a lock and as a job.
type subject struct {
	*redlock.Mutex
	*redlock.Job
}

// Name is the same for both.
func (s *subject) Name() string { return s.Mutex.Name() }

// subjectOn gives each option to the mutex, the job or both, as they take it.
func subjectOn(t testing.TB, l *redlock.Locker, name string, opts ...redlock.LockerOption) *subject {
	t.Helper()
	var forMutex []redlock.MutexOption
	var forJob []redlock.JobOption
	for _, o := range opts {
		if o, ok := o.(redlock.MutexOption); ok {
			forMutex = append(forMutex, o)
		}
		forJob = append(forJob, o.(redlock.JobOption))
	}
	m, err := l.NewMutex(name, forMutex...)
	if err != nil {
		t.Fatal(err)
	}
	j, err := l.NewJob(name, forJob...)
	if err != nil {
		t.Fatal(err)
	}
	return &subject{m, j}
}

// delay gives every link a random time each way.
func (p *process) delay(low, high time.Duration) {
	for _, l := range p.links {
		l.Delay(low, high)
	}
}

// locks lists where the name is locked, by server.
func (fl *fleet) locks(name string) (found []string) {
	for i, s := range fl.servers {
		if v, ok := s.Get(name); ok {
			found = append(found, fmt.Sprintf("server %d: %s", i+1, v))
		}
	}
	return found
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// again is a link that executes a batch a second time, later.
func again(later time.Duration) redlocktest.Fault { return redlocktest.Fault{Again: later} }

// punctual is a node to which a lone caller talks directly.
type punctual struct{ *redlocktest.Node }

func (punctual) Punctual() bool { return true }
