package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestNewPlan_sameSeedSamePlan(t *testing.T) {
	a, b, c := newPlan(7, time.Second), newPlan(7, time.Second), newPlan(8, time.Second)
	if !reflect.DeepEqual(a.faults, b.faults) || reflect.DeepEqual(a.faults, c.faults) {
		t.Error("the seed does not decide the plan")
	}
}

func TestNewPlan_sparesAMajority(t *testing.T) {
	for seed := range uint64(500) {
		p := newPlan(seed, 2*time.Second)
		last := map[string]time.Duration{}
		for _, f := range p.faults {
			if f.At < warmUp+mildTime && slices.ContainsFunc(f.Nodes, func(n int) bool { return !slices.Contains(p.weak, n) }) {
				t.Fatalf("seed %d: more than the minority %v suffers: %v", seed, p.weak, f)
			}
			if f.Kind == nodeForget && (!p.forgetful || len(f.Nodes) > minority) || f.Kind == nodeKill && p.forgetful {
				t.Fatalf("seed %d: loses data: %v", seed, f)
			}
			if f.At < last[f.target()] {
				t.Fatalf("seed %d: two faults of one target at a time: %v", seed, f)
			}
			last[f.target()] = f.At + f.For
		}
	}
}
