// Command redtick shows what a fleet's Redis nodes hold, operates its jobs, and
// runs any program under a lease, or a whole crontab. "redtick --help" is the
// manual.
package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const about = `redtick shows what a fleet's Redis nodes hold, operates its jobs, and runs any
program under a lease, so that one machine of many runs it, or a whole crontab.

The nodes come from --nodes or from the environment variable REDIS_ADDRS, separated
by commas. Each has one vote:
  host:port                                 a server (the port is 6379 if left out)
  redis://user:password@host:port/db        the same as a URL
  unix:///path/of/socket                    a server on this machine
  redis-sentinel://host:26379,host/master   the Sentinels and the name of their master
  redis-cluster://host:6379,host/           a Redis Cluster
With rediss in place of redis they speak TLS; --tls-ca, --tls-cert and --tls-key are
for a private CA and client certificates. If the Sentinels need a password, append
?sentinel_username=…&sentinel_password=….

Give every node that the services use, and their --prefix. Put passwords into
REDIS_ADDRS, because all users of a machine can read its command lines. redtick
does not print passwords.

Flags may be written with one dash or with two.

Exit codes
  0   success
  1   status: there are warnings; release, forget: nothing was done;
      runs: the job is overdue or unknown, or its last finished run went wrong;
      trigger: no run was begun; bootstrap: a node refused
  2   no majority of the nodes answers; resume, forget: a node does not answer
  64  the command line is wrong
  run and cron have other codes; see their --help`

const examples = `  export REDIS_ADDRS=redis-a:6379,redis-b:6379,redis-c:6379
  redtick status                     check the nodes
  redtick ls                         list names: state, holder, last tick
  redtick show report                everything about one name
  redtick watch                      ls, live
  redtick runs report                its last runs, and when it is due
  redtick pause report --for 2h      begin no run, on the whole fleet
  redtick resume report
  redtick trigger report             run it now, once in the fleet
  source <(redtick completion bash)  let Tab complete commands and names
  redtick run --name report -- ./report.sh
  redtick cron crontab               a crontab that all machines share
  redtick ls -o json | jq -r '.names[] | select(.held) | .name'`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "redtick",
		Short:         "Show and operate a fleet's jobs, and run programs under a lease",
		Long:          about,
		Example:       examples,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	t := &target{}
	t.flags(root)
	root.AddCommand(newStatus(t), newList(t), newShow(t), newRelease(t), newWatch(t), newRun(t), newCron(t), newRuns(t),
		newForget(t), newPause(t), newResume(t), newTrigger(t), newBootstrap(t))
	root.SetFlagErrorFunc(flagError)
	return root
}

// flagError adds examples to Go's errors about durations.
func flagError(_ *cobra.Command, err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "missing unit in duration"):
		return fmt.Errorf("%w; write one, as in 500ms, 30s or 2h", err)
	case strings.Contains(text, "unknown unit"), strings.Contains(text, "invalid duration"):
		return fmt.Errorf("%w; write 500ms, 30s, 2h or 1h30m, and 24h for a day", err)
	}
	return err
}

// exclusive matches cobra's error for two flags that exclude each other.
var exclusive = regexp.MustCompile(`^if any flags in the group .*; \[(\S+) (\S+)\] were all set$`)

// version returns the module version of the binary.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs one command line and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(doubleDashes(root, args))
	command, err := root.ExecuteC()
	code := codeOf(err)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "redtick: %s\n", exclusive.ReplaceAllString(explained(err), "--$1 and --$2 exclude each other; leave one out"))
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "redtick: see \"%s --help\"\n", command.CommandPath())
	}
	return code
}

// doubleDashes lets -name stand for --name, as Go's commands do. Otherwise -name
// would mean -n with the value "ame". Arguments after "--" belong to the user's
// program and do not change.
func doubleDashes(root *cobra.Command, args []string) []string {
	known := map[string]bool{"help": true, "version": true}
	for _, c := range append(root.Commands(), root) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	}
	out := make([]string, len(args))
	for i, arg := range args {
		if arg == "--" {
			copy(out[i:], args[i:])
			break
		}
		out[i] = arg
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && len(name) > 1 && known[name] {
			out[i] = "-" + arg
		}
	}
	return out
}
