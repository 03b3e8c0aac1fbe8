package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
)

const shownRuns = 3

// show prints what --check reports about a valid file.
func (r *cronning) show(w io.Writer, file *crontab.File) error {
	for _, warning := range file.Warnings {
		say("%s: %s", r.file, warning.Error())
	}
	if len(file.Jobs) == 0 {
		_, err := fmt.Fprintf(w, "%s: no jobs\n", r.file)
		return err
	}
	t := table{{"LINE", "NAME", "SCHEDULE", "ZONE", "NEXT RUNS", "OPTIONS", "COMMAND"}}
	now := time.Now()
	for _, j := range file.Jobs {
		for i, next := range j.Next(now, shownRuns) {
			at := next.In(zoneOf(j)).Format("Mon 2006-01-02 15:04:05 MST")
			if i > 0 {
				t.row("", "", "", "", at)
				continue
			}
			t.row(strconv.Itoa(j.Line), j.Name, j.Spec, zoneOf(j).String(), at, options(j), j.Command)
		}
	}
	return t.write(w)
}

func zoneOf(j crontab.Job) *time.Location {
	in, err := parseZone(j.Zone)
	if err != nil {
		return time.UTC
	}
	return in
}

func options(j crontab.Job) string {
	var all []string
	add := func(given bool, text string) {
		if given {
			all = append(all, text)
		}
	}
	add(j.Takeover, "takeover")
	add(j.Timeout > 0, "timeout="+j.Timeout.String())
	if j.Lateness != nil {
		all = append(all, "lateness="+j.Lateness.String())
	}
	add(j.CatchUp > 0, "catchup="+j.CatchUp.String())
	add(j.MaxHold > 0, "max-hold="+j.MaxHold.String())
	add(j.Ping != "", "ping") // the URL is a secret
	return orDash(strings.Join(all, " "))
}
