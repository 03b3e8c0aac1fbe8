package dashboard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// fleet holds in-memory servers and their users, in a bubble: goroutines left at the
// end fail the test.
type fleet struct {
	*testing.T
	servers []*redlocktest.Server
	lockers []*redlock.Locker
	way     time.Duration // to a node, for lockers made from now on
}

func inBubble(t *testing.T, f func(fl *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fl := &fleet{T: t, servers: redlocktest.Servers(3)}
		f(fl)
		for _, l := range fl.lockers {
			if err := l.Close(context.Background()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

func (fl *fleet) nodes(name string) []driver.Node {
	nodes := redlocktest.Nodes(fl.servers, name)
	for _, n := range nodes {
		n.(*redlocktest.Node).Delay(fl.way, fl.way)
	}
	return nodes
}

func (fl *fleet) locker(holder string) *redlock.Locker {
	fl.Helper()
	nodes := fl.nodes(holder)
	l, err := redlock.New(nodes, redlock.WithHolder(holder))
	if err != nil {
		fl.Fatal(err)
	}
	fl.lockers = append(fl.lockers, l)
	return l
}

func (fl *fleet) page(opts ...dashboard.Option) *dashboard.Page {
	fl.Helper()
	inspector, err := inspect.New(fl.nodes("page"))
	if err != nil {
		fl.Fatal(err)
	}
	page, err := dashboard.New(inspector, opts...)
	if err != nil {
		fl.Fatal(err)
	}
	return page
}

func (fl *fleet) mutex(l *redlock.Locker, name string) *redlock.Mutex {
	fl.Helper()
	m, err := l.NewMutex(name)
	if err != nil {
		fl.Fatal(err)
	}
	return m
}

// run claims the current instant as a tick and ends the run at once.
func (fl *fleet) run(l *redlock.Locker, name string) {
	fl.Helper()
	fl.end(fl.claim(l, name), nil)
}

// claim begins a run whose tick is the current instant.
func (fl *fleet) claim(l *redlock.Locker, name string, opts ...redlock.JobOption) *redlock.Lease {
	fl.Helper()
	job, err := l.NewJob(name, opts...)
	if err != nil {
		fl.Fatal(err)
	}
	lease, err := job.Claim(fl.Context(), time.Now())
	if err != nil {
		fl.Fatal(err)
	}
	return lease
}

// end ends a run with a result.
func (fl *fleet) end(lease *redlock.Lease, result error) {
	fl.Helper()
	lease.SetResult(result)
	if err := lease.Unlock(fl.Context()); err != nil {
		fl.Error(err)
	}
	synctest.Wait()
}

func (fl *fleet) hold(l *redlock.Locker, name string) *redlock.Lease {
	fl.Helper()
	lease, err := fl.mutex(l, name).TryLock(fl.Context())
	if err != nil {
		fl.Fatal(err)
	}
	return lease
}

func (fl *fleet) batches() (n int) {
	synctest.Wait()
	for _, s := range fl.servers {
		n += s.Batches()
	}
	return n
}

// commands returns how often all servers together executed a command.
func (fl *fleet) commands(name string) (n int) {
	synctest.Wait()
	for _, s := range fl.servers {
		n += s.Commands(name)
	}
	return n
}

// look is a message as the page's script receives it.
type look struct {
	Now, Known                       int64
	Full, Outage, Searching, Control bool
	More                             bool
	Error                            string
	Rows                             []row
	Gone                             []string
	Nodes                            []struct{ Name, Error string }

	bytes int // of the message
}

type row struct {
	Name, State, Error, Schedule, Holder, Token string
	Job, Stale                                  bool
	Since, Next, Fence                          int64
	Bad, Votes, Waiters                         int
	Paused                                      *struct {
		By, Why string
		Until   int64
	}
	Runs []run
}

// run is [tick, late, took, result, holder] on the wire.
type run struct {
	Tick, Late, Took int64
	Result, Holder   string
}

func (r *run) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.Tick, &r.Late, &r.Took, &r.Result, &r.Holder})
}

// detail is the data of the view of one job.
type detail struct {
	State string
	Runs  []struct{ Error string }
	Nodes []struct {
		Node, Holder, Error string
		Agrees              bool
	}
}

func (l look) row(name string) row {
	for _, r := range l.Rows {
		if r.Name == name {
			return r
		}
	}
	return row{State: "not shown"}
}

// holders lists the names, each with its holder and who ran its last ticks.
func (l look) holders() string {
	var all []string
	for _, r := range l.Rows {
		text := r.Name + ":" + r.Holder
		for _, run := range slices.Backward(r.Runs) {
			text += " " + run.Holder
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// states lists the names with their states.
func (l look) states() string {
	var all []string
	for _, r := range l.Rows {
		all = append(all, r.Name+" "+r.State)
	}
	return strings.Join(all, ", ")
}

// state returns what a new viewer sees first, a second after the last one.
func (fl *fleet) state(page http.Handler) look {
	fl.Helper()
	time.Sleep(time.Second)
	v := view(page, nil)
	<-v.saw
	return v.looks(fl.T)[0]
}

func (fl *fleet) get(page http.Handler, path string, v any) {
	fl.Helper()
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		fl.Fatalf("%v: %s", err, w.Body)
	}
}

// order sends a control request, as the page's script does.
func (fl *fleet) order(page http.Handler, what, body string) {
	fl.Helper()
	r := httptest.NewRequest("POST", "/"+what, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w := httptest.NewRecorder()
	if page.ServeHTTP(w, r); w.Code != http.StatusNoContent {
		fl.Errorf("%s: %d %s", what, w.Code, w.Body)
	}
}
