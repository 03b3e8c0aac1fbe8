package redlock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// logged is what the log has of a process at the levels that an operator gets by default.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) option() redlock.LockerOption {
	return redlock.WithObserver(redlock.Log(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))))
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the lines about a job since the last call.
func (l *logged) take() (lines []string) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "name=job") {
			lines = append(lines, line)
		}
	}
	l.text.Reset()
	return lines
}

func (l *logged) want(t *testing.T, when string, parts ...string) {
	t.Helper()
	lines := l.take()
	if len(lines) != len(parts) {
		t.Errorf("%s: %d lines, want %d:\n%s", when, len(lines), len(parts), strings.Join(lines, ""))
		return
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			t.Errorf("%s: line %d is %s, want %q", when, i, lines[i], part)
		}
	}
}

// every10s claims so many ticks of a job, as its schedule has them.
func every10s(t *testing.T, p *process, n int) {
	next := func(tick time.Time) time.Time { return tick.Add(10 * time.Second) }
	j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithSchedule("every 10s", next)))
	for range n {
		tick := time.Now()
		if lease, err := j.Claim(t.Context(), tick); err == nil {
			ok(t, lease.Unlock(t.Context()))
		}
		time.Sleep(time.Until(next(tick)))
	}
}

// A job every 10 s in an outage: the log has a line when it begins, one for the first tick that is lost, one in each hour, and one
// when it ends, and the last two have a count.
//
// Seen to fail while each tick had two lines.
func TestOutage_log(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		every10s(t, p, 3)
		log.want(t, "before")
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		every10s(t, p, 1)
		log.want(t, "at first", "asking again until it is too late", "level=ERROR")
		every10s(t, p, 359)
		log.want(t, "in the first hour")
		every10s(t, p, 60)
		log.want(t, "10 minutes after it", "ticks were lost since 2000-01-01T00:00:30Z, 359 of them not logged")
		p.links[0].Heal()
		every10s(t, p, 3)
		log.want(t, "after it", "no quorum: 420 ticks were lost since 2000-01-01T00:00:30Z, 59 of them not logged; there is a quorum again")
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		every10s(t, p, 1)
		log.want(t, "the next time", "asking again until it is too late", "level=ERROR")
		p.links[0].Heal()
		every10s(t, p, 1)
		log.want(t, "after a short one, of which all was told")
	})
}

// A lock that is tried, or waited for, again and again in an outage. The log counts the tries like a job's ticks.
//
// Seen to fail while only ticks were counted: each call had a line.
func TestOutage_locks(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		m := p.mutex(t, "job")
		calls := func(n int) {
			for range n {
				if lease, err := m.TryLock(t.Context()); err == nil {
					ok(t, lease.Unlock(t.Context()))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if lease, err := m.Lock(ctx); err == nil {
					ok(t, lease.Unlock(t.Context()))
				}
				cancel()
				time.Sleep(4 * time.Second)
			}
		}
		calls(3)
		log.want(t, "before")
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		calls(1)
		log.want(t, "at first", "level=ERROR")
		calls(60)
		log.want(t, "in the first minutes")
		p.links[0].Heal()
		calls(3)
		log.want(t, "after it", "no quorum: 61 calls failed since 2000-01-01T00:00:12Z, 60 of them not logged; there is a quorum again")
	})
}

// A Locker that is closed in an outage reports its count, and the claims that still wait.
//
// Seen to fail without the last words, and with the end of a caller at debug level.
func TestOutage_end(t *testing.T) {
	for name, end := range map[string]func(cancel func(), p *process){
		"context": func(cancel func(), _ *process) { cancel() },
		"close":   func(_ func(), p *process) { _ = p.Close(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				var log logged
				p := fl.process("a", log.option())
				p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				every10s(t, p, 5)
				log.want(t, "at first", "asking again until it is too late", "level=ERROR")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithLateness(5*time.Minute)))
				var claim sync.WaitGroup
				claim.Go(func() { _, _ = j.Claim(ctx, time.Now()) })
				time.Sleep(time.Minute)
				end(cancel, p)
				claim.Wait()
				if name == "context" {
					log.want(t, "when its caller ends", "level=WARN msg=\"redtick: not acquired; its caller stopped asking\"")
					ok(t, p.Close(context.Background()))
					log.want(t, "when it is closed", "no quorum: 5 ticks were lost since 2000-01-01T00:00:00Z, 4 of them not logged; the Locker was closed")
					return
				}
				lines := fmt.Sprint(log.take())
				for _, part := range []string{"locker is closed", "no quorum: 5 ticks were lost since 2000-01-01T00:00:00Z, 4 of them not logged; the Locker was closed"} {
					if !strings.Contains(lines, part) {
						t.Errorf("%s, want %q", lines, part)
					}
				}
			})
		})
	}
}

