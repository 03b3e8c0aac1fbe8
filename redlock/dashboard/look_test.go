package dashboard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
)

// Mutations that were made and seen to fail here:
//   - what was known is overwritten in an outage, or Outage is false: TestPage_an_outage
//   - judge without paused, overdue, or the end of the bad runs: TestPage_states
//   - due without its limit, or outdatedBy always true: TestPage_a_look_is_cheap
//   - due without urgency, or that does not take what is old for new: TestPage_what_runs_comes_first
//   - hide does not note who is gone, since sends all rows or nodes: TestPage_only_what_changed
//   - names awaits the scans for good: TestPage_a_big_database
//   - a scan that fails is repeated after 19 times its time, or at once: TestPage_after_an_outage

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
		if l.Error != "" || l.More || l.Control || l.Searching || l.Outage || !l.Full || len(l.Nodes) != 3 {
			t.Errorf("%+v", l)
		}
		if held := l.Rows[1]; held.Job || held.Votes != 3 || held.Token != leader.Token() || !l.Rows[0].Job {
			t.Errorf("%+v", l.Rows)
		}
	})
}

var hourly = redlock.WithSchedule("0 * * * *", func(tick time.Time) time.Time { return tick.Add(time.Hour) })

func TestPage_states(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page(dashboard.WithControl(nil))
		fl.end(fl.claim(a, "bad", hourly), errors.New("not one of these"))
		time.Sleep(time.Second)
		fl.end(fl.claim(a, "bad", hourly), nil)
		time.Sleep(time.Second)
		fl.end(fl.claim(a, "bad", hourly), errors.New("disk full"))
		first := time.Now()
		time.Sleep(time.Minute)
		fl.end(fl.claim(a, "bad", hourly), errors.New("disk is still full"))
		fl.end(fl.claim(a, "good", hourly), nil)
		fl.end(fl.claim(a, "paused", hourly), errors.New("no"))
		fl.order(page, "pause", `{"Name": "paused"}`)
		running := fl.claim(a, "running", hourly)
		fl.hold(a, "lock")
		l := fl.state(page)
		if got, want := l.states(), "bad failed, good ok, lock held, paused paused, running running"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if r := l.row("bad"); r.Bad != 2 || r.Error != "disk is still full" || r.Since != first.UnixMilli() || r.Schedule != "0 * * * *" ||
			r.Next != first.Add(time.Minute+time.Hour).UnixMilli() {
			t.Errorf("bad: %+v", r)
		}
		fl.end(running, nil)
		time.Sleep(time.Hour + 10*time.Second)
		l = fl.state(page)
		if got, want := l.states(), "bad overdue, good overdue, lock held, paused paused, running overdue"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if r := l.row("good"); r.Since != r.Next || r.Next == 0 {
			t.Errorf("good: %+v", r)
		}
		skipped := l.row("paused").Next
		fl.order(page, "resume", `{"Name": "paused"}`)
		if r := fl.state(page).row("paused"); r.State != "failed" || r.Next != skipped+time.Hour.Milliseconds() {
			t.Errorf("paused: %+v", r)
		}
	})
}

// A replica that dies leaves a run whose end is never reported.
func TestPage_a_dead_replica(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page, lease := fl.page(dashboard.WithControl(nil)), fl.claim(fl.locker("a"), "job", hourly)
		if got := fl.state(page).states(); got != "job running" {
			t.Error(got)
		}
		for _, s := range fl.servers {
			s.Do("DEL", "job")
		}
		if r := fl.state(page).row("job"); r.State != "vanished" || r.Bad != 1 || r.Holder != "" {
			t.Errorf("%+v", r)
		}
		_ = lease.Unlock(fl.Context())
	})
}

