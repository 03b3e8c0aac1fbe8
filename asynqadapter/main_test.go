//go:build unix

package asynqadapter_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/redis/go-redis/v9/logging"
)

// TestMain lets the tests of process_test.go run this binary as a replica.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	logging.Disable() // go-redis tells of each connection that a test refuses
	role, replica := os.Getenv(roleVariable), roles[os.Getenv(roleVariable)]
	if replica == nil {
		os.Exit(m.Run())
	}
	if err := replica(os.Getenv(queueVariable)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
}
