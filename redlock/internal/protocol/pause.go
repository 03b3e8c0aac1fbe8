package protocol

import "strconv"

// EncodePause returns a pause as the nodes store it.
func EncodePause(by, why string) string { return strconv.Itoa(len(by)) + " " + by + why }

// DecodePause decodes the result of EncodePause. Any other text, which pauses the
// job as well, is the reason.
func DecodePause(text string) (by, why string) {
	if n, rest, ok := cutNumber(text); ok && n >= 0 && n <= int64(len(rest)) {
		return rest[:n], rest[n:]
	}
	return "", text
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
