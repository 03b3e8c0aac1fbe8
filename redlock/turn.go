package redlock

import (
	"sync"
	"sync/atomic"
)

// turns are the grants of each job's last claims, a bit each, the last one's the lowest. They outlive a [Job], since an adapter may make
// one for each tick.
type turns struct {
	mu     sync.Mutex
	grants map[string]*atomic.Uint32
}

// maxTurns bounds the jobs that are known: one-time jobs may have ever new names.
const maxTurns = 10_000

func (s *turns) of(name string) *atomic.Uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	grants := s.grants[name]
	if grants == nil {
		if len(s.grants) == maxTurns {
			clear(s.grants)
		}
		grants = new(atomic.Uint32)
		s.grants[name] = grants
	}
	return grants
}
