package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/dashboard"
)

// Mutations that were made and seen to fail here:
//   - look leaves out Error, or describe the node's: TestPage_a_node_is_down
//   - Leader always false: TestPage_state
//   - add does not cut, or keeps the oldest: TestPage_state_has_the_last_ticks
//   - strips never read, or read only once: TestPage_state_finds_ticks_between_looks
//   - update without DeleteFunc: TestPage_state_forgets_names
//   - note leaves out fresh, or show asks one by one: TestPage_a_look_is_cheap

func TestPage_state(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, b, page := fl.locker("a"), fl.locker("b"), fl.page(dashboard.WithNames("app:"))
		leader := fl.hold(b, "app:leader")
		fl.hold(a, "other:lock")
		for range 2 {
			fl.run(a, "app:job")
			time.Sleep(time.Second)
			fl.run(b, "app:job")
			time.Sleep(time.Second)
		}
		l := fl.state(page)
		if got, want := l.holders(), "app:job: a b a b, app:leader:b"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if l.Error != "" || l.More || !l.ReadOnly || len(l.Nodes) != 3 {
			t.Errorf("%+v", l)
		}
		if held := l.Names[1]; !held.Leader || held.Votes != 3 || held.Token != leader.Token() || l.Names[0].Leader {
			t.Errorf("%+v", l.Names)
		}
	})
}

func TestPage_a_node_is_down(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		fl.run(a, "job")
		fl.servers[1].Freeze()
		l := fl.state(page)
		if l.Nodes[0].Error != "" || l.Nodes[1].Error == "" || l.Nodes[2].Error != "" || l.Error != "" || l.holders() != "job: a" {
			t.Errorf("one of three: %+v", l)
		}
		fl.servers[2].Freeze()
		if l = fl.state(page); !strings.Contains(l.Error, "quorum") || l.Nodes[2].Error == "" {
			t.Errorf("two of three: %+v", l)
		}
		fl.servers[1].Thaw()
		fl.servers[2].Thaw()
		time.Sleep(time.Minute)
		if l = fl.state(page); l.Error != "" || l.Nodes[1].Error != "" {
			t.Errorf("back: %+v", l)
		}
	})
}

func TestPage_state_has_the_last_ticks(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		begin := time.Now()
		for range 45 {
			fl.run(a, "job")
			time.Sleep(time.Second)
		}
		for more := range 3 {
			ticks := fl.state(page).Names[0].Ticks
			if first := begin.Add(time.Duration(5+more) * time.Second); len(ticks) != 40 || !ticks[0].At.Equal(first) || !ticks[39].At.Equal(first.Add(39*time.Second)) {
				t.Errorf("%d ticks from %v, want 40 from %v", len(ticks), ticks[0].At, first)
			}
			fl.run(a, "job")
			time.Sleep(time.Second)
		}
	})
}

func TestPage_state_finds_ticks_between_looks(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		fl.run(a, "job")
		fl.state(page)
		for range 10 {
			time.Sleep(2 * time.Second)
			fl.run(a, "job")
		}
		if n := len(fl.state(page).Names[0].Ticks); n != 11 {
			t.Errorf("%d ticks, want 11", n)
		}
	})
}

func TestPage_state_forgets_names(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		fl.run(a, "job")
		fl.state(page)
		for _, s := range fl.servers {
			s.Do("FLUSHALL")
		}
		time.Sleep(time.Second)
		if got := fl.state(page).holders(); got != "" {
			t.Errorf("after the nodes were emptied: %q", got)
		}
		fl.run(a, "job")
		time.Sleep(time.Second)
		if n := len(fl.state(page).Names[0].Ticks); n != 1 {
			t.Errorf("%d ticks, want 1", n)
		}
	})
}

func TestPage_state_is_no_markup(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		fl.run(fl.locker(`"><b>`), `<script>alert("1")</script>`)
		w := httptest.NewRecorder()
		fl.page().ServeHTTP(w, httptest.NewRequest("GET", "/state", nil))
		if body := w.Body.String(); strings.ContainsAny(body, "<>") || !strings.Contains(body, `\u003cscript\u003ealert(\"1\")`) {
			t.Errorf("%s", body)
		}
	})
}

func TestPage_a_look_is_cheap(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a := fl.locker("a")
		fl.way = time.Millisecond
		page := fl.page(dashboard.WithNames("job-"))
		for i := range 50 {
			fl.run(a, fmt.Sprintf("job-%d", i))
		}
		for range 10 { // what has happened so far is read bit by bit
			fl.state(page)
			time.Sleep(time.Minute)
		}
		before, scans := fl.batches(), fl.scans()
		fl.state(page)
		synctest.Wait()
		// Of each node: TIME, INFO and what goes with it, one SCAN for the names, and what they hold.
		if scans = fl.scans() - scans; scans != 3 {
			t.Errorf("%d scans for 50 names that rest, want one of each node", scans)
		}
		if n := fl.batches() - before; n > 3*8 {
			t.Errorf("%d batches for 50 names, want at most 8 of each node", n)
		}
	})
}
