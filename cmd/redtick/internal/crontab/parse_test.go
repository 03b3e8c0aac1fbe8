package crontab_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
)

func parse(t *testing.T, lines ...string) *crontab.File {
	t.Helper()
	file, err := crontab.Parse("file", strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Seen to fail when six fields are read as five, when a 7 is passed on, when a
// value keeps its quotes, and when settings reach the lines above them.
func TestParse_lines(t *testing.T) {
	for name, c := range map[string]struct {
		line, spec, command string
	}{
		"five fields":                {"*/5 * * * * echo a  b", "*/5 * * * *", "echo a  b"},
		"six fields":                 {"*/5 * * * * * echo", "*/5 * * * * *", "echo"},
		"tabs, and an end for DOS":   {"0\t9 * *  1-5\tdate -u \r", "0 9 * * 1-5", "date -u"},
		"names":                      {"30 0 9 * jan-mar mon,FRI x", "30 0 9 * jan-mar mon,FRI", "x"},
		"a command named like a day": {"0 9 * * * sun", "0 9 * * *", "sun"},
		"a command with digits":      {"0 9 * * * 7z a x", "0 9 * * *", "7z a x"},
		"a test":                     {"* * * * * [ -f /x ] && y", "* * * * *", "[ -f /x ] && y"},
		"question marks":             {"0 0 ? * 0 x", "0 0 ? * 0", "x"},
		"descriptor":                 {"@daily x y", "@daily", "x y"},
		"every":                      {"@every 1h30m x y", "@every 1h30m", "x y"},
		"a name and =":               {"@hourly A=1 x", "@hourly", "A=1 x"},
		"comment in a command":       {"* * * * * x # y", "* * * * *", "x # y"},
		"percent":                    {`* * * * * date "+\%H:%M"`, "* * * * *", `date "+%H:%M"`},
		"Sunday is 7":                {"0 9 * * 7 x", "0 9 * * 7", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			j := parse(t, c.line).Jobs[0]
			if j.Spec != c.spec || j.Command != c.command || j.Shell != "/bin/sh" || j.Line != 1 {
				t.Errorf("got %+v, want spec %q, command %q", j, c.spec, c.command)
			}
		})
	}
}

func TestParse_days_of_the_week(t *testing.T) {
	for spec, want := range map[string]string{
		"0 9 * * 7": "Sun", "0 9 * * 0": "Sun", "0 9 * * 5-7": "Fri Sat Sun", "0 9 * * 1-7/3": "Mon Thu Sun",
		"0 9 * * 6,7": "Sat Sun", "0 9 * * 0-7": "Mon Tue Wed Thu Fri Sat Sun", "0 0 9 * * 7": "Sun",
	} {
		j := parse(t, spec+" x").Jobs[0]
		var days []string
		for _, at := range j.Next(time.Date(2026, 6, 1, 0, 0, 0, 0, time.Local), len(strings.Fields(want))) { // a Monday
			days = append(days, at.Format("Mon"))
		}
		if got := strings.Join(days, " "); got != want {
			t.Errorf("%q is on %s, want %s", spec, got, want)
		}
	}
}

// Settings apply to the lines below them only.
func TestParse_settings(t *testing.T) {
	file := parse(t, "\ufeff# a comment", "", "A = one", "# redtick: name=first", "@hourly x",
		`B="two words"`, "A='2'", "SHELL=/bin/bash", "CRON_TZ=Europe/Berlin", "# redtick: takeover", "#redtick: name=second timeout=90s max-hold=1h shell=/bin/dash", "@hourly x",
		"CRON_TZ=", "# redtick: defaults takeover timeout=5m", "# Redtick: name=third takeover=no", "@hourly x", "#redtick:name=fourth", "@hourly x")
	want := []crontab.Job{
		{Name: "first", Line: 5, Env: []string{"A=one"}, Shell: "/bin/sh"},
		{Name: "second", Line: 12, Zone: "Europe/Berlin", Shell: "/bin/dash", Options: crontab.Options{Takeover: true, Timeout: 90 * time.Second, MaxHold: time.Hour},
			Env: []string{"A=one", "B=two words", "A=2", "SHELL=/bin/bash", "CRON_TZ=Europe/Berlin"}},
		{Name: "third", Line: 16, Shell: "/bin/bash", Options: crontab.Options{Timeout: 5 * time.Minute},
			Env: []string{"A=one", "B=two words", "A=2", "SHELL=/bin/bash", "CRON_TZ=Europe/Berlin", "CRON_TZ="}},
		{Name: "fourth", Line: 18, Shell: "/bin/bash", Options: crontab.Options{Takeover: true, Timeout: 5 * time.Minute},
			Env: []string{"A=one", "B=two words", "A=2", "SHELL=/bin/bash", "CRON_TZ=Europe/Berlin", "CRON_TZ="}},
	}
	if len(file.Jobs) != len(want) || len(file.Warnings) > 0 {
		t.Fatalf("%+v", file)
	}
	for i, j := range file.Jobs {
		w := want[i]
		if j.Name != w.Name || j.Line != w.Line || j.Zone != w.Zone || j.Shell != w.Shell || j.Options != w.Options || !slices.Equal(j.Env, w.Env) {
			t.Errorf("job %d: got %+v, want %+v", i, j, w)
		}
	}
}

// A derived name depends only on the schedule, its zone and the command.
//
// Seen to fail when the zone is left out of it.
func TestParse_derived_names(t *testing.T) {
	a := parse(t, "CRON_TZ=UTC", "0 9 * * *  /opt/back-up.sh --all").Jobs[0].Name
	b := parse(t, "# moved", "CRON_TZ=UTC", "X=1", "@hourly true", "0 9  * * *\t/opt/back-up.sh --all").Jobs[1].Name
	if a != b || !strings.HasPrefix(a, "back-up-") || len(a) != len("back-up-12345678") {
		t.Errorf("got %q and %q", a, b)
	}
	seen := map[string]string{}
	for _, lines := range []string{"0 9 * * * x", "0 8 * * * x", "0 9 * * * x y", "CRON_TZ=UTC\n0 9 * * * x", "0 9 * * * ./x.sh", "@hourly $(x)"} {
		name := parse(t, lines).Jobs[0].Name
		if other := seen[name]; other != "" {
			t.Errorf("%q and %q are both called %q", lines, other, name)
		}
		seen[name] = lines
	}
}

// Every bad line is an error with the value, the rule and the cure.
//
// Seen to fail when Parse ends at the first bad line.
func TestParse_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // in the error; each that begins with "line" is a problem
	}{
		"out of range":        {"* * * * * x\n61 * * * * x", []string{`line 2: the schedule is "61 * * * *"`, "(0-59)"}},
		"not a field":         {"a b c d e f", []string{`line 1: the schedule is "a b c d e"`, "@hourly"}},
		"seconds":             {"61 * * * * * x", []string{`line 1: the schedule is "61 * * * * *"`}},
		"no command":          {"* * * * *", []string{"line 1: ", "no command", "and then the command"}},
		"no command, seconds": {"* * * * * *", []string{"line 1: ", "no command"}},
		"too few fields":      {"0 9 ls", []string{"line 1: ", "3 of the 5 fields"}},
		"years":               {"*/5 * * * * * * ls", []string{"line 1: ", "seventh", "leave it out"}},
		"a year":              {"0 9 1 1 * 2027 ls", []string{"line 1: ", `"0 9 1 1 * 2027"`}},
		"no such descriptor":  {"@often x", []string{`line 1: the schedule is "@often"`, "@hourly"}},
		"reboot":              {"@reboot x", []string{"line 1: ", "before redtick cron"}},
		"every without":       {"@every x y", []string{`line 1: the schedule is "@every x"`, "90s"}},
		"every a moment":      {"@every 500ms x", []string{`line 1: the schedule is "@every 500ms"`, "at least one"}},
		"every and a half":    {"@every 1500ms x", []string{"line 1: ", "whole seconds"}},
		"every, no command":   {"@every 5m", []string{"line 1: ", "no command"}},
		"no such date":        {"0 0 31 2 * x", []string{"line 1: ", "no such date"}},
		"zone":                {"CRON_TZ=Mars/Base\n* * * * * x", []string{`line 1: CRON_TZ is "Mars/Base"`, "Europe/Berlin"}},
		"zone before fields":  {"CRON_TZ=UTC 0 9 * * * x", []string{"line 1: ", "a line of its own"}},
		"local zone":          {"CRON_TZ=Local", []string{`line 1: CRON_TZ is "Local"`}},
		"shell":               {"SHELL=bash", []string{`line 1: SHELL is "bash"`, "/bin/bash"}},
		"option":              {"# redtick: nmae=x\n* * * * * x", []string{`line 1: there is no option "nmae"`, "name=NAME"}},
		"no name":             {"# redtick: name=\n* * * * * x", []string{"line 1: name has 0 bytes", "1 to 512"}},
		"long name":           {"# redtick: name=" + strings.Repeat("x", 513) + "\n* * * * * x", []string{"line 1: name has 513 bytes"}},
		"brace":               {"# redtick: name=a{b\n* * * * * x", []string{`line 1: name is "a{b"`, "no braces"}},
		"control":             {"# redtick: name=a\x1bb\n* * * * * x", []string{`line 1: name is "a\x1bb"`}},
		"takeover":            {"# redtick: takeover=maybe\n* * * * * x", []string{`line 1: takeover is "maybe"`, "yes or no"}},
		"timeout":             {"# redtick: timeout=20\n* * * * * x", []string{`line 1: timeout is "20"`, "90s"}},
		"lateness":            {"# redtick: lateness=5\n* * * * * x", []string{`line 1: lateness is "5"`, "0 for not at all"}},
		"long lateness":       {"# redtick: lateness=720h\n* * * * * x", []string{`line 1: lateness is "720h"`, "less than 720h"}},
		"long catch-up":       {"# redtick: defaults catchup=800h\n* * * * * x", []string{`line 1: catchup is "800h"`}},
		"negative timeout":    {"# redtick: timeout=-1s\n* * * * * x", []string{`line 1: timeout is "-1s"`}},
		"max hold":            {"# redtick: max-hold=\n* * * * * x", []string{`line 1: max-hold is ""`}},
		"shell option":        {"# redtick: shell=zsh\n* * * * * x", []string{`line 1: shell is "zsh"`}},
		"twice":               {"# redtick: name=x\n# redtick: name=y\n* * * * * x", []string{"line 2: the option name is given twice"}},
		"a default name":      {"# redtick: defaults name=x\n* * * * * x", []string{"line 1: name=x is a default"}},
		"no line follows":     {"* * * * * x\n# redtick: name=y\n\n# end", []string{"line 2: ", "no line with a command"}},
		"one name":            {"# redtick: name=x\n@daily a\n# redtick: name=x\n@daily b", []string{`line 4: the name "x" is that of line 2`, "choose another"}},
		"one line":            {"@daily a\n\n@daily a", []string{`line 3: "@daily a" is the same as line 1`, "name="}},
		"three":               {"61 * * * * x\n* * * * * x\nSHELL=x\n* * *", []string{"line 1: ", "line 3: ", "line 4: "}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := crontab.Parse("file", c.text)
			if err == nil {
				t.Fatal("it is not refused")
			}
			lines := 0
			for _, want := range c.want {
				if strings.HasPrefix(want, "line ") {
					lines++
					want = "file: " + want
				}
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if got := strings.Count(err.Error(), "\n") + 1; got != lines {
				t.Errorf("got %d problems, want %d:\n%v", got, lines, err)
			}
		})
	}
}