func TestPage_an_outage(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		fl.run(a, "job")
		fl.state(page)
		fl.servers[1].Freeze()
		l := fl.state(page)
		if l.Nodes[0].Error != "" || l.Nodes[1].Error == "" || l.Nodes[2].Error != "" || l.Error != "" || l.Outage || l.holders() != "job: a" {
			t.Errorf("one of three: %+v", l)
		}
		known := l.Known
		fl.servers[2].Freeze()
		l = fl.state(page)
		if !strings.Contains(l.Error, "quorum") || l.Nodes[2].Error == "" || !l.Outage || l.Known != known || l.states() != "job ok" || l.holders() != "job: a" {
			t.Errorf("two of three: %+v", l)
		}
		fl.servers[1].Thaw()
		fl.servers[2].Thaw()
		time.Sleep(time.Minute)
		if l = fl.state(page); l.Error != "" || l.Nodes[1].Error != "" || l.Outage || l.Known != l.Now {
			t.Errorf("back: %+v", l)
		}
	})
}

// The page recovers right after an outage, and does not scan in each look during it.
func TestPage_after_an_outage(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		fl.run(fl.locker("a"), "job")
		v := view(fl.page(), nil)
		time.Sleep(2 * time.Second)
		fl.servers[0].Freeze()
		fl.servers[1].Freeze()
		time.Sleep(20 * time.Second)
		before := fl.servers[2].Commands("SCAN")
		time.Sleep(10 * time.Second)
		if n := fl.servers[2].Commands("SCAN") - before; n > 2*2 {
			t.Errorf("%d scans in 10 s of an outage, want one of each kind in 5 s", n)
		}
		fl.servers[0].Thaw()
		fl.servers[1].Thaw()
		time.Sleep(8 * time.Second)
		looks := v.looks(t)
		if last := looks[len(looks)-1]; last.Outage || last.Error != "" {
			t.Errorf("8 s after an outage: %+v", last)
		}
		time.Sleep(2 * time.Second) // for what is on its way
	})
}

func TestPage_the_last_runs(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		job, err := a.NewJob("job", redlock.WithHistory(100))
		if err != nil {
			t.Fatal(err)
		}
		var last time.Time
		for range 45 {
			last = time.Now()
			lease, err := job.Claim(fl.Context(), last)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			fl.end(lease, nil)
			time.Sleep(900 * time.Millisecond)
		}
		runs := fl.state(page).row("job").Runs
		if len(runs) != 20 || runs[0].Tick != last.UnixMilli() || runs[0].Took != 100 || runs[19].Tick != last.Add(-19*time.Second).UnixMilli() {
			t.Errorf("%d runs: %v", len(runs), runs)
		}
		var d detail
		if fl.get(page, "/job?name=job", &d); len(d.Runs) != 40 || len(d.Nodes) != 3 || !d.Nodes[0].Agrees || d.State != "ok" {
			t.Errorf("detail: %+v", d)
		}
	})
}

// Without a history the page shows the newest tick, and who ran it.
func TestPage_without_history(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		lease := fl.claim(a, "job", redlock.WithHistory(0))
		if l := fl.state(page); l.holders() != "job:a a" || l.states() != "job running" {
			t.Errorf("%+v", l.Rows)
		}
		fl.end(lease, nil)
		if l := fl.state(page); l.holders() != "job: a" || l.states() != "job ended" {
			t.Errorf("%+v", l.Rows)
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
		if got := fl.state(page).holders(); got != "" {
			t.Errorf("after the nodes were emptied: %q", got)
		}
		fl.run(a, "job")
		if n := len(fl.state(page).row("job").Runs); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

func TestPage_state_is_no_markup(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		fl.run(fl.locker(`"><b>`), `<script>alert("1")</script>`)
		v := view(fl.page(), nil)
		v.looks(t)
		if body := v.Body.String(); strings.ContainsAny(body, "<>") || !strings.Contains(body, `\u003cscript\u003ealert(\"1\")`) {
			t.Errorf("%s", body)
		}
	})
}

