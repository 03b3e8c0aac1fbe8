//go:build race

package gocronadapter_test

const raceDetector = true
