// Package crontab reads the crontab that a fleet shares, and keeps a cron in
// step with it.
package crontab

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// File is a crontab that was read.
type File struct {
	Jobs []Job
	// Warnings are about lines that work, but perhaps not as intended.
	Warnings []Problem
}

// Job is a line with a command, and what the lines above say of it.
type Job struct {
	Name     string
	Line     int    // where it stands, from 1
	Spec     string // its schedule, as written
	Zone     string // of the schedule; "" is the machine's
	Command  string
	Env      []string // NAME=value, for the command
	Shell    string
	Schedule cron.Schedule
	Options
}

// Options are those of a "# redtick:" line.
type Options struct {
	Takeover bool
	MaxHold  time.Duration // 0: no limit
	Ping     string        // a URL to check in at
	Timeout  time.Duration // 0: no limit
	// Lateness and CatchUp are as redlock has them. Without a lateness it is the library's default.
	Lateness *time.Duration
	CatchUp  time.Duration
}

// same reports whether two jobs differ in nothing but where they stand. Spec and zone say what the schedule is.
func (j Job) same(other Job) bool {
	j.Line, j.Schedule = other.Line, other.Schedule
	return reflect.DeepEqual(j, other)
}

// Problem is about one line.
type Problem struct {
	Line int
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// Problems are all that is wrong with a file, in the order of its lines.
type Problems []Problem

func (p Problems) Error() string {
	all := make([]string, len(p))
	for i, problem := range p {
		all[i] = problem.Error()
	}
	return strings.Join(all, "\n")
}
