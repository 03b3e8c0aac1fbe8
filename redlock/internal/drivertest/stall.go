//go:build unix

package drivertest

import (
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// longStall is what a machine takes from a batch's time that must not be blamed
// on the driver.
const longStall = 100 * time.Millisecond

// stalls are the times at which the machine kept a server that is well, or this
// process, from working.
type stalls struct {
	mu    sync.Mutex
	spans [][2]time.Time
}

// watchStalls asks server again and again, with no driver in between.
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

// during reports whether there was one between two instants.
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
