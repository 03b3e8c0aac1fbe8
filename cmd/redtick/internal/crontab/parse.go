package crontab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxProblems is how many bad lines an error describes. A file that is no crontab has more.
const maxProblems = 20

// Parse parses a crontab. Its error joins a [Problem] for each bad line, up to maxProblems.
func Parse(name, text string) (*File, error) {
	p := &parser{file: &File{Name: name}, names: map[string]int{}}
	p.settings.shell = "/bin/sh"
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.Lines(text) {
		p.line++
		p.read(strings.TrimSpace(line))
	}
	if p.directive.line > 0 {
		p.refuse(p.directive.line, "%q is followed by no line with a command; put it above the line it is about", p.directive.text)
	}
	if more := len(p.problems) - maxProblems; more > 0 {
		p.problems = append(p.problems[:maxProblems], fmt.Errorf("%s: %d more lines are bad; is it a crontab?", name, more))
	}
	return p.file, errors.Join(p.problems...)
}

type parser struct {
	file      *File
	problems  []error
	line      int
	names     map[string]int // to line numbers
	settings  settings
	defaults  Options
	directive directive
}

// settings are the effects of NAME=value lines on the lines below them.
type settings struct {
	zone, shell string
	env         []string
}

func (p *parser) refuse(line int, format string, args ...any) {
	p.problems = append(p.problems, Problem{p.file.Name, line, fmt.Sprintf(format, args...)})
}

func (p *parser) warn(line int, format string, args ...any) {
	p.file.Warnings = append(p.file.Warnings, Problem{p.file.Name, line, fmt.Sprintf(format, args...)})
}

var (
	comment    = regexp.MustCompile(`^#\s*(?i:redtick)\s*:\s*(.*)$`)
	assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`)
)

func (p *parser) read(line string) {
	if found := comment.FindStringSubmatch(line); found != nil {
		p.readDirective(found[1])
		return
	}
	if line == "" || line[0] == '#' {
		return
	}
	if found := assignment.FindStringSubmatch(line); found != nil {
		p.set(found[1], unquoted(found[2]))
		return
	}
	p.job(line)
}

// unquoted removes quotes around a value, as other crons do.
func unquoted(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// unsupported explains variables that have an effect in other crons but not here.
var unsupported = map[string]string{
	"MAILTO":       "nothing is mailed; what commands write goes to redtick's stdout and stderr",
	"USER":         "commands run as the user that redtick runs as",
	"LOGNAME":      "commands run as the user that redtick runs as",
	"TZ":           "it is the time zone of the commands; set CRON_TZ for the schedules",
	"RANDOM_DELAY": "nothing is delayed",
}

func (p *parser) set(name, value string) {
	switch name {
	case "CRON_TZ":
		if _, err := time.LoadLocation(value); err != nil || value == "Local" {
			p.refuse(p.line, "CRON_TZ is %q, must be UTC or a name in the time zone database such as Europe/Berlin, on a line of its own; leave the value out for the machine's time zone", value)
			return
		}
		p.settings.zone = value
	case "SHELL":
		if !path.IsAbs(value) {
			p.refuse(p.line, "SHELL is %q, must be an absolute path such as /bin/bash", value)
			return
		}
		p.settings.shell = value
	}
	if text := unsupported[name]; text != "" && value != "" {
		p.warn(p.line, "%s does not do what it does in other crons: %s", name, text)
	}
	p.settings.env = append(slices.Clip(p.settings.env), name+"="+value)
}

// job reads a line with a command. Even a bad line uses up the directive above it,
// which would otherwise apply to the next line.
func (p *parser) job(line string) {
	above := p.directive
	p.directive = directive{}
	spec, command, err := split(line)
	if err != nil {
		p.refuse(p.line, "%v", err)
		return
	}
	schedule, err := parseSchedule(spec, p.settings.zone)
	if err != nil {
		p.refuse(p.line, "%v", err)
		return
	}
	if eitherDay(schedule, spec) {
		p.warn(p.line, "%q is due on the days of either field, of the month or of the week; cronie and Vixie cron require both when one begins with *; if you mean both, test for one in the command", spec)
	}
	j := Job{
		Line: p.line, Spec: spec, Zone: p.settings.zone, Schedule: schedule, Command: strings.ReplaceAll(command, `\%`, "%"),
		Env: p.settings.env, Shell: p.settings.shell, Options: p.defaults,
	}
	j.set(above.words)
	if p.name(&j) {
		p.file.Jobs = append(p.file.Jobs, j)
	}
}

// name makes sure that the job's name, its key in Redis, is unique. It reports whether
// it is.
func (p *parser) name(j *Job) bool {
	given := j.Name != ""
	if !given {
		j.Name = derived(*j)
	}
	other, known := p.names[j.Name]
	switch {
	case known && given:
		p.refuse(j.Line, "the name %q is that of line %d; two jobs with one name would take each other's ticks, so choose another", j.Name, other)
		return false
	case known:
		p.refuse(j.Line, "%q is the same as line %d; name one of them with a line above it, such as: # redtick: name=another", j.Spec+" "+j.Command, other)
		return false
	case !given:
		p.warn(j.Line, "the job has no name, so it gets the name %q from its schedule and command, and becomes another job when they change; name it with a line above it, such as: # redtick: name=%s",
			j.Name, stem(j.Command))
	}
	p.names[j.Name] = j.Line
	return true
}

// derived returns a name for a job without one. It is the same on all machines that
// have the same line.
func derived(j Job) string {
	sum := sha256.Sum256([]byte(j.Zone + "\n" + j.Spec + "\n" + j.Command))
	return fmt.Sprintf("%s-%x", stem(j.Command), sum[:4])
}

// stem returns the name of a command's program, without path and extension.
func stem(command string) string {
	program := path.Base(strings.Fields(command)[0])
	if end := strings.LastIndexByte(program, '.'); end > 0 {
		program = program[:end]
	}
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_') {
			return r
		}
		return -1
	}, program)
	if plain == "" {
		return "job"
	}
	return plain
}
