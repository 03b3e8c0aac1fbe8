package main

import (
	"time"

	"github.com/anishathalye/porcupine"
)

// step is one operation on a lock: a grant or its end.
type step struct {
	take  bool
	token string
	fence int64
}

// holding is the state of a lock.
type holding struct {
	token string
	fence int64
}

// lock models a lock with increasing fences.
var lock = porcupine.Model{
	Init: func() any { return holding{} },
	Step: func(state, input, _ any) (bool, any) {
		s, do := state.(holding), input.(step)
		switch {
		case !do.take:
			return s.token == do.token, holding{"", s.fence}
		case do.fence == 0:
			return s.token == "", holding{do.token, s.fence}
		}
		return s.token == "" && do.fence > s.fence, holding{do.token, do.fence}
	},
}

const searchLimit = time.Minute

// explained reports whether the history is linearizable: a grant takes effect between
// its call and return, and a lease ends when it is released or its validity is over.
func explained(all []period) bool {
	var ops []porcupine.Operation
	for i, p := range all {
		if p.to <= p.At {
			continue // over before it could be used
		}
		ops = append(ops,
			porcupine.Operation{ClientId: i, Input: step{true, p.Token, p.Fence}, Call: int64(p.Call), Return: int64(p.At)},
			porcupine.Operation{ClientId: i, Input: step{false, p.Token, 0}, Call: int64(p.to), Return: int64(p.to) + 1})
	}
	return porcupine.CheckOperationsTimeout(lock, ops, searchLimit) == porcupine.Ok
}
