//go:build unix

package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	command "github.com/redtick/redtick/cmd/redtick"
)

// As in a local crontab with the same period, each day or part of a day has its own
// tick, through all clock changes of four years, and no tick lies ahead.
//
// Seen to fail with periods that count in UTC: the day after spring forward is
// skipped, and so is the period of hours that comes after the missing one. Seen
// to fail where the clocks go forward at midnight: that day's tick was at 23:00
// of the day before.
func TestCurrent_follows_crontabs(t *testing.T) {
	zones := []string{"UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana",
		"Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Auckland", "Africa/Cairo", "Asia/Beirut"}
	specs := map[string]time.Duration{
		"0 0 * * *": 24 * time.Hour, "30 1 * * *": 24 * time.Hour, "30 2 * * *": 24 * time.Hour, "30 19 * * *": 24 * time.Hour,
		"59 23 * * *": 24 * time.Hour, "0 0 * * 1": 7 * 24 * time.Hour, "30 23 * * 0": 7 * 24 * time.Hour,
		"0 */12 * * *": 12 * time.Hour, "0 */6 * * *": 6 * time.Hour, "30 */4 * * *": 4 * time.Hour, "0 */3 * * *": 3 * time.Hour,
		"0 */2 * * *": 2 * time.Hour, "0 * * * *": time.Hour, "30 * * * *": time.Hour, "*/30 * * * *": 30 * time.Minute,
	}
	for _, zone := range zones {
		for spec, period := range specs {
			if zone == "Australia/Lord_Howe" && period <= time.Hour {
				continue // its clocks change by half an hour, so that night has an hour with two ticks of "30 * * * *", or none
			}
			t.Run(fmt.Sprint(zone, " ", spec), func(t *testing.T) {
				in, err := time.LoadLocation(zone)
				if err != nil {
					t.Fatal(err)
				}
				for _, change := range changes(in) {
					margin := max(2*period, 2*24*time.Hour)
					follow(t, spec, period, change.Add(-margin), change.Add(margin))
				}
			})
		}
	}
}

// changes returns the days on which the clocks of a zone change.
func changes(in *time.Location) (days []time.Time) {
	for _, year := range []int{2017, 2018, 2026, 2027} {
		for at := time.Date(year, 1, 1, 12, 0, 0, 0, in); at.Year() == year; at = at.Add(24 * time.Hour) {
			_, before := at.Zone()
			if _, after := at.Add(24 * time.Hour).Zone(); before != after {
				days = append(days, at)
			}
		}
	}
	return append(days, time.Date(2026, 6, 1, 0, 0, 0, 0, in))
}

func follow(t *testing.T, spec string, period time.Duration, from, to time.Time) {
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	const wall = "2006-01-02 15:04"
	var before, last time.Time
	for at := schedule.Next(from); at.Before(to); at = schedule.Next(at) {
		tick := command.Current(at, period, at.Location())
		// Two runs of cron in one night are one tick: at the same local time, or half an hour apart on Lord Howe.
		twice := period > time.Hour && at.Format(wall) == before.Format(wall) || at.Sub(before) < min(period, time.Hour)
		if twice != tick.Equal(last) || tick.Before(last) {
			t.Errorf("at %v the tick is %v, after %v at %v", at, tick, last, before)
		}
		if tick.After(at) {
			t.Errorf("at %v the tick is %v, which lies ahead", at, tick)
		}
		// A machine whose crontab is late must get the same tick.
		if again := command.Current(at.Add(time.Second), period, at.Location()); !again.Equal(tick) {
			t.Errorf("at %v the tick is %v, a second later %v", at, tick, again)
		}
		if begin := command.Current(tick, period, at.Location()); !begin.Equal(tick) {
			t.Errorf("at %v the tick is %v, in the period that began at %v", at, tick.In(at.Location()), begin.In(at.Location()))
		}
		before, last = at, tick
	}
}

// No tick lies ahead, even if a period begins in an hour that is missing or comes twice.
//
// Seen to fail: the second 1:30 of an autumn night in London was the tick of the first one, and in spring on Chatham 4:00 was that of 3:45.
func TestCurrent_never_ahead(t *testing.T) {
	for _, zone := range []string{"Europe/London", "Europe/Berlin", "America/Havana", "Pacific/Chatham", "Australia/Lord_Howe"} {
		in, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, period := range []time.Duration{3 * time.Hour, 72 * time.Minute, 90 * time.Minute} {
			for _, change := range changes(in) {
				for at := change; at.Before(change.Add(24 * time.Hour)); at = at.Add(5 * time.Minute) {
					if tick := command.Current(at, period, in); tick.After(at) || at.Sub(tick) > period+2*time.Hour {
						t.Fatalf("%v: at %v the tick is %v", period, at, tick.In(in))
					}
				}
			}
		}
	}
}

