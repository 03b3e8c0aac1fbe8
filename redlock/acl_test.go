package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// aclRules is what SECURITY.md tells users to allow, taken from there.
func aclRules(t *testing.T) (rules []string) {
	text := string(must[[]byte](t)(os.ReadFile("../SECURITY.md")))
	_, block, found := strings.Cut(text, "ACL SETUSER redtick on '>secret'")
	if !found {
		t.Fatal("SECURITY.md has no ACL rule")
	}
	block, _, _ = strings.Cut(block, "```")
	return strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(block))
}

// exercise uses everything a service uses, under names that begin with "app:".
func exercise(t *testing.T, addr string) error {
	client := redis.NewClient(&redis.Options{Addr: addr, Username: "redtick", Password: "secret"})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	waited := make(chan error, 1)
	for _, opts := range [][]redlock.LockerOption{nil, {redlock.WithFencing()}, {redlock.WithRestartGuard(time.Second), redlock.WithTTL(time.Second), redlock.WithNodeTimeout(400 * time.Millisecond)}} {
		l, err := redlock.New(goredis.Nodes(client), append(opts, redlock.WithPrefix("app:"))...)
		if err != nil {
			return err
		}
		if err := l.Check(ctx); err != nil {
			return err
		}
		_ = bootstrap(ctx, l)
		time.Sleep(1100 * time.Millisecond)
		if err := hearTrigger(ctx, addr, l); err != nil {
			return err
		}
		m := subjectOn(t, l, "job", redlock.WithBackoff(func(int) time.Duration { return 10 * time.Second }))
		lease, err := m.TryLock(ctx)
		if err != nil {
			return err
		}
		go func() {
			next, err := m.Lock(ctx)
			if err == nil {
				err = next.Unlock(ctx)
			}
			waited <- err
		}()
		time.Sleep(50 * time.Millisecond)
		for _, step := range []func() error{
			func() error { return lease.Extend(ctx) },
			func() error { return lease.Unlock(ctx) },
			func() error { return <-waited },
			func() error { return claimTwice(ctx, m) },
			func() error { return l.Close(ctx) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// hearTrigger listens as the service, and triggers as somebody who may.
func hearTrigger(ctx context.Context, addr string, l *redlock.Locker) error {
	j, err := l.NewJob("job")
	if err != nil {
		return err
	}
	heard := make(chan time.Time, 1)
	stop, err := j.OnTrigger(func(tick time.Time) {
		select {
		case heard <- tick:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	message := protocol.Trigger{Name: "app:job", Tick: time.Now().UnixMilli()}.Encode()
	for client.Publish(ctx, protocol.TriggerChannel, message).Val() == 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("not listening: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func claimTwice(ctx context.Context, m *subject) error {
	for range 2 {
		lease, err := m.Claim(ctx, time.Now())
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
		if err := lease.Unlock(ctx); err != nil {
			return err
		}
	}
	return nil
}

// The rules in SECURITY.md are enough, and so is what the error of a user without them says.
func TestACL_isEnough(t *testing.T) {
	_, cure, _ := strings.Cut(protocol.WithCure(errors.New("NOPERM")).Error(), "ACL SETUSER name ")
	cure = strings.ReplaceAll(strings.TrimSuffix(cure, ")"), "prefix:", "app:")
	for name, rules := range map[string][]string{"SECURITY.md": aclRules(t), "cure": strings.Fields(cure)} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.Start(t)
			must[any](t)(server.Do(append([]string{"ACL", "SETUSER", "redtick", "on", ">secret"}, rules...)...))
			err := exercise(t, server.Addr())
			log, _ := server.Do("ACL", "LOG")
			if err != nil {
				t.Errorf("%v\n%v", err, log)
			}
			for _, entry := range log.([]any) {
				if !strings.Contains(fmt.Sprint(entry), "object client|") { // the client's greeting
					t.Errorf("denied: %v", entry)
				}
			}
		})
	}
}

// And they are tight: a stranger's key is out of reach.
func TestACL_isTight(t *testing.T) {
	server := redisserver.Start(t)
	must[any](t)(server.Do(append([]string{"ACL", "SETUSER", "redtick", "on", ">secret"}, aclRules(t)...)...))
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "redtick", Password: "secret"})
	defer client.Close()
	for _, args := range [][]any{{"GET", "session:1"}, {"SET", "other", "x"}, {"FLUSHALL"}, {"KEYS", "*"}, {"CONFIG", "GET", "*"}, {"PUBLISH", "news", "x"}, {"PUBLISH", protocol.TriggerChannel, "x"}} {
		if err := client.Do(t.Context(), args...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%v: %v, want NOPERM", args, err)
		}
	}
}
