package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

func newWatch(t *target) *cobra.Command {
	var limit int
	var interval time.Duration
	c := t.queryNames(&limit, &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "ls, live",
		Long: `watch repeats ls until Ctrl-C. If stdout is not a terminal, or with -o json, it
writes lines instead: one for each name that is held or has run a tick, and one
whenever its holder, last tick or state changes. It misses what comes and goes within
one interval. It goes on while nodes are out, and says so when no majority answers;
"redtick status" shows each node.

Exit codes
  0   ended by Ctrl-C (or SIGTERM)

JSON: one object per line: at, error ("" unless no majority answers), and name
as in "redtick ls -o json" or null when the line is about the error.`,
		Example: `  redtick watch
  redtick watch billing/ --interval 500ms
  redtick watch | tee -a holders.log`,
	}, func(q *query, prefix string) error { return q.watch(prefix, limit, interval) })
	c.Flags().DurationVar(&interval, "interval", time.Second, "how often to look, 100ms to 1h")
	return c
}

func (q *query) watch(prefix string, limit int, interval time.Duration) error {
	if interval < 100*time.Millisecond || interval > time.Hour {
		return usage("--interval is %v, must be 100ms to 1h", interval)
	}
	show := (&changes{w: q.out, notes: q.notes, limit: limit, json: q.json, seen: map[string]string{}}).show
	if !q.json && isTerminal(os.Stdout) {
		show = screen{q.out, prefix}.show
	}
	ctx, stop := signal.NotifyContext(q.ctx, endings...)
	defer stop()
	q.ctx = ctx
	next := time.NewTicker(interval)
	defer next.Stop()
	for {
		found, err := q.find(prefix, limit)
		if ctx.Err() != nil {
			return nil
		}
		if err := show(found, err); err != nil {
			return exit(exitWarning, err)
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screen redraws a table in place.
type screen struct {
	w      io.Writer
	prefix string
}

func (s screen) show(found *foundNames, failure error) error {
	var body bytes.Buffer
	fmt.Fprintf(&body, "redtick watch %s  %s  (Ctrl-C ends)\n\n", printable(s.prefix), time.Now().Format(time.TimeOnly))
	if failure != nil {
		fmt.Fprintf(&body, "%s\n\n", printable(plain(failure)))
	}
	if err := found.write(&body, failure); err != nil {
		return err
	}
	columns, rows := terminalSize(os.Stdout)
	lines := strings.Split(strings.TrimRight(body.String(), "\n"), "\n")
	if hidden := len(lines) - rows + 1; hidden > 0 {
		lines = append(lines[:max(rows-2, 0)], fmt.Sprintf("… and %s below the screen", count(hidden+1, "line")))
	}
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	frame := home
	for _, line := range lines {
		frame += cut(line, columns) + clearLine + "\r\n"
	}
	_, err := io.WriteString(s.w, frame+clearBelow)
	return err
}

func cut(line string, columns int) string {
	if runes := []rune(line); len(runes) > columns {
		return string(runes[:columns-1]) + "…"
	}
	return line
}

// changes writes a line for each change.
type changes struct {
	w, notes io.Writer
	limit    int
	json     bool
	seen     map[string]string
	outage   string
	more     bool // there were more names than the limit
}

// change is one line of watch in JSON.
type change struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
	Name  *nameView `json:"name"`
}

func (c *changes) show(found *foundNames, failure error) error {
	// The nodes' errors are left out: they differ each time.
	if outage := withoutNodes(failure); outage != c.outage {
		c.outage = outage
		text := plain(failure)
		if err := c.line(change{Error: text}, cmp.Or(text, "a majority of the nodes answers again")); err != nil {
			return err
		}
	}
	if failure != nil {
		return nil // an incomplete answer would look like a change
	}
	if found.More && !c.more {
		_, _ = fmt.Fprintf(c.notes, "note: there are more names than --limit %d; raise it, or give a longer PREFIX\n", c.limit)
	}
	c.more = found.More
	// A name that only a minority of the nodes holds is not reported: its lock is being acquired or released.
	nobody := (&nameView{info: &inspect.Info{}, State: inspect.Free}).state()
	now := map[string]string{}
	for i := range found.Names {
		v := &found.Names[i]
		now[v.Name] = v.state()
		if cmp.Or(c.seen[v.Name], nobody) != now[v.Name] {
			if err := c.line(change{Name: v}, v.line()); err != nil {
				return err
			}
		}
	}
	for name, before := range c.seen {
		if _, still := now[name]; !still && !found.More && before != nobody {
			gone := newNameView(&inspect.Info{Name: name}, nil, time.Now())
			if err := c.line(change{Name: &gone}, shown(name)+" is free"); err != nil {
				return err
			}
		}
	}
	c.seen = now
	return nil
}

func (c *changes) line(what change, text string) error {
	what.At = time.Now().UTC().Truncate(time.Millisecond)
	if c.json {
		return json.NewEncoder(c.w).Encode(what)
	}
	_, err := fmt.Fprintln(c.w, what.At.Format("2006-01-02T15:04:05.000Z"), printable(text))
	return err
}

// state returns a string that changes when a change is to be reported.
func (v *nameView) state() string { return v.Token + " " + instant(v.lastTick()) + " " + v.State }

func (v *nameView) line() string {
	text := shown(v.Name) + " is " + v.State
	switch {
	case v.Held && v.State == inspect.Held, v.Held && v.State == inspect.Running:
		text += " by " + printable(v.Holder)
	case v.Held:
		text += ", held by " + printable(v.Holder)
	}
	if v.Tick != nil {
		text += ", runs tick " + instant(*v.Tick)
	} else if v.LastTick != nil {
		text += ", last tick " + instant(*v.LastTick) + " by " + printable(orDash(v.LastHolder))
	}
	return text
}
