package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// oldServers are the versions that lack something the core uses.
var oldServers = []string{"5.0", "6.2"} // 6.0 differs from both in nothing that scripts use

// onOldServers are the tests of what the core says to its nodes, without those of exact times, of real servers, and of many replicas.
const onOldServers = `^Test(Claim_(abort|clocks|crash|dead|earlier|last|late|order|owner|provisional|spacing|stale|takeover|unlock)|` +
	`Cleanup_(callers|hangs|hung|lateAnswer|refuses|resent|unknown)|Elector_|Errors_|Fence_|Found_|Guard_(bootstrap|earlier|eviction|extension|fresh|resent)|` +
	`Hostile_(minority|notices)|Inspector_|Job_|Lease_|Lock_|Locker_|Mutex_(Do|adopt)|Observer_l|Release_|TryLock_(dead|lasting))`

// notOnOldServers are thorough, and show nothing more here.
const notOnOldServers = `Found_partlyAnsweredReleasesAreKept|Fence_grows|Lease_detachAgainstUnlock|Lock_fairness`

// The suite passes on servers that answer like old ones.
func TestOldServers(t *testing.T) {
	if os.Getenv(serverVersionEnv) != "" {
		t.Skip("this is the run on an old server")
	}
	for _, version := range oldServers {
		t.Run(version, func(t *testing.T) {
			command := exec.Command(os.Args[0], "-test.run="+onOldServers, "-test.skip="+notOnOldServers, "-test.timeout=5m")
			command.Env = append(os.Environ(), serverVersionEnv+"="+version)
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// What the first lock of a connection costs, and the second, is pinned for each version: servers that know SET NX GET never see anything else.
func TestOldServers_commands(t *testing.T) {
	for version, want := range map[string]string{
		"7.0": "SET 1, EVAL 0, EVALSHA 0; SET 2, EVAL 0, EVALSHA 0",
		"6.2": "SET 1, EVAL 1, EVALSHA 0; SET 1, EVAL 1, EVALSHA 1",
		"6.0": "SET 1, EVAL 1, EVALSHA 0; SET 1, EVAL 1, EVALSHA 1",
		"5.0": "SET 1, EVAL 1, EVALSHA 0; SET 1, EVAL 1, EVALSHA 1",
	} {
		t.Run(version, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				var seen []string
				for _, s := range fl.servers {
					s.Version(version)
				}
				p := fl.process("a")
				for _, name := range []string{"one", "two"} {
					must[*redlock.Lease](t)(p.mutex(t, name).TryLock(t.Context()))
					synctest.Wait()
					for i, s := range fl.servers {
						now := fmt.Sprintf("SET %d, EVAL %d, EVALSHA %d", s.Commands("SET"), s.Commands("EVAL"), s.Commands("EVALSHA"))
						if i > 0 && now != seen[len(seen)-1] {
							t.Errorf("server %d: %s, the one before: %s", i+1, now, seen[len(seen)-1])
						} else if i == 0 {
							seen = append(seen, now)
						}
					}
				}
				if got := strings.Join(seen, "; "); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// A vote that an old server did not understand is sent again. Nothing that takes it back may come before.
//
// Seen to fail when the first SET NX GET shares a batch with what comes behind it.
func TestOldServers_firstVoteIsNotOvertaken(t *testing.T) {
	for range 1000 { // the hand-over repeats itself on most of the nodes where it came first
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			for _, s := range fl.servers {
				s.Version("6.2")
			}
			token := must[string](t)(must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").TryLock(t.Context())).Detach())
			time.Sleep(time.Second)
			for i, s := range fl.servers {
				if got, _ := s.Get("job"); got != token {
					t.Errorf("server %d has %q, want the detached token %q", i+1, got, token)
				}
			}
		})
	}
}

// What a script ran into comes wrapped in the words of each version. The texts are those of src/scripting.c and src/script.c in Redis 5.0, 6.2,
// 7.0 and 8.0, of Redict and of Valkey 9.1.
//
// Seen to fail when only the code at the beginning counts.
func TestOldServers_errorsInScripts(t *testing.T) {
	const sha = "6b1bf486c81ceb7edf3c093f4c48582e38c0e791"
	before7 := func(text string) string {
		return "ERR Error running script (call to f_" + sha + "): @user_script:13: " + text + " "
	}
	since7 := func(text string) string { return text + " script: " + sha + ", on @user_script:13." }
	const acl, old = "allow the user what SECURITY.md lists", "older than Redis 5.0 or forbids the command"
	for text, cure := range map[string]string{
		before7("@user_script: 13: The user executing the script can't run this command or subcommand"):                                     acl,
		before7("@user_script: 13: The user executing the script can't access at least one of the keys mentioned in the command arguments"): acl,
		since7("ERR The user executing the script can't run this command or subcommand"):                                                    acl,
		since7("ERR ACL failure in script: User app has no permissions to run the 'time' command"):                                          acl,
		before7("@user_script: 13: Unknown Redis command called from Lua script"):                                                           old,
		since7("ERR Unknown Redis command called from script"):                                                                              old,
		since7("ERR Unknown Redict command called from script"):                                                                             old,
		"ERR Unknown command called from script script: on @user_script:13.":                                                                old,
		before7("@user_script: 13: -OOM command not allowed when used memory > 'maxmemory'.  "):                                             "",
		before7("@user_script: 13: -READONLY You can't write against a read only replica.  "):                                               "",
	} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			p := fl.process("a")
			p.links[0].OnBatch(func(commands []driver.Command) redlocktest.Fault {
				if commands[0][0] == "PING" {
					return redlocktest.Fault{}
				}
				return redlocktest.Fault{Err: errors.New(text)}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := p.mutex(t, "job", redlock.WithFencing()).Lock(ctx)
			if ended := !errors.Is(err, context.DeadlineExceeded); ended != (cure != "") || !strings.Contains(err.Error(), cure) {
				t.Errorf("%s\n%v\nwant the cure %q, and the wait to end for it", text, err, cure)
			}
		})
	}
	const foreign = "data that is not a lock"
	for _, text := range []string{
		before7("WRONGTYPE Operation against a key holding the wrong kind of value"),
		since7("WRONGTYPE Operation against a key holding the wrong kind of value"),
	} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			p := fl.process("a")
			p.links[0].OnBatch(func([]driver.Command) redlocktest.Fault { return redlocktest.Fault{Err: errors.New(text)} })
			if _, err := p.mutex(t, "job", redlock.WithFencing()).TryLock(t.Context()); !errors.Is(err, redlock.ErrTaken) || !strings.Contains(err.Error(), foreign) {
				t.Errorf("%s\n%v, want ErrTaken by %s", text, err, foreign)
			}
		})
	}
}
