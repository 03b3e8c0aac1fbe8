package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// credentials matches the part of a URL up to its last @: a password that was not
// escaped may contain any character except a blank.
var credentials = regexp.MustCompile(`://[^\s"]*@`)

// exampleCredentials is used in redtick's own messages, where scrub keeps it.
const exampleCredentials = "://user:password@"

// scrub removes passwords from a text that may quote the command line.
func scrub(s string) string {
	return credentials.ReplaceAllStringFunc(s, func(found string) string {
		if found == exampleCredentials {
			return found
		}
		return "://…@"
	})
}

// plain returns the text of an error without prefixes and passwords.
func plain(err error) string {
	if err == nil {
		return ""
	}
	return scrub(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "redlock: "), "invalid: "))
}

// printable quotes s if it has bytes that could control a terminal. Names and holders
// may contain any bytes.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// shown is like printable for a name, and also quotes names that are empty, have
// outer blanks or begin with a quote.
func shown(name string) string {
	if strings.TrimSpace(name) != name || name == "" || name[0] == '"' {
		return strconv.Quote(name)
	}
	return printable(name)
}

// rounded formats a duration with few digits.
func rounded(d time.Duration) string {
	if d.Abs() >= time.Minute {
		d = d.Round(time.Second)
	}
	switch a := d.Abs(); {
	case a >= 48*time.Hour:
		return units(d, day, "d", time.Hour, "h")
	case a >= time.Hour:
		return units(d, time.Hour, "h", time.Minute, "m")
	case a >= time.Minute:
		return units(d, time.Minute, "m", time.Second, "s")
	case a >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case a >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func units(d, large time.Duration, named string, small time.Duration, smaller string) string {
	text := fmt.Sprintf("%d%s", d/large, named)
	if rest := (d % large).Abs() / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smaller)
	}
	return text
}

func signed(d time.Duration) string {
	if d < 0 {
		return rounded(d)
	}
	return "+" + rounded(d)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

// local formats t in this machine's time zone, with the date if it differs from that
// in UTC. It returns "" if the zone is UTC.
func local(t time.Time) string {
	there := t.Local()
	switch _, offset := there.Zone(); {
	case t.IsZero() || offset == 0:
		return ""
	case there.Day() != t.UTC().Day():
		return there.Format("Jan 2 15:04:05 MST")
	}
	return there.Format("15:04:05 MST")
}

// away formats how far t is from now.
func away(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "-"
	case d.Abs() < time.Second:
		return "now"
	case d > 0:
		return coarse(d) + " ago"
	default:
		return "in " + coarse(-d)
	}
}

// coarse is like rounded, without fractions of a second.
func coarse(d time.Duration) string {
	if d < time.Minute {
		return d.Truncate(time.Second).String()
	}
	return rounded(d)
}

// when formats t in UTC, in local time, and relative to now.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	around := away(t, now)
	if wall := local(t); wall != "" {
		around = wall + ", " + around
	}
	return instant(t) + " (" + around + ")"
}

func orDash(s string) string { return cmp.Or(s, "-") }

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