// Under take-over a tick without a quorum stands until it is stale.
//
// Seen to fail while a claim's refusal was an error there.
func TestOutage_takeover(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option(), redlock.WithTakeover())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		j := must[*redlock.Job](t)(p.NewJob("job"))
		tick := time.Now()
		_, _ = j.Claim(t.Context(), tick)
		log.want(t, "when it is asked for", "level=WARN msg=\"redtick: not acquired yet")
		var wait sync.WaitGroup
		wait.Go(func() { ok(t, must[*redlock.Lease](t)(j.Await(t.Context(), tick)).Unlock(t.Context())) })
		time.Sleep(time.Minute)
		log.want(t, "while it waits")
		p.links[0].Heal()
		wait.Wait()
		log.want(t, "at the end")
	})
}

// Under take-over an outage is logged like any other, whether its ticks are asked for once, or until their callers' time is over.
//
// Seen to fail while no tick counted as lost under take-over: a minute's Await of each tick had a line of its own, 288 in a day, and a
// Claim was never counted.
func TestOutage_takeoverLog(t *testing.T) {
	for name, c := range map[string]struct {
		call  func(j *redlock.Job, ctx context.Context, tick time.Time) (*redlock.Lease, error)
		first []string
	}{
		"claim": {(*redlock.Job).Claim, []string{"level=WARN msg=\"redtick: not acquired yet; the tick may be asked for again"}},
		"await": {(*redlock.Job).Await, []string{"level=WARN msg=\"redtick: not acquired yet; asking again until it is too late", "its caller stopped asking"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(t *testing.T, fl *fleet) {
				var log logged
				p := fl.process("a", log.option())
				j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithTakeover()))
				every5m := func(n int) {
					for range n {
						tick := time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						if lease, err := c.call(j, ctx, tick); err == nil {
							ok(t, lease.Unlock(t.Context()))
						}
						cancel()
						time.Sleep(time.Until(tick.Add(5 * time.Minute)))
					}
				}
				p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
				every5m(1)
				log.want(t, "at first", c.first...)
				every5m(11)
				log.want(t, "in the first hour")
				every5m(18)
				log.want(t, "in the next 90 minutes", "ticks were lost since 2000-01-01T00:00:00Z, 11 of them not logged", "ticks were lost since 2000-01-01T00:00:00Z, 11 of them not logged")
				p.links[0].Heal()
				every5m(1)
				log.want(t, "after it", "no quorum: 30 ticks were lost since 2000-01-01T00:00:00Z, ")
			})
		})
	}
}

// A tick that is asked for again and again counts once.
//
// Seen to fail when each call counts, and when the hourly line comes only with a tick that is new.
func TestOutage_oneTick(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithTakeover(), redlock.WithRetention(24*time.Hour)))
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		_, _ = must[*redlock.Job](t)(p.NewJob("other")).Claim(t.Context(), time.Now()) // so that forget is not due when the hourly line is
		time.Sleep(30 * time.Minute)
		log.take()
		tick := time.Now()
		for range 150 {
			_, _ = j.Claim(t.Context(), tick)
			time.Sleep(time.Minute)
		}
		log.want(t, "at first, and in each hour", "not acquired yet", "not acquired yet", "not acquired yet")
		p.links[0].Heal()
		ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), tick)).Unlock(t.Context()))
		log.want(t, "after it")
	})
}

// Two ticks that are asked for by turns, as a queue tries two tasks again, count once each.
//
// Seen to fail when a tick is compared with the one before alone: 20 ticks were lost.
func TestOutage_twoTicksByTurns(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		j := must[*redlock.Job](t)(p.NewJob("job", redlock.WithAnyOrder()))
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		first := time.Now()
		for range 10 {
			for _, tick := range []time.Time{first, first.Add(time.Minute)} {
				_, _ = j.Claim(t.Context(), tick)
			}
			time.Sleep(time.Minute)
		}
		log.take()
		p.links[0].Heal()
		ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), first)).Unlock(t.Context()))
		log.want(t, "after it", "no quorum: 2 ticks were lost since")
	})
}

// An adapter's refusal says nothing about a quorum.
//
// Seen to fail when every ErrTaken ends the outage.
func TestOutage_adaptersRefusal(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		every10s(t, p, 5)
		log.want(t, "at first", "asking again until it is too late", "level=ERROR")
		p.Report(redlock.Event{Kind: redlock.Refused, Name: "job", Tick: time.Now(), Err: &redlock.Error{Op: "stand by", Name: "job", Reason: redlock.ErrTaken}})
		log.want(t, "when an adapter refuses a tick")
		p.links[0].Heal()
		every10s(t, p, 1)
		log.want(t, "after it", "no quorum: 5 ticks were lost")
	})
}

