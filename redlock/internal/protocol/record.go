package protocol

import (
	"strconv"
	"strings"
	"time"
)

// RunsLifetime is the least time for which a name's runs are remembered after the
// last one.
const RunsLifetime = 35 * 24 * time.Hour

// longestInterval bounds the interval of a schedule that the runs' lifetime follows.
const longestInterval = 366 * 24 * time.Hour

// ResumedLifetime is how long the end of a name's pause is remembered. It is the
// longest lifetime that a name's runs may have.
const ResumedLifetime = 3 * longestInterval

// Record is what the nodes remember of one run.
type Record struct {
	Token    string
	Began    int64         // Unix ms, by the replica's wall clock
	Took     time.Duration // in whole ms, by its monotonic clock
	Next     int64         // the next tick in Unix ms, or 0 if unknown
	Result   string        // one word; "" until the run has ended
	Schedule string
	Error    string
}

// Tick returns the tick that was run, in Unix ms.
func (r *Record) Tick() int64 { return TickOf(r.Token) }

// Encode returns the record as the nodes store it, or "" for nil. A run has one
// record for its beginning and another for its end.
func (r *Record) Encode() string {
	if r == nil {
		return ""
	}
	var few [512]byte // enough unless a part is long
	b := few[:0]
	for _, n := range [...]int64{r.Began, r.Took.Milliseconds(), r.Next, int64(len(r.Token)), int64(len(r.Schedule))} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = append(append(b, r.Result...), ' ')
	return string(append(append(append(b, r.Token...), r.Schedule...), r.Error...))
}

// DecodeRecord decodes the result of Encode.
func DecodeRecord(text string) (r Record, ok bool) {
	var numbers [5]int64
	for i := range numbers {
		if numbers[i], text, ok = cutNumber(text); !ok {
			return r, false
		}
	}
	r.Began, r.Took, r.Next = numbers[0], Lifetime(numbers[1]), numbers[2]
	token, schedule := numbers[3], numbers[4]
	if r.Result, text, ok = strings.Cut(text, " "); !ok || token < 0 || schedule < 0 || token > int64(len(text)) || schedule > int64(len(text))-token {
		return Record{}, false
	}
	r.Token, r.Schedule, r.Error = text[:token], text[token:token+schedule], text[token+schedule:]
	return r, r.Tick() != 0
}

// lifetime returns how long the runs are kept: at least three intervals of the
// schedule, if it is known.
func (r *Record) lifetime() string {
	interval := min(Lifetime(r.Next-r.Tick()), longestInterval)
	return milliseconds(max(RunsLifetime, 3*interval))
}

// EncodePause returns a pause as the nodes store it.
func EncodePause(by, why string) string { return strconv.Itoa(len(by)) + " " + by + why }

// DecodePause decodes the result of EncodePause. Any other text, which pauses the
// job as well, is the reason.
func DecodePause(text string) (by, why string) {
	by, why, _ = cutSized(text, " ")
	return by, why
}

// PauseText returns a phrase that says who paused a job, until when and why.
func PauseText(until, by, why string) string {
	if by != "" {
		until = "by " + Clip(by) + ", " + until
	}
	if why != "" {
		until += ": " + Clip(why)
	}
	return until
}

// cutNumber returns the number before the first space in text, and the rest after that space.
func cutNumber(text string) (n int64, rest string, ok bool) {
	number, rest, found := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, rest, found && err == nil
}

// cutSized returns the part of text whose length stands before the first separator, and the rest after that part.
func cutSized(text, separator string) (part, rest string, ok bool) {
	length, rest, found := strings.Cut(text, separator)
	n, err := strconv.Atoi(length)
	if !found || err != nil || n < 0 || n > len(rest) {
		return "", text, false
	}
	return rest[:n], rest[n:], true
}
