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

	"github.com/redtick/redtick/redlock/dashboard"
)

// Mutations that were made and seen to fail here:
//   - leave without stop, or that does not count: TestPage_events
//   - join starts run for each viewer: TestPage_viewers_share_looks
//   - a viewer waits for the next look before its first: TestPage_viewers_share_looks
//   - leave keeps the newest look, or tell that of viewers who have left: TestPage_an_outage
//   - events does not look at what Flush returns: TestPage_cannot_stream
//   - the deadline of a look stays when it was read: TestPage_idle_stream

// viewer is a page that is open somewhere.
type viewer struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
	left  chan struct{}
	saw   chan struct{} // has an element once something was seen
	stuck chan struct{} // nil, or blocks writes until it is closed

	deadlines []time.Time // as they were set
}

func (v *viewer) SetWriteDeadline(at time.Time) error {
	v.deadlines = append(v.deadlines, at)
	return nil
}

func (v *viewer) Write(b []byte) (int, error) {
	if v.stuck != nil {
		<-v.stuck
	}
	defer func() {
		select {
		case v.saw <- struct{}{}:
		default:
		}
	}()
	return v.ResponseRecorder.Write(b)
}

func view(page http.Handler, stuck chan struct{}) *viewer {
	ctx, leave := context.WithCancel(context.Background())
	v := &viewer{ResponseRecorder: httptest.NewRecorder(), leave: leave, left: make(chan struct{}), saw: make(chan struct{}, 1), stuck: stuck}
	go func() {
		defer close(v.left)
		page.ServeHTTP(v, httptest.NewRequest("GET", "/events", nil).WithContext(ctx))
	}()
	synctest.Wait()
	return v
}

// looks ends the view and returns what was seen.
func (v *viewer) looks(t *testing.T) (all []look) {
	t.Helper()
	v.leave()
	<-v.left
	for _, event := range strings.SplitAfter(v.Body.String(), "\n\n") {
		text, ok := strings.CutPrefix(event, "data: ")
		var l look
		if event == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil || !ok || strings.Count(text, "\n") != 2 {
			t.Fatalf("%v: not one look: %q", err, event)
		}
		l.bytes = len(event)
		all = append(all, l)
	}
	return all
}

func TestPage_events(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, b, page := fl.locker("a"), fl.locker("b"), fl.page()
		fl.run(a, "job")
		v := view(page, nil)
		time.Sleep(500 * time.Millisecond)
		fl.run(b, "job")
		time.Sleep(time.Second)
		if kind := v.Header().Get("Content-Type"); kind != "text/event-stream" {
			t.Error(kind)
		}
		if v.Header().Get("X-Accel-Buffering") != "no" {
			t.Error("a proxy may keep the looks back")
		}
		looks := v.looks(t)
		if len(looks) != 2 || !looks[0].Full || looks[1].Full || looks[0].holders() != "job: a" || looks[1].holders() != "job: a b" || len(looks[0].Nodes) != 3 {
			t.Errorf("%+v", looks)
		}
	})
}

// A deadline that stays would end an idle stream: over HTTP/2 it counts also
// while nothing is written.
func TestPage_idle_stream(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		v := view(fl.page(), nil)
		time.Sleep(time.Second)
		v.looks(t)
		if n := len(v.deadlines); n == 0 || n%2 != 0 || v.deadlines[0].IsZero() || !v.deadlines[n-1].IsZero() {
			t.Errorf("write deadlines: %v, want one for each look, and none between them", v.deadlines)
		}
	})
}

func TestPage_asks_nothing_unwatched(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page := fl.page()
		time.Sleep(time.Minute)
		if n := fl.batches(); n != 0 {
			t.Errorf("%d batches before anybody looked", n)
		}
		v := view(page, nil)
		time.Sleep(time.Second)
		v.looks(t)
		before := fl.batches()
		time.Sleep(time.Minute)
		if after := fl.batches(); before == 0 || after != before {
			t.Errorf("%d batches, and %d a minute after the last viewer left", before, after)
		}
	})
}

func TestPage_viewers_share_looks(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		cost := func(viewers int) int {
			page, before := fl.page(dashboard.WithInterval(2*time.Second)), fl.commands("INFO")
			var all []*viewer
			for range viewers {
				all = append(all, view(page, nil))
			}
			time.Sleep(9 * time.Second)
			cost := fl.commands("INFO") - before
			for _, v := range all {
				if n := len(v.looks(t)); n != 5 {
					t.Errorf("one of %d viewers had %d looks in 9 s, want 5", viewers, n)
				}
			}
			return cost
		}
		if one, ten := cost(1), cost(10); one == 0 || ten != one {
			t.Errorf("for one viewer the nodes are described %d times, for ten %d times", one, ten)
		}
	})
}

func TestPage_a_slow_viewer(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page, stuck := fl.page(), make(chan struct{})
		slow, quick := view(page, stuck), view(page, nil)
		time.Sleep(9500 * time.Millisecond)
		if n := len(quick.looks(t)); n != 10 {
			t.Errorf("beside a slow one, a viewer had %d looks in 9.5 s, want 10", n)
		}
		close(stuck)
		synctest.Wait()
		if n := len(slow.looks(t)); n != 2 {
			t.Errorf("the slow one got %d looks, want that which it had begun, and the newest", n)
		}
	})
}

func TestPage_viewers_come_and_go(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page := fl.page()
		for range 20 {
			first := view(page, nil)
			time.Sleep(300 * time.Millisecond)
			second := view(page, nil)
			if first.looks(t); len(second.looks(t)) != 1 {
				t.Error("who joins others is not shown the newest look at once")
			}
		}
	})
}

// noFlush is a ResponseWriter as a careless middleware makes it.
type noFlush struct{ http.ResponseWriter }

func TestPage_cannot_stream(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		w := httptest.NewRecorder()
		fl.page().ServeHTTP(noFlush{w}, httptest.NewRequest("GET", "/events", nil))
		if w.Code != 500 || !strings.Contains(w.Body.String(), "Unwrap") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if n := fl.batches(); n != 0 {
			t.Errorf("%d batches", n)
		}
	})
}
