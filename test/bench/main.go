// Command benchmarks measures redtick beside its peers and beside floors that
// do the least that a lock needs, on redis-server processes of its own:
//
//	go run .                  everything, a few minutes
//	go run . -quick           everything in under a minute, less precisely
//	go run . -run 'pair|try'  only the scenarios whose name matches
//	go run . -list            the scenarios
//	go run . -against REF     this version beside another of the repository, in turn
//	go run . -awake           with cores that are kept from halting (Linux)
//	go run . -out DIR         where results.json, chart.svg and growth.svg go
//
// Figures of one run are comparable; those of two machines, or of two runs on a busy
// machine, are not. So each round measures every contender briefly, in turn. Ratios
// are computed within a round, and the tables show medians over the rounds.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// bench is one run of the command.
type bench struct {
	rounds int
	slice  time.Duration
	quick  bool
	out    string
	only   *regexp.Regexp
	nodes  servers
}

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func command() error {
	b := &bench{}
	filter := flag.String("run", "", "run only scenarios whose name matches this `regexp`")
	lib := flag.String("lib", "", "measure only contenders whose name matches this `regexp`")
	list := flag.Bool("list", false, "list the scenarios and end")
	flag.BoolVar(&b.quick, "quick", false, "under a minute, less precise")
	flag.IntVar(&b.rounds, "rounds", 0, "rounds (default 15, with -quick 3)")
	flag.DurationVar(&b.slice, "slice", 0, "how long a contender is measured in a round (default 200ms, with -quick 30ms)")
	flag.StringVar(&b.out, "out", "results", "write results.json, chart.svg and growth.svg to this `directory`")
	cpu := flag.String("cpuprofile", "", "write a CPU profile to this `file`")
	memory := flag.String("memprofile", "", "write a profile of all allocations to this `file`; do not measure CPU in the same run")
	ref := flag.String("against", "", "compare with this version (a git `ref`), built in a temporary directory")
	awake := flag.Bool("awake", false, "keep the cores from halting, so that the time the kernel takes to wake somebody up does not count")
	flag.Parse()
	if *awake {
		stop, err := keepAwake()
		if err != nil {
			return fmt.Errorf("-awake: %w", err)
		}
		defer stop()
	}
	var err error
	if b.only, err = regexp.Compile(*lib); err != nil {
		return fmt.Errorf("-lib: %w", err)
	}
	chosen, err := choose(*filter)
	if err != nil {
		return err
	}
	if *list {
		for _, s := range chosen {
			fmt.Printf("%-12s %s\n", s.name, s.title)
		}
		return nil
	}
	b.defaults()
	if *ref != "" {
		return b.against(*ref, *filter)
	}
	if *memory != "" {
		runtime.MemProfileRate = 512
	}
	return errors.Join(profiled(*cpu, func() error { return b.play(chosen) }), writeAllocs(*memory))
}

// profiled runs f and writes a CPU profile to file.
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := pprof.StartCPUProfile(w); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

func writeAllocs(file string) error {
	if file == "" {
		return nil
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(w, 0), w.Close())
}

func (b *bench) defaults() {
	if b.rounds == 0 {
		b.rounds = 15
		if b.quick {
			b.rounds = 3
		}
	}
	if b.slice == 0 {
		b.slice = 200 * time.Millisecond
		if b.quick {
			b.slice = 30 * time.Millisecond
		}
	}
}

func choose(filter string) (chosen []scenario, err error) {
	matches, err := regexp.Compile(filter)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	for _, s := range scenarios() {
		if matches.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario matches %q; see -list", filter)
	}
	return chosen, nil
}

func (b *bench) play(chosen []scenario) error {
	most := 0
	for _, s := range chosen {
		most = max(most, s.nodes)
	}
	all, err := startServers(most)
	if err != nil {
		return err
	}
	defer all.kill()
	r := report{Command: strings.Join(os.Args[1:], " "), Machine: thisMachine(all), Slice: b.slice.String()}
	fmt.Println(r.Machine)
	for _, s := range chosen {
		b.nodes = all[:s.nodes]
		b.nodes.flush()
		lines := play(b, s)
		printTable(os.Stdout, s, lines)
		r.Results = append(r.Results, result{Scenario: s.name, Title: s.title, Axis: s.axis, Lines: lines})
	}
	return r.write(b.out)
}
