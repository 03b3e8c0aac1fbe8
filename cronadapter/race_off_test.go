//go:build !race

package cronadapter_test

const raceDetector = false
