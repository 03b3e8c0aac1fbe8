package main

import (
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
	return scrub(strings.TrimPrefix(err.Error(), "redlock: "))
}

// printable keeps names and holders, which may be any bytes, from steering the
// terminal they are shown on.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// rounded is a duration with as many digits as people read.
func rounded(d time.Duration) string {
	switch a := d.Abs(); {
	case a >= time.Minute:
		return d.Round(time.Second).String()
	case a >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case a >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
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

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
