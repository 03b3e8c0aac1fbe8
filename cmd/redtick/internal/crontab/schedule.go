package crontab

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/internal/ticks"
)

const rule = "write minute (0-59) hour (0-23) day of month (1-31) month (1-12) day of week (0-7), seconds (0-59) before them if wanted; " +
	"or @hourly, @daily, @weekly, @monthly, @yearly, @every 90s"

var (
	// Words are separated by Unicode spaces, as in robfig/cron: text that was copied from
	// a web page may have them.
	word = regexp.MustCompile(`[^\s\v\x{85}\p{Z}]+`)
	// A sixth word that may be a field.
	field = regexp.MustCompile(`^(?i:[0-9*?/,-]|sun|mon|tue|wed|thu|fri|sat)+$`)
	// A word that cannot be a command.
	number = regexp.MustCompile(`^[0-9*?,-][0-9*?/,-]*$`)
)

// split splits a line into its schedule and its command.
func split(line string) (spec, command string, err error) {
	words := word.FindAllStringIndex(line, -1)
	at := func(n int) string { return line[words[n][0]:words[n][1]] }
	fields := 5
	switch {
	case at(0) == "@every":
		fields = 2
	case line[0] == '@':
		fields = 1
	case len(words) > 5 && number.MatchString(at(5)), len(words) > 6 && field.MatchString(at(5)):
		fields = 6
	}
	if len(words) <= fields {
		return "", "", fmt.Errorf("%q has %d of the %d fields of a schedule and no command after them; %s, and then the command", line, min(len(words), fields), fields, rule)
	}
	spec = strings.Join(strings.Fields(line)[:fields], " ")
	if next := at(fields); line[0] != '@' && number.MatchString(next) {
		return "", "", fmt.Errorf("%q after the six fields of %q looks like a seventh field, but there is none for the year; leave it out", next, spec)
	}
	return spec, line[words[fields][0]:], nil
}

var parser5or6 = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func parseSchedule(spec, zone string) (cron.Schedule, error) {
	if every, ok := strings.CutPrefix(spec, "@every"); ok {
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil || d < time.Second || d%time.Second != 0 {
			return nil, fmt.Errorf("the schedule is %q, must be @every with whole seconds, at least one, such as @every 90s or @every 1h30m", spec)
		}
	}
	if spec == "@reboot" {
		return nil, errors.New(`the schedule is "@reboot", but a fleet as a whole never starts, so there is no tick to share; run the command before redtick cron`)
	}
	full := sundays(spec)
	if zone != "" {
		full = "CRON_TZ=" + zone + " " + full
	}
	schedule, err := parser5or6.Parse(full)
	if err != nil {
		return nil, fmt.Errorf("the schedule is %q, which is invalid (%w); %s", spec, err, rule)
	}
	if schedule.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("the schedule is %q, but there is no such date within five years; check the day of the month and the month", spec)
	}
	return schedule, nil
}

// eitherDay reports whether robfig/cron matches the days of either field where cronie
// requires both. In robfig/cron a field for all days has the top bit set.
func eitherDay(s cron.Schedule, spec string) bool {
	days, ok := s.(*cron.SpecSchedule)
	fields := strings.Fields(spec)
	n := len(fields)
	return ok && n >= 5 && (days.Dom|days.Dow)>>63 == 0 && (fields[n-3][0] == '*' || fields[n-1][0] == '*')
}

var upToSeven = regexp.MustCompile(`^(?:7|([0-6])-7(?:/([1-9]\d*))?)$`)

// sundays replaces 7 for Sunday, as in other crons, by 0, which robfig/cron requires,
// and a range that ends with 7 by a list, since no range can end with 0.
func sundays(spec string) string {
	fields := strings.Fields(spec)
	if len(fields) < 5 {
		return spec
	}
	var days []string
	for part := range strings.SplitSeq(fields[len(fields)-1], ",") {
		found := upToSeven.FindStringSubmatch(part)
		if found == nil {
			days = append(days, part)
			continue
		}
		from, _ := strconv.Atoi(cmp.Or(found[1], "7"))
		step, _ := strconv.Atoi(cmp.Or(found[2], "1"))
		for day := from; day <= 7; day += step {
			days = append(days, strconv.Itoa(day%7))
		}
	}
	fields[len(fields)-1] = strings.Join(days, ",")
	return strings.Join(fields, " ")
}

// oldest is how far back Newest looks. It is less than the 7 days for which nodes
// remember the last tick, with a margin for differing clocks.
const oldest = 6 * 24 * time.Hour

// Newest returns the job's newest tick that is not after now, or the zero time if there
// is none within six days.
func (j Job) Newest(now time.Time) time.Time { return ticks.Newest(j.next, now, oldest) }

// Next returns the job's next n ticks after now, or fewer if there are no more.
func (j Job) Next(now time.Time, n int) (all []time.Time) {
	for at := j.next(now); !at.IsZero() && len(all) < n; at = j.next(at) {
		all = append(all, at)
	}
	return all
}

// next returns the tick after t. "@every" is aligned as in cronadapter, the same on all
// machines.
func (j Job) next(t time.Time) time.Time {
	if every, ok := j.Schedule.(cron.ConstantDelaySchedule); ok {
		return ticks.Grid(every.Delay).Next(t)
	}
	return j.Schedule.Next(t)
}
