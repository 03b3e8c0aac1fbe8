package dashboard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
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

// fleet is in-memory servers and those who use them, in a bubble: goroutines
// that are left at the end fail the test.
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

// run claims a tick at this instant and is done with it at once.
func (fl *fleet) run(l *redlock.Locker, name string) {
	fl.Helper()
	job, err := l.NewJob(name)
	if err != nil {
		fl.Fatal(err)
	}
	lease, err := job.Claim(fl.Context(), time.Now())
	if err != nil {
		fl.Fatal(err)
	}
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

func (fl *fleet) scans() (n int) {
	for _, s := range fl.servers {
		n += s.Commands("SCAN")
	}
	return n
}

// look is what the page's script is told.
type look struct {
	Names []struct {
		Name, Holder, Token string
		Votes, Waiters      int
		Leader              bool
		Ticks               []struct {
			At     time.Time
			Holder string
		}
	}
	Nodes    []struct{ Name, Error string }
	More     bool
	Error    string
	ReadOnly bool
}

// holders are the names, each with the holders of its ticks.
func (l look) holders() string {
	var all []string
	for _, n := range l.Names {
		text := n.Name + ":" + n.Holder
		for _, t := range n.Ticks {
			text += " " + t.Holder
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (fl *fleet) state(page http.Handler) (l look) {
	fl.Helper()
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/state", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil {
		fl.Fatalf("%v: %s", err, w.Body)
	}
	return l
}
