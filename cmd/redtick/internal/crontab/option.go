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
	line  int // of the last one; 0 if there is none
	text  string
	words []string
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
	p.directive.words = p.checked(p.directive.words, words)
}

// setDefaults sets the default options of the lines below.
func (p *parser) setDefaults(words []string) {
	j := Job{Options: p.defaults, Shell: p.settings.shell}
	j.set(p.checked(nil, words))
	if j.Name != "" {
		p.refuse(p.line, "name=%s is a default, but every job needs its own name; put it above the line of the job", j.Name)
	}
	p.defaults, p.settings.shell = j.Options, j.Shell
}

// checked returns the options in all and the good ones in words.
func (p *parser) checked(all, words []string) []string {
	key := func(word string) string { return strings.SplitN(word, "=", 2)[0] }
	for _, w := range words {
		if err := new(Job).option(w); err != nil {
			p.refuse(p.line, "%v", err)
			continue
		}
		if slices.ContainsFunc(all, func(other string) bool { return key(other) == key(w) }) {
			p.refuse(p.line, "the option %s is given twice for one job; leave one out", key(w))
		}
		all = append(all, w)
	}
	return all
}

// set sets options that have been checked.
func (j *Job) set(words []string) {
	for _, w := range words {
		_ = j.option(w)
	}
}

// option sets the option in one word of a directive.
func (j *Job) option(word string) (err error) {
	key, value, given := strings.Cut(word, "=")
	switch key {
	case "name":
		j.Name, err = value, checkName(value)
	case "takeover":
		j.Takeover = !given || value == "yes"
		if given && value != "yes" && value != "no" {
			err = fmt.Errorf("%s is %q, must be yes or no; %s alone is yes", key, value, key)
		}
	case "max-hold":
		j.MaxHold, err = duration(key, value, math.MaxInt64, "no limit")
	case "timeout":
		j.Timeout, err = duration(key, value, math.MaxInt64, "no limit")
	case "lateness":
		j.Lateness = new(time.Duration)
		*j.Lateness, err = duration(key, value, remembered, "not at all")
	case "catchup":
		j.CatchUp, err = duration(key, value, remembered, "not at all")
	case "ping":
		j.Ping, err = value, checkin.Check(value)
	case "shell":
		if j.Shell = value; !path.IsAbs(value) {
			err = fmt.Errorf("shell is %q, must be an absolute path such as /bin/bash", value)
		}
	default:
		err = fmt.Errorf("there is no option %q; the options are name=NAME, takeover, timeout=10m, max-hold=1h, lateness=10m, catchup=2h, ping=URL and shell=/bin/bash; put defaults before them to set them for all lines below", key)
	}
	return err
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
