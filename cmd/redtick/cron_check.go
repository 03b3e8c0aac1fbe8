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

// show is what --check has to say of a file that is fine.
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
	if j.Takeover {
		all = append(all, "takeover")
	}
	if j.Timeout > 0 {
		all = append(all, "timeout="+j.Timeout.String())
	}
	if j.MaxHold > 0 {
		all = append(all, "max-hold="+j.MaxHold.String())
	}
	if j.Ping != "" {
		all = append(all, "ping") // the URL is a secret
	}
	return orDash(strings.Join(all, " "))
}