// Seen to fail without each of the warnings.
func TestParse_warns(t *testing.T) {
	for text, want := range map[string]string{
		"0 9 * * * x":           "line 1: the job has no name",
		"MAILTO=me@example.org": "line 1: MAILTO",
		"TZ=Europe/Berlin":      "set CRON_TZ for the schedules",
		"# redtick: name=x\n0 9 * * * x\nMAILTO=\"\"": "",
		"# redtick: name=x\n0 0 */100,1-7 * MON x":    "line 2: \"0 0 */100,1-7 * MON\" is due on the days of either field",
		"# redtick: name=x\n0 0 0 1 * */2 x":          "cronie",
		"# redtick: name=x\n0 0 1-7 * MON x":          "",
		"# redtick: name=x\n0 0 */1 * MON x":          "",
		"# redtick: name=x\n0 0 * * */2 x":            "",
	} {
		file := parse(t, text)
		got := ""
		for _, w := range file.Warnings {
			got += w.Error() + "\n"
		}
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: got the warnings %q, want %q", text, got, want)
		}
	}
}

// Seen to fail when the search stops at the first instant that it finds.
func TestJob_newest_and_next(t *testing.T) {
	now := time.Date(2026, 11, 28, 14, 30, 15, 5e8, time.UTC) // a Saturday
	for line, want := range map[string][2]string{
		"*/10 * * * * * x": {"2026-11-28T14:30:10Z", "2026-11-28T14:30:20Z"},
		"* * * * * x":      {"2026-11-28T14:30:00Z", "2026-11-28T14:31:00Z"},
		"* 9 * * * x":      {"2026-11-28T09:59:00Z", "2026-11-29T09:00:00Z"},
		"0 9 * * 1 x":      {"2026-11-23T09:00:00Z", "2026-11-30T09:00:00Z"},
		"0 9 * * 0 x":      {"0001-01-01T00:00:00Z", "2026-11-29T09:00:00Z"},
		"@yearly x":        {"0001-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"@every 7s x":      {"2026-11-28T14:30:15Z", "2026-11-28T14:30:22Z"},
		"@every 1h30m x":   {"2026-11-28T13:30:00Z", "2026-11-28T15:00:00Z"},
	} {
		j := parse(t, "CRON_TZ=UTC", line).Jobs[0]
		newest, next := j.Newest(now).UTC(), j.Next(now, 2)
		if got := newest.Format(time.RFC3339Nano); got != want[0] {
			t.Errorf("%s: the newest is %s, want %s", line, got, want[0])
		}
		if len(next) != 2 || next[0].UTC().Format(time.RFC3339Nano) != want[1] || !next[1].After(next[0]) {
			t.Errorf("%s: next are %v, want %s first", line, next, want[1])
		}
	}
}

func TestParse_lateness(t *testing.T) {
	jobs := parse(t, "# redtick: defaults lateness=0 catchup=2h", "# redtick: name=a", "@hourly x", "# redtick: name=b lateness=5m catchup=0", "@hourly x").Jobs
	for i, want := range []struct{ lateness, catchUp time.Duration }{{0, 2 * time.Hour}, {5 * time.Minute, 0}} {
		if j := jobs[i]; j.Lateness == nil || *j.Lateness != want.lateness || j.CatchUp != want.catchUp {
			t.Errorf("%s: %+v", j.Name, j.Options)
		}
	}
	if j := parse(t, "# redtick: name=a", "@hourly x").Jobs[0]; j.Lateness != nil || j.CatchUp != 0 {
		t.Errorf("without: %+v", j.Options)
	}
}

// Seen to fail: the schedule was read, and the first word of the command was lost.
func TestParse_other_spaces(t *testing.T) {
	for _, space := range []string{"\u00a0", "\u2003", "\v", "\u0085", "\u3000"} {
		j := parse(t, "0"+space+"9 * * *"+space+"back-up --all").Jobs[0]
		if j.Spec != "0 9 * * *" || j.Command != "back-up --all" {
			t.Errorf("with %q: spec %q, command %q", space, j.Spec, j.Command)
		}
	}
}

// A file that is no crontab, given by mistake, does not flood the log.
//
// Seen to fail with an error of 10,000 lines: a reload of a binary wrote 19 MB to the log.
func TestParse_notACrontab(t *testing.T) {
	_, err := crontab.Parse("tab", strings.Repeat("{\n", 10000))
	lines := strings.Split(err.Error(), "\n")
	if want := "tab: 9980 more lines are bad; is it a crontab?"; len(lines) != 21 || lines[20] != want {
		t.Errorf("%d lines, the last is %q, want %q", len(lines), lines[len(lines)-1], want)
	}
}
