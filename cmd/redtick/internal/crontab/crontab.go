// Package crontab parses the crontab that a fleet shares, and runs its jobs.
package crontab

import (
	"fmt"
	"reflect"
	"time"

	"github.com/robfig/cron/v3"
)

// File is a parsed crontab.
type File struct {
	Name string
	Jobs []Job
	// Warnings are about valid lines that may not do what was intended.
	Warnings []Problem
}

// Job is a line with a command, with the settings that lines above it make.
type Job struct {
	Name     string
	Line     int    // line number, from 1
	Spec     string // the schedule as written
	Zone     string // time zone of the schedule; "" is the machine's
	Command  string
	Env      []string // of the command, as NAME=value
	Shell    string
	Schedule cron.Schedule
	Options
}

// Options are the options of "# redtick:" lines.
type Options struct {
	Takeover bool
	MaxHold  time.Duration // 0: no limit
	Ping     string        // URL to check in at; "": none
	Timeout  time.Duration // 0: no limit
	// Lateness and CatchUp are redlock's options of these names. A nil Lateness is
	// redlock's default.
	Lateness *time.Duration
	CatchUp  time.Duration
}

// same reports whether two jobs are equal except for the line number. Spec and Zone
// stand for the schedule.
func (j Job) same(other Job) bool {
	j.Line, j.Schedule = other.Line, other.Schedule
	return reflect.DeepEqual(j, other)
}

// Problem is an error or a warning about one line.
type Problem struct {
	File string
	Line int
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("%s: line %d: %s", p.File, p.Line, p.Text) }
