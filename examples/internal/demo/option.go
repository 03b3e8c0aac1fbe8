package demo

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTicks    = 20
	defaultReplicas = 3
	defaultSkew     = "0s,+40ms,-300ms"

	maxReplicas = 26 // their names are A to Z
	maxSkew     = 10 * time.Second
	// One tick before the kill, and two for the others to take over.
	minTicksToKill = 3
)

// options are the flags that all demos have.
type options struct {
	ticks    int
	replicas int
	noKill   bool
	skews    []time.Duration
}

// parseFlags parses the command line. An example's own flags must be in set already.
func parseFlags(d Demo, set *flag.FlagSet, args []string) (options, error) {
	var o options
	set.IntVar(&o.ticks, "ticks", defaultTicks, fmt.Sprintf("end after this many ticks of %q; 0 goes on until Ctrl-C", d.Jobs[0].Name))
	set.IntVar(&o.replicas, "replicas", defaultReplicas, "how many replicas to start, each a process of its own")
	set.BoolVar(&o.noKill, "no-kill", false, "do not kill a replica half way")
	skew := set.String("skew", defaultSkew, "how far each replica's clock is ahead; repeated if there are more replicas")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see -help", set.Arg(0))
	}
	return o, o.check(*skew)
}

func (o *options) check(skew string) error {
	switch {
	case o.ticks < 0:
		return fmt.Errorf("-ticks is %d, must be at least 1, or 0 to go on until Ctrl-C", o.ticks)
	case o.replicas < 1 || o.replicas > maxReplicas:
		return fmt.Errorf("-replicas is %d, must be 1 to %d", o.replicas, maxReplicas)
	}
	var given []time.Duration
	for text := range strings.SplitSeq(skew, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || d.Abs() > maxSkew {
			return fmt.Errorf("-skew has %q, must be durations from -%v to +%v, such as %s", text, maxSkew, maxSkew, defaultSkew)
		}
		given = append(given, d)
	}
	for i := range o.replicas {
		o.skews = append(o.skews, given[i%len(given)])
	}
	return nil
}

// killAfter is the number of ticks after which a replica is killed, or 0 for never.
func (o *options) killAfter() int {
	switch {
	case o.noKill || o.replicas < 2:
		return 0
	case o.ticks == 0:
		return defaultTicks / 2
	case o.ticks < minTicksToKill:
		return 0
	}
	return o.ticks / 2
}

// ahead returns how early the replica with the fastest clock asks for a tick.
func (o *options) ahead() time.Duration {
	var most time.Duration
	for _, d := range o.skews {
		most = max(most, d)
	}
	return most
}

// behind returns how late the replica with the slowest clock asks for a tick.
func (o *options) behind() time.Duration {
	var most time.Duration
	for _, d := range o.skews {
		most = max(most, -d)
	}
	return most
}

// Choose defines a flag whose value is one of the keys of explanations. The default is
// the current *value.
func Choose[T ~string](value *T, name, usage string, explanations map[T]string) {
	all := []string{strconv.Quote(string(*value))}
	for _, other := range slices.Sorted(maps.Keys(explanations)) {
		if other != *value {
			all = append(all, strconv.Quote(string(other)))
		}
	}
	flag.Func(name, usage, func(text string) error {
		if explanations[T(text)] == "" {
			return fmt.Errorf("must be %s", strings.Join(all, " or "))
		}
		*value = T(text)
		return nil
	})
}