// Weeks begin on Monday, and periods that a crontab cannot express count in UTC.
func TestCurrent_periods(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 16, 1, 10, 0, 0, berlin) // a Thursday, on Wednesday in UTC
	for period, want := range map[time.Duration]time.Time{
		7 * 24 * time.Hour: time.Date(2026, 7, 13, 0, 0, 0, 0, berlin),
		24 * time.Hour:     time.Date(2026, 7, 16, 0, 0, 0, 0, berlin),
		5 * time.Hour:      now.Truncate(5 * time.Hour),
		time.Minute:        now,
	} {
		if got := command.Current(now, period, berlin); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%v: %v, want %v", period, got, want)
		}
	}
}

// Seen to fail when --zone or CRON_TZ is ignored, and when days count in UTC.
func TestRun_tick_zone(t *testing.T) {
	f := newFleet(t)
	midnight := func(zone string) string {
		in, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().In(in)
		return time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, in).UTC().Format(time.RFC3339)
	}
	tick := func(name, tz string, args ...string) outcome {
		t.Setenv("TZ", tz)
		return f.redtick(append(append([]string{"run", "-name", name, "-tick", "24h"}, args...), "--", "sh", "-c", "echo $REDTICK_TICK")...)
	}
	// No zone's midnight may fall between a command and the value it is compared with.
	for !time.Now().Truncate(15 * time.Minute).Equal(time.Now().Add(30 * time.Second).Truncate(15 * time.Minute)) {
		time.Sleep(time.Second)
	}
	if o := tick("option", "UTC", "-zone", "Asia/Kolkata"); o.code != 0 || o.stdout != midnight("Asia/Kolkata")+"\n" {
		t.Errorf("--zone: %+v, want %s", o, midnight("Asia/Kolkata"))
	}
	if o := tick("machine", "Asia/Kolkata"); o.code != 0 || o.stdout != midnight("Asia/Kolkata")+"\n" {
		t.Errorf("TZ: %+v, want %s", o, midnight("Asia/Kolkata"))
	}
	// The days of Kathmandu begin 15 minutes before those of Kolkata, the days of Tashkent half an hour after.
	neighbour := "Asia/Kathmandu"
	if local := time.Now().UTC().Add(5*time.Hour + 45*time.Minute); local.Hour() == 0 && local.Minute() < 15 {
		neighbour = "Asia/Tashkent"
	}
	if o := tick("machine", neighbour); o.code != 75 {
		t.Errorf("the same day on a machine in %s: %+v, want exit code 75", neighbour, o)
	}
	// cronie's schedules follow CRON_TZ. In the machine's zone the day after its spring forward would be skipped.
	t.Setenv("CRON_TZ", "Asia/Kolkata")
	if o := tick("cronie", "UTC"); o.code != 0 || o.stdout != midnight("Asia/Kolkata")+"\n" {
		t.Errorf("CRON_TZ: %+v, want %s", o, midnight("Asia/Kolkata"))
	}
	if o := tick("both", "UTC", "-zone", "UTC"); o.code != 0 || o.stdout != midnight("UTC")+"\n" {
		t.Errorf("--zone and CRON_TZ: %+v, want %s", o, midnight("UTC"))
	}
	t.Setenv("CRON_TZ", "CET-1CEST")
	if o := tick("unreadable", "UTC"); o.code != 64 || !strings.Contains(o.stderr, `CRON_TZ is "CET-1CEST"`) {
		t.Errorf("a CRON_TZ that cannot be read: %+v", o)
	}
	t.Setenv("CRON_TZ", "")
	for _, c := range []struct{ args, says string }{
		{"-tick 24h -zone Mars/Olympus", `--zone is "Mars/Olympus"`},
		{"-zone UTC", "no --tick"},
	} {
		o := f.redtick(append(append([]string{"run", "-name", "x"}, strings.Fields(c.args)...), "--", "true")...)
		if o.code != 64 || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: %+v", c.args, o)
		}
	}
}

// Seen to fail when Go's zone is used, since Go silently reads such a TZ as UTC but the shell does not; and when UTC0,
// which is UTC for both, is rejected.
func TestZone_of_the_machine(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.crontab("# redtick: name=x", "0 3 * * *  true")
	for tz, ok := range map[string]bool{"": true, "UTC": true, "UTC0": true, "<-00>+0": true, "GMT0BST,M3.5.0/1,M10.5.0": false, "Asia/Tokyo": true, ":Asia/Tokyo": true, "CET-1CEST,M3.5.0,M10.5.0/3": false, "Asia/Tokio": false} {
		for _, c := range []struct {
			args []string
			ok   bool
		}{
			{[]string{"run", "-name", "day" + tz, "-tick", "24h", "--", "true"}, ok},
			{[]string{"cron", "--check", "crontab"}, ok},
			{[]string{"run", "-name", "zone" + tz, "-tick", "24h", "-zone", "Asia/Tokyo", "--", "true"}, true},
			{[]string{"run", "-name", "minute" + tz, "-tick", "1m", "--", "true"}, true},
		} {
			p := f.prepare(c.args...)
			p.Env = append(p.Env, "TZ="+tz)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			if o := p.end(); c.ok != (o.code == 0) || !c.ok && (o.code != 64 || !strings.Contains(o.stderr, "TZ is")) {
				t.Errorf("TZ=%s %v: %+v", tz, c.args, o)
			}
		}
	}
}
