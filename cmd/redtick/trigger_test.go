//go:build unix

package main_test

import (
	"strings"
	"testing"
	"time"
)

type triggered struct {
	Name   string    `json:"name"`
	Tick   time.Time `json:"tick"`
	Holder string    `json:"holder"`
	Token  string    `json:"token"`
}

// Of two machines with a crontab, one runs a triggered line, once.
//
// Seen to fail when cron does not listen, and when only the table of ls has the tick of a job that was never run by its schedule.
func TestTrigger(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if o := f.redtick("trigger", "report"); o.code != 1 || !strings.Contains(o.stderr, `trigger "report"`) || !strings.Contains(o.stderr, "nobody listens") {
		t.Errorf("%+v", o)
	}
	f.crontab("# redtick: name=report", "0 0 1 1 *  echo ran >> runs; until [ -f over ]; do sleep 0.01; done")
	for range 2 {
		p := f.start("cron", "crontab")
		p.err.await(t, "crontab is read")
	}
	var v triggered
	eventually(t, "a machine that listens", func() bool {
		o := f.redtick("trigger", "report", "-o", "json", "--by", "ann")
		if o.code == 0 {
			v = decode[triggered](t, o.stdout)
		}
		return o.code == 0
	})
	if v.Name != "report" || v.Holder == "" || v.Token == "" || time.Since(v.Tick) > time.Minute {
		t.Errorf("%+v", v)
	}
	if o := f.redtick("trigger", "report"); o.code != 1 || !strings.Contains(o.stderr, "repeat it when that one has ended") {
		t.Errorf("it runs, but: %+v", o)
	}
	f.leave("over")
	has(t, f.redtick("ls").stdout, "  "+v.Tick.Format(time.RFC3339Nano)+"  ")
	if n := f.show("report"); n.LastTick == nil || !n.LastTick.Equal(v.Tick) || n.LastHolder != v.Holder {
		t.Errorf("ls has the tick of %+v, JSON has %+v", v, n)
	}
	p := f.start("watch", "-interval", "100ms")
	p.out.await(t, "report is ")
	eventually(t, "its end", func() bool { return strings.Contains(f.redtick("runs", "report").stdout, "  ok\n") })
	o := f.redtick("trigger", "report")
	has(t, o.stdout, `"report" runs on `, ", tick 20")
	_, tick, _ := strings.Cut(strings.TrimSpace(o.stdout), ", tick ")
	p.out.await(t, "is ok, last tick "+tick)
	eventually(t, "the second run", func() bool { return f.read("runs") == "ran\nran\n" })
	f.redtick("pause", "report", "--by", "bob")
	if o := f.redtick("trigger", "report"); o.code != 1 || !strings.Contains(o.stderr, "paused: by bob, until it is resumed; resume it first") {
		t.Errorf("it is paused, but: %+v", o)
	}
	f.servers[0].Kill()
	f.servers[1].Kill()
	if o := f.redtick("trigger", "report"); o.code != 2 || !strings.Contains(o.stderr, "no quorum") {
		t.Errorf("two of three are out: %+v", o)
	}
}
