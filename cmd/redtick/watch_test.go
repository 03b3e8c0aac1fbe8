//go:build unix

package main_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

type changeJSON struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
	Name  *nameJSON `json:"name"`
}

// Seen to fail when changes remembers nothing (a line for every look), and when
// names that are gone are not told, or have null for votes, and when a name that
// a minority of the nodes has is told as free, at first or at last.
func TestWatch_lines(t *testing.T) {
	f := newFleet(t)
	orphan := f.servers[2]
	if _, err := orphan.Do("SET", "orphan", "host:1/"+strings.Repeat("x", 22)); err != nil {
		t.Fatal(err)
	}
	text, lines := f.start("watch", "-interval", "100ms"), f.start("watch", "-interval", "100ms", "-o", "json")
	holder := f.hold("report")
	text.out.await(t, "is held by")
	lines.out.await(t, `"held":true`)
	time.Sleep(300 * time.Millisecond) // three looks that find nothing new
	if _, err := orphan.Do("DEL", "orphan"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	_ = holder.Process.Signal(syscall.SIGTERM)
	if o := holder.end(); o.code != 143 {
		t.Errorf("the holder: %+v", o)
	}
	text.out.await(t, "is free")
	lines.out.await(t, `"held":false`)
	_, _ = text.Process.Signal(syscall.SIGINT), lines.Process.Signal(syscall.SIGINT)
	o := text.end()
	if got := strings.Split(o.stdout, "\n"); o.code != 0 || len(got) != 3 ||
		!strings.Contains(got[0], "report is held by ") || !strings.HasSuffix(got[1], "report is free") {
		t.Errorf("text: %+v", o)
	}
	o = lines.end()
	var held []bool
	for d := json.NewDecoder(strings.NewReader(o.stdout)); d.More(); {
		var c changeJSON
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%v in %s", err, o.stdout)
		}
		if c.Name.Votes == nil {
			t.Errorf("votes is no list in %s", o.stdout)
		}
		held = append(held, c.Name.Held)
	}
	if o.code != 0 || len(held) != 2 || !held[0] || held[1] {
		t.Errorf("JSON: %+v", o)
	}
}

// Seen to fail when a line is written whenever the text of a node's error changes: "connection refused", then "node is out".
func TestWatch_outage(t *testing.T) {
	f := newFleet(t)
	p := f.start("watch", "-interval", "100ms")
	f.hold("report")
	p.out.await(t, "is held by")
	f.servers[0].Kill()
	f.servers[1].Kill()
	p.out.await(t, "1 of 3 nodes answered")
	for range 3 { // looks, meanwhile
		f.redtick("status")
	}
	f.servers[2].Kill()
	p.out.await(t, "0 of 3 nodes answered")
	f.redtick("status")
	_ = p.Process.Signal(syscall.SIGINT)
	if o := p.end(); o.code != 0 || strings.Count(o.stdout, "nodes answered") != 2 {
		t.Errorf("%+v, want a line for each change of the outage", o)
	}
}

// Seen to fail when only ls and a terminal report that there are more names, and when every look does.
func TestWatch_limit(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, name := range []string{"a", "b"} {
		f.redtick("run", "-name", name, "-tick", "24h", "--", "true")
	}
	p := f.start("watch", "-interval", "100ms", "-limit", "1", "-o", "json")
	p.err.await(t, "note: there are more names than --limit 1")
	for range 3 { // looks, meanwhile
		f.redtick("status")
	}
	_ = p.Process.Signal(syscall.SIGINT)
	if o := p.end(); o.code != 0 || strings.Count(o.stderr, "note:") != 1 || strings.Count(o.stdout, "\n") != 1 {
		t.Errorf("%+v", o)
	}
}

// Seen to fail when lines that could not be written are reported one by one.
func TestWatch_disk_full(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("only Linux has a disk that is always full")
	}
	defer full.Close()
	f := newFleet(t)
	for _, name := range []string{"a", "b"} {
		f.redtick("run", "-name", name, "-tick", "24h", "--", "true")
	}
	p := f.prepare("watch")
	p.Stdout = full
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if o := p.end(); o.code != 1 || strings.Count(o.stderr, "no space left") != 1 {
		t.Errorf("%+v", o)
	}
}
