package main

import (
	"io"
	"log/slog"

	"github.com/redtick/redtick/redlock"
)

const unobserved = "nobody watches"

// observerScenario measures the cost of an observer.
func observerScenario() scenario {
	return scenario{
		name: "observer", nodes: 1,
		title: "what an observer costs redtick (go-redis): lock and unlock, uncontended, 1 node",
		note:  "slog writes JSON, and throws it away.",
		columns: []column{
			{head: "us", figure: opTime},
			{head: "x unobserved", figure: opTime, against: unobserved, format: "%.3f"},
			{head: "client CPU us", figure: clientCPU},
			{head: "allocs", figure: opAllocs},
		},
		entries: func(b *bench) (entries []entry) {
			for _, w := range []struct {
				name string
				opts []redlock.LockerOption
			}{
				{unobserved, nil},
				{"a function that does nothing", []redlock.LockerOption{redlock.WithObserver(func(redlock.Event) {})}},
				{"slog at warn", logAt(slog.LevelWarn)},
				{"slog at info", logAt(slog.LevelInfo)},
			} {
				entries = append(entries, entry{name: w.name, start: func() (run, error) {
					p, err := openRedtickWith(b.usual(), w.opts...)
					if err != nil {
						return run{}, err
					}
					r := b.pairs(w.name, p, 1, 16)
					r.stop = p.close
					return r, nil
				}})
			}
			return entries
		},
	}
}

func logAt(level slog.Level) []redlock.LockerOption {
	logger := slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: level}))
	return []redlock.LockerOption{redlock.WithObserver(redlock.Log(logger))}
}
