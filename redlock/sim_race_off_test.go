//go:build !race

package redlock_test

const raceDetector = false

// scaled is how much of a test's work is done: all of it.
func scaled(n int) int { return n }
