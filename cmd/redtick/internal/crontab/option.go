package crontab

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/redtick/redtick/redlock/checkin"
)

// directive holds the "# redtick:" lines above a line with a command.
type directive struct {
	line int // of the last one; 0 if there is none
	text string
	sets []func(*Job)
	seen []string
}

func (d directive) apply(j *Job) {
	for _, set := range d.sets {
		set(j)
	}
}

const maxName = 512

// readDirective reads a "# redtick:" line.
func (p *parser) readDirective(text string) {
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == "defaults" {
		p.setDefaults(words[1:])
		return
	}
	p.directive.line, p.directive.text = p.line, "# redtick: "+text
	p.collect(&p.directive, words)
}

// setDefaults sets the default options of the lines below.
func (p *parser) setDefaults(words []string) {
	var d directive
	p.collect(&d, words)
	j := Job{Options: p.defaults, Shell: p.settings.shell}
	d.apply(&j)
	if j.Name != "" {
		p.refuse(p.line, "name=%s is a default, but every job needs its own name; put it above the line of the job", j.Name)
	}
	p.defaults, p.settings.shell = j.Options, j.Shell
}

func (p *parser) collect(d *directive, words []string) {
	for _, w := range words {
		key, value, given := strings.Cut(w, "=")
		set, err := option(key, value, given)
		if err != nil {
			p.refuse(p.line, "%v", err)
			continue
		}
		if slices.Contains(d.seen, key) {
			p.refuse(p.line, "the option %s is given twice for one job; leave one out", key)
		}
		d.seen = append(d.seen, key)
		d.sets = append(d.sets, set)
	}
}

// option returns what one word of a directive does to its job.
func option(key, value string, given bool) (func(*Job), error) {
	switch key {
	case "name":
		return func(j *Job) { j.Name = value }, checkName(value)
	case "takeover":
		on, err := yes(key, value, given)
		return func(j *Job) { j.Takeover = on }, err
	case "max-hold":
		d, err := duration(key, value, math.MaxInt64, "no limit")
		return func(j *Job) { j.MaxHold = d }, err
	case "timeout":
		d, err := duration(key, value, math.MaxInt64, "no limit")
		return func(j *Job) { j.Timeout = d }, err
	case "lateness":
		d, err := duration(key, value, remembered, "not at all")
		return func(j *Job) { j.Lateness = &d }, err
	case "catchup":
		d, err := duration(key, value, remembered, "not at all")
		return func(j *Job) { j.CatchUp = d }, err
	case "ping":
		return func(j *Job) { j.Ping = value }, checkin.Check(value)
	case "shell":
		if !path.IsAbs(value) {
			return nil, fmt.Errorf("shell is %q, must be an absolute path such as /bin/bash", value)
		}
		return func(j *Job) { j.Shell = value }, nil
	}
	return nil, fmt.Errorf("there is no option %q; the options are name=NAME, takeover, timeout=10m, max-hold=1h, lateness=10m, catchup=2h, ping=URL and shell=/bin/bash; put defaults before them to set them for all lines below", key)
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return fmt.Errorf("name has %d bytes, must have 1 to %d; it is the job's key in Redis", len(name), maxName)
	case strings.ContainsAny(name, "{}") || strings.IndexFunc(name, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) >= 0:
		return fmt.Errorf("name is %q, must have only printable characters and no braces", name)
	}
	return nil
}

// yes parses an option that is on without a value.
func yes(key, value string, given bool) (bool, error) {
	switch {
	case !given || value == "yes":
		return true, nil
	case value == "no":
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, must be yes or no; %s alone is yes", key, value, key)
}

// remembered is how long nodes remember a tick at most. redlock refuses values that are
// not less, but --check does not call it.
const remembered = 30 * 24 * time.Hour

func duration(key, value string, limit time.Duration, zero string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	switch {
	case err != nil || d < 0 || d > 0 && d < time.Second:
		return 0, fmt.Errorf("%s is %q, must be a duration of a second or more such as 90s or 2h30m, or 0 for %s", key, value, zero)
	case d >= limit:
		return 0, fmt.Errorf("%s is %q, must be less than %v, after which nobody knows whether a tick was run", key, value, limit)
	}
	return d, nil
}