// What the log counts is not in the error that the caller has.
//
// Seen to fail while the count was added to the caller's error.
func TestOutage_callersError(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		j := must[*redlock.Job](t)(p.NewJob("job"))
		for range 3 {
			_, err := j.Claim(t.Context(), time.Now())
			if err == nil || strings.Contains(err.Error(), "ticks were lost") {
				t.Errorf("the caller has %v", err)
			}
			time.Sleep(40 * time.Minute)
		}
		log.want(t, "in all", "level=ERROR", "; 3 ticks were lost since 2000-01-01T00:00:00Z, 1 of them not logged")
	})
}

// An error that cannot go away by itself is logged like any other lack of a quorum: once, and again once an hour.
//
// Seen to fail while each tick had a line.
func TestOutage_permanent(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		every10s(t, p, 2)
		log.want(t, "at first", "asking again until it is too late", "level=ERROR")
		p.links[0].Heal()
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("NOAUTH Authentication required.")})
		every10s(t, p, 10)
		log.want(t, "while the password is wrong")
		p.links[0].Heal()
		every10s(t, p, 1)
		log.want(t, "after it", "no quorum: 12 ticks were lost since 2000-01-01T00:00:00Z, 11 of them not logged")
	})
}

// Names that are used once, in an outage of hours, are not remembered for ever.
//
// Seen to fail without forget: 3,000 were left.
func TestOutage_namesUsedOnce(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		for i := range 3000 {
			_, _ = must[*redlock.Job](t)(p.NewJob(fmt.Sprint("job", i))).Claim(t.Context(), time.Now())
			time.Sleep(3 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		p.links[0].Heal()
		time.Sleep(time.Second)
		ok(t, must[*redlock.Job](t)(p.NewJob("job")).Run(t.Context(), time.Now(), func(context.Context) error { return nil }))
		synctest.Wait()
		if n := redlock.OutagesOf(p.Locker); n > 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// A name that is somebody's data is never granted, so it is an error, as nobody else runs the job.
//
// Seen to fail while it was told as taken, at debug level.
func TestLog_foreignData(t *testing.T) {
	for key, opt := range map[string]redlock.LockerOption{
		"job": redlock.WithSpread(0), "job:redtick:{job}:fence": redlock.WithFencing(), "redtick:guard": redlock.WithRestartGuard(time.Minute),
	} {
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			var log logged
			p := fl.process("a", log.option(), opt)
			for _, s := range fl.servers {
				s.Do("ZADD", key, "1", "ranking")
			}
			j := must[*redlock.Job](t)(p.NewJob("job"))
			if _, err := j.Claim(t.Context(), time.Now()); !errors.Is(err, redlock.ErrTaken) {
				t.Errorf("%s: %v, want ErrTaken", key, err)
			}
			log.want(t, key, "level=ERROR msg=\"redtick: not acquired\"")
		})
	}
}

// A lock without a TTL ends only when somebody deletes it, so the log says that it is in the way, and how to end it.
//
// Seen to fail while it was told as taken, at debug level.
func TestLog_lockThatNeverExpires(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var log logged
		j := must[*redlock.Job](t)(fl.process("a", log.option()).NewJob("job"))
		for _, s := range fl.servers {
			s.Do("SET", "job", "forgotten", "PX", "60000")
		}
		_, _ = j.Claim(t.Context(), time.Now())
		log.want(t, "while it expires")
		for _, s := range fl.servers {
			s.Do("SET", "job", "forgotten")
		}
		if _, err := j.Claim(t.Context(), time.Now()); !errors.Is(err, redlock.ErrTaken) {
			t.Errorf("%v, want ErrTaken", err)
		}
		log.want(t, "once it does not", "taken by another owner (forgotten): its key never expires; delete it")
		for _, s := range fl.servers {
			s.Do("DEL", "job")
		}
	})
}

// The tick of an adoption that fails is not asked for again, so it is no warning.
//
// Seen to fail when it is told as a claim's under take-over: a mutex leaves the end of the tick to the unlock in the same way.
func TestOutage_adoption(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var log logged
		p := fl.process("a", log.option())
		token := must[string](t)(must[*redlock.Lease](t)(p.mutex(t, "job").Claim(t.Context(), time.Now())).Detach())
		p.links[0].Inject(-1, redlocktest.Fault{Err: errors.New("connection refused")})
		if _, err := p.mutex(t, "job").Adopt(t.Context(), token); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("got %v, want ErrNoQuorum", err)
		}
		p.links[0].Heal()
		log.want(t, "adoption without a quorum", `level=ERROR msg="redtick: not acquired" `)
	})
}
