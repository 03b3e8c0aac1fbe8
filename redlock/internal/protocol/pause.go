package protocol

import (
	"strconv"
	"strings"
)

// EncodePause is a pause as the nodes keep it.
func EncodePause(by, why string) string { return strconv.Itoa(len(by)) + " " + by + why }

// DecodePause reads what EncodePause wrote. Whatever else is there pauses as
// well, for that reason.
func DecodePause(text string) (by, why string) {
	number, rest, found := strings.Cut(text, " ")
	if n, err := strconv.Atoi(number); found && err == nil && n >= 0 && n <= len(rest) {
		return rest[:n], rest[n:]
	}
	return "", text
}

// PauseText says who paused a job, until when and why.
func PauseText(until, by, why string) string {
	if by != "" {
		until = "by " + Clip(by) + ", " + until
	}
	if why != "" {
		until += ": " + Clip(why)
	}
	return until
}
