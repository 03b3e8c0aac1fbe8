//go:build race

package redlock_test

const raceDetector = true

// scaled is how much of a test's work is done: under the race detector, which takes ten times as long, a fifth.
func scaled(n int) int { return n / 5 }