func TestPage_a_look_is_cheap(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a := fl.locker("a")
		fl.way = time.Millisecond
		page := fl.page(dashboard.WithNames("job-"))
		for i := range 300 {
			fl.run(a, fmt.Sprintf("job-%d", i))
		}
		if n := len(fl.state(page).Rows); n != 300 {
			t.Errorf("the first look shows %d names, want all 300", n)
		}
		time.Sleep(time.Second)
		fl.state(page) // the last scan was as long as its share allows
		before, shown, read := fl.commands("SCAN"), fl.commands("GETRANGE"), fl.commands("ZRANGE")
		batches := fl.batches()
		fl.state(page)
		if n := fl.batches() - batches; n > 3*15 {
			t.Errorf("%d batches for 200 names, want at most 15 of each node", n)
		}
		if n := fl.commands("SCAN") - before; n > 3*4 {
			t.Errorf("%d scans for 300 names, want at most four of each node", n)
		}
		// One GETRANGE and one ZRANGE belong to Show; Runs would have one of each, too.
		shown, read = fl.commands("GETRANGE")-shown, fl.commands("ZRANGE")-read
		if shown != 3*200 || read != 3*200 {
			t.Errorf("%d names shown and %d histories looked at on three nodes, want 200 on each", shown, read)
		}
	})
}

func TestPage_what_runs_comes_first(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page()
		runAll := func(result error) {
			for i := range 300 {
				fl.end(fl.claim(a, fmt.Sprintf("job-%03d", i)), result)
			}
		}
		runAll(nil)
		for range 6 {
			held := fl.claim(a, "z-held")
			for fl.state(page).row("z-held").State != "running" && fl.state(page).row("z-held").Holder == "" {
				continue
			}
			fl.end(held, nil)
			if got := fl.state(page).row("z-held").Holder; got != "" {
				t.Errorf("a run that has ended is shown as one of %s a second later", got)
			}
		}
		runAll(errors.New("no"))
		fl.state(page)
		if text := fl.state(page).states(); strings.Count(text, "failed") != 300 {
			t.Errorf("after two looks: %s", text)
		}
		time.Sleep(time.Minute)
		runAll(nil)
		if text := fl.state(page).states(); strings.Count(text, "ok") != 301 {
			t.Errorf("the first look after a while: %s", text)
		}
	})
}

func TestPage_only_what_changed(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a, page := fl.locker("a"), fl.page(dashboard.WithControl(nil))
		for i := range 50 {
			fl.run(a, fmt.Sprintf("job-%02d", i))
		}
		v := view(page, nil)
		time.Sleep(1500 * time.Millisecond)
		fl.run(a, "job-07")
		time.Sleep(time.Second)
		fl.order(page, "forget", `{"Name": "job-08"}`)
		time.Sleep(time.Second)
		time.Sleep(time.Second)
		looks := v.looks(t)
		if quiet := looks[len(looks)-1].bytes; quiet > 300 {
			t.Errorf("a look at which nothing had changed has %d bytes", quiet)
		}
		var got []string
		for _, l := range looks {
			got = append(got, fmt.Sprint(len(l.Rows), l.Gone, l.Full))
		}
		if text := strings.Join(got, " "); text != "50 [] true 0 [] false 1 [] false 0 [job-08] false 0 [] false" {
			t.Error(text)
		}
	})
}

// Scans of a big database do not delay looks, and jobs are found before locks.
func TestPage_a_big_database(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a := fl.locker("a")
		fl.run(a, "job")
		fl.hold(a, "lock")
		for _, s := range fl.servers {
			for i := range 10_000 {
				s.Do("SET", fmt.Sprintf("foreign:%d", i), "something")
			}
		}
		fl.way = 150 * time.Millisecond
		v := view(fl.page(), nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		looks, job, lock := v.looks(t), 0, 0
		time.Sleep(time.Second) // for what is on its way
		for n, l := range looks {
			if l.row("job").State == "ok" && job == 0 {
				job = n
			}
			if l.row("lock").State == "held" && lock == 0 {
				lock = n
			}
			if lock == 0 && !l.Searching {
				t.Errorf("look %d does not say that names are missing", n)
			}
		}
		if len(looks) < 30 || job == 0 || lock < job {
			t.Errorf("%d looks in a minute, the job in look %d, the lock in look %d", len(looks), job, lock)
		}
	})
}
