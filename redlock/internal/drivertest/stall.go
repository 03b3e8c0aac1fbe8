//go:build unix

package drivertest

import (
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// longStall is the shortest stall of the machine for which the driver is not blamed.
const longStall = 100 * time.Millisecond

// stalls records when the machine stalled this process or a server that is up.
type stalls struct {
	mu    sync.Mutex
	spans [][2]time.Time
}

// watchStalls polls server without a driver.
func watchStalls(server *redisserver.Server, stop <-chan struct{}) *stalls {
	s := &stalls{}
	go func() {
		for {
			begin := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			_, _ = server.Do("PING")
			if end := time.Now(); end.Sub(begin) > longStall {
				s.mu.Lock()
				s.spans = append(s.spans, [2]time.Time{begin, end})
				s.mu.Unlock()
			}
		}
	}()
	return s
}

// during reports whether a stall overlaps the time between from and to.
func (s *stalls) during(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if span[0].Before(to) && span[1].After(from) {
			return true
		}
	}
	return false
}
