package main

func scenarios() []scenario {
	return []scenario{
		pairScenario(1), pairScenario(5),
		parallelScenario(1), parallelScenario(5),
		tryScenario(1), tryScenario(5),
	}
}

// contenders are those the user asked for, of those that take so many nodes.
func (b *bench) contenders() (chosen []contender) {
	for _, c := range contenders() {
		if c.takes(len(b.nodes)) && b.only.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// each makes an entry of every contender: start gets an open process.
func (b *bench) each(start func(process) run) (entries []entry) {
	s := setup{addrs: b.nodes.addrs(), ttl: defaultTTL}
	for _, c := range b.contenders() {
		entries = append(entries, entry{c.name, func() (run, error) {
			p, err := c.open(s)
			if err != nil {
				return run{}, err
			}
			r := start(p)
			stop := r.stop
			r.stop = func() {
				if stop != nil {
					stop()
				}
				p.close()
			}
			return r, nil
		}})
	}
	return entries
}
