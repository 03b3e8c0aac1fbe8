package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock/inspect"
)

const (
	maxLimit = 10_000
	// askedAtOnce is how many names are queried concurrently. They share round trips.
	askedAtOnce = 64
)

func newList(t *target) *cobra.Command {
	var limit int
	return t.queryNames(&limit, &cobra.Command{
		Use:     "ls [PREFIX]",
		Aliases: []string{"list"},
		Short:   "List names: state, holder, last tick",
		Long: `ls lists the names that begin with PREFIX, in order: those that are held now,
and those for which the nodes remember a tick, a run, a fence or a pause.

It scans the databases with SCAN, which does not block the servers but takes time
in proportion to their keys. It does not list locks of other libraries, whose values
cannot be told from other data; "redtick show NAME" shows those, too.

STATE is the first of these that applies to a job: paused; overdue; the result of
its newest run that has ended, as in "redtick runs"; running or waiting, for its
first run. A name that is not a job's is held or free. A state is unknown when no
majority of the nodes answers. HOLDER holds the lock, REMAINING is how long the
lock lives unless it is renewed ("no TTL": it does not expire), and VOTES is how
many nodes hold it. LAST TICK is in UTC, and AGE how long ago it was; for a job
that was only triggered, or whose ticks come in any order, it is the tick of the
newest run. Bytes that could steer the terminal are quoted.

Exit codes
  0   listed
  2   no majority of the nodes answers; what the others know is listed

JSON: more (there are more names than --limit), names [name, state, held, holder,
token, tick, remaining_ms, last_tick, last_holder, fence, waiters, paused (null,
or by, why and for_ms, which is 0 for until it is resumed), votes [node, token,
remaining_ms, error]]. Times are RFC 3339 or null. Bytes that are not UTF-8
become U+FFFD.`,
		Example: `  redtick ls
  redtick ls billing/ --limit 1000
  redtick ls -o json | jq -r '.names[] | select(.held) | [.name, .holder] | @tsv'`,
	}, func(q *query, prefix string) error {
		found, err := q.find(prefix, limit)
		return errors.Join(q.print(found, func(w io.Writer) error { return found.write(w, err) }), err)
	})
}

// queryNames is query for a command that lists the names with a prefix.
func (t *target) queryNames(limit *int, c *cobra.Command, do func(q *query, prefix string) error) *cobra.Command {
	c.Args, c.ValidArgsFunction = onePrefix, t.completion((*inspect.Inspector).Names)
	c.Flags().IntVar(limit, "limit", 100, fmt.Sprintf("how many names to show, 1 to %d", maxLimit))
	return t.query(c, func(q *query, prefix string) error {
		if *limit < 1 || *limit > maxLimit {
			return usage("--limit is %d, must be 1 to %d; a longer PREFIX narrows the list", *limit, maxLimit)
		}
		return do(q, prefix)
	})
}

func onePrefix(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("%d prefixes are given, must be at most one, as in: %s billing/", len(args), c.CommandPath())
	}
	return nil
}

// foundNames is the answer of ls. It is encoded as JSON.
type foundNames struct {
	More  bool       `json:"more"`
	Names []nameView `json:"names"`

	among string // says what the names begin with, for a message that there are none
}

// find returns what it found even if no majority answers.
func (q *query) find(prefix string, limit int) (*foundNames, error) {
	names, more, err := q.Names(q.ctx, prefix, limit)
	found := &foundNames{More: more, Names: make([]nameView, len(names))}
	if prefix != "" {
		found.among = " that begin with " + strconv.Quote(prefix)
	}
	errs := make([]error, len(names))
	var all sync.WaitGroup
	turn := make(chan struct{}, askedAtOnce)
	for n, name := range names {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			found.Names[n], errs[n] = q.look(name)
		})
	}
	all.Wait()
	return found, cmp.Or(append([]error{err}, errs...)...)
}

// write reports that there are no names only if a majority of the nodes answered.
func (f *foundNames) write(w io.Writer, failure error) error {
	t, now := table{nameHeading}, time.Now()
	for i := range f.Names {
		t.row(f.Names[i].cells(now)...)
	}
	switch {
	case len(f.Names) == 0 && failure != nil:
		return nil
	case len(f.Names) == 0:
		_, err := fmt.Fprintf(w, "no names%s: nothing is held or remembered\n", f.among)
		return err
	}
	if err := t.write(w); err != nil {
		return err
	}
	if f.More {
		fmt.Fprintln(w, "and others; see --limit, or give a longer PREFIX")
	}
	return nil
}
