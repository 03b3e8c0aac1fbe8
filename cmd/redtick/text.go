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

// credentials are what stands before the @ of a URL, up to its last one: a
// password that was not escaped may hold any character but a blank.
var credentials = regexp.MustCompile(`://[^\s"]*@`)

// exampleCredentials are those of our own messages.
const exampleCredentials = "://user:password@"

// scrub takes passwords out of a text that may quote what the user typed.
func scrub(s string) string {
	return credentials.ReplaceAllStringFunc(s, func(found string) string {
		if found == exampleCredentials {
			return found
		}
		return "://…@"
	})
}

// plain is the text of an error for people.
func plain(err error) string {
	if err == nil {
		return ""
	}
	return scrub(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "redlock: "), "invalid: "))
}

// printable keeps names and holders, which may be any bytes, from steering the
// terminal they are shown on.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// shown is a name that can also be told from nothing at all, and from one that
// had to be quoted.
func shown(name string) string {
	if strings.TrimSpace(name) != name || name == "" || name[0] == '"' {
		return strconv.Quote(name)
	}
	return printable(name)
}

// rounded is a duration with as many digits as people read.
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
		return units(d.Round(time.Second), time.Minute, "m", time.Second, "s")
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

// local is what a clock on the wall beside this machine shows, with the date
// unless it is that in UTC; "" where that is UTC.
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

// away is how far t is from now.
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

// coarse is rounded without fractions of a second: an age is read at a glance.
func coarse(d time.Duration) string {
	if d < time.Minute {
		return d.Truncate(time.Second).String()
	}
	return rounded(d)
}

// when is an instant in UTC, on the wall, and from now.
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
