package main

import "slices"

func scenarios() []scenario {
	return []scenario{
		pairScenario(1), pairScenario(5),
		parallelScenario(1), parallelScenario(5),
		tryScenario(1), tryScenario(5),
		claimScenario(1), claimScenario(5),
		faultScenario("hung-1", "1 of 5 nodes hung, default client settings", false, hung(1)),
		faultScenario("hung-2", "2 of 5 nodes hung, default client settings", false, hung(2)),
		faultScenario("hung-1-tuned", "1 of 5 nodes hung, clients with 500 ms timeouts and no retries", true, hung(1)),
		faultScenario("hung-2-tuned", "2 of 5 nodes hung, clients with 500 ms timeouts and no retries", true, hung(2)),
		faultScenario("refused-1", "1 of 5 nodes refuses connections, default client settings", false, refused(1)),
		handoverScenario(1), handoverScenario(5),
		heldScenario(), leftScenario(),
		observerScenario(),
		skewScenario(), splitScenario(), burstScenario(),
		jobsScenario(), replicasScenario(), namesScenario(), nodesScenario(), waitersScenario(), leasesScenario(), latencyScenario(),
	}
}

// contenders returns the selected contenders that support this number of nodes.
func (b *bench) contenders() (chosen []contender) {
	for _, c := range contenders() {
		if c.takes(len(b.nodes)) && b.only.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// each returns an entry for each contender: start gets an open process.
//
// Each contender has its own names, so that keys it leaves behind do not affect the
// next one.
func (b *bench) each(s setup, start func(c contender, p process) run) (entries []entry) {
	for _, c := range b.contenders() {
		entries = append(entries, entry{name: c.name, start: func() (run, error) {
			p, err := c.open(s)
			if err != nil {
				return run{}, err
			}
			r := start(c, p)
			r.stop = p.close
			return r, nil
		}})
	}
	return entries
}

// fleet opens a contender for several processes.
func fleet(c contender, s setup, n int) (processes []process, stop func(), err error) {
	stop = func() {
		for _, p := range processes {
			p.close()
		}
	}
	for range n {
		p, err := c.open(s)
		if err != nil {
			stop()
			return nil, nil, err
		}
		processes = append(processes, p)
	}
	return processes, stop, nil
}

// eachFleet returns an entry for each contender in from: measure gets n open processes.
func (b *bench) eachFleet(from []contender, n int, measure func(c contender, fleet []process) (figures, error)) (entries []entry) {
	s := b.usual()
	for _, c := range from {
		entries = append(entries, entry{name: c.name, start: func() (run, error) {
			processes, stop, err := fleet(c, s, n)
			return run{measure: func() (figures, error) { return measure(c, processes) }, stop: stop}, err
		}})
	}
	return entries
}

// without returns from without the named contenders.
func without(from []contender, names ...string) []contender {
	return slices.DeleteFunc(from, func(c contender) bool { return slices.Contains(names, c.name) })
}

// usual returns the setup of most scenarios.
func (b *bench) usual() setup { return setup{addrs: b.nodes.addrs(), ttl: defaultTTL} }
