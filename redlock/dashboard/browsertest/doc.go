// Package browsertest opens the dashboard in a headless Chromium. It is a
// module of its own, so that the driver of the browser stays out of users'
// go.mod. It holds tests only:
//
//	go test ./...
package browsertest
