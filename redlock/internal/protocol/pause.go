package protocol

import "strconv"

// EncodePause returns a pause as the nodes store it.
func EncodePause(by, why string) string { return strconv.Itoa(len(by)) + " " + by + why }

// DecodePause reads what EncodePause wrote. Any other text pauses the job as well,
// and is taken for the reason.
func DecodePause(text string) (by, why string) {
	if n, rest, ok := cutNumber(text); ok && n >= 0 && n <= int64(len(rest)) {
		return rest[:n], rest[n:]
	}
	return "", text
}

// PauseText returns words for who paused a job, until when and why.
func PauseText(until, by, why string) string {
	if by != "" {
		until = "by " + Clip(by) + ", " + until
	}
	if why != "" {
		until += ": " + Clip(why)
	}
	return until
}
