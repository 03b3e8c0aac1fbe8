package cronadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func newLocker(t *testing.T) *redlock.Locker {
	t.Helper()
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"))
	if err != nil {
		t.Fatal(err)
	}
	return locker
}

func newAdapter(t *testing.T) *cronadapter.Adapter {
	t.Helper()
	a, err := cronadapter.New(newLocker(t))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNew_refuses(t *testing.T) {
	locker := newLocker(t)
	cases := map[string]struct {
		locker *redlock.Locker
		opt    cronadapter.Option
		says   string
	}{
		"no locker":  {nil, cronadapter.WithoutAlignment(), "locker is nil"},
		"nil option": {locker, nil, "option 1 is nil"},
		"job option": {locker, cronadapter.WithJobOptions(redlock.WithTTL(1)), "TTL"},
		"any order":  {locker, cronadapter.WithJobOptions(redlock.WithAnyOrder()), "come in order"},
		"nil clock":  {locker, cronadapter.WithClock(nil), "clock is nil"},
		"nil parser": {locker, cronadapter.WithParser(nil), "parser is nil"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, err := cronadapter.New(c.locker, c.opt)
			if a != nil || !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
}

// A refused job is not added, and its name stays free.
func TestAdapter_Add_refuses(t *testing.T) {
	c := cron.New()
	cases := map[string]struct {
		c    *cron.Cron
		name string
		spec string
		f    func(context.Context) error
		opt  redlock.JobOption
		says string
	}{
		"no cron":          {nil, "job", "* * * * *", nothing, nil, `cron is nil for job "job"`},
		"no name":          {c, "", "* * * * *", nothing, nil, "name is empty"},
		"name of another":  {c, "other", "* * * * *", nothing, nil, `name "other" belongs to another job`},
		"no function":      {c, "job", "* * * * *", nil, nil, `function of job "job" is nil`},
		"no fields":        {c, "job", "", nothing, nil, `spec ""`},
		"wrong field":      {c, "job", "61 * * * *", nothing, nil, `spec "61 * * * *"`},
		"seven fields":     {c, "job", "0 0 * * * * *", nothing, nil, "WithParser"},
		"unknown zone":     {c, "job", "TZ=Mars/Olympus * * * * *", nothing, nil, "Mars/Olympus"},
		"nothing but zone": {c, "job", "TZ=UTC", nothing, nil, `spec "TZ=UTC"`},
		"no such date":     {c, "job", "0 0 31 2 *", nothing, nil, "does not activate"},
		"any order":        {c, "job", "* * * * *", nothing, redlock.WithAnyOrder(), "come in order"},
		"wrong option":     {c, "job", "* * * * *", nothing, redlock.WithTTL(time.Nanosecond), `job "job": redlock: invalid: TTL`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a := newAdapter(t)
			if _, err := a.Add(c, "other", "* * * * *", nothing); err != nil {
				t.Fatal(err)
			}
			before := len(c.Entries())
			var opts []redlock.JobOption
			if tc.opt != nil {
				opts = append(opts, tc.opt)
			}
			_, err := a.Add(tc.c, tc.name, tc.spec, tc.f, opts...)
			if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %q", err, tc.says)
			}
			if got := len(c.Entries()); got != before {
				t.Errorf("%d entries, want %d", got, before)
			}
			if tc.name != "job" {
				return
			}
			if _, err := a.Add(c, "job", "* * * * *", nothing); err != nil {
				t.Errorf("the name is not free: %v", err)
			}
		})
	}
}

// Seen to fail when Attach accepts nil, on which a run would later panic.
func TestAdapter_Attach_nil(t *testing.T) {
	a := newAdapter(t)
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "cronadapter: Attach got a nil") {
			t.Errorf("got %v, want a panic that says what to pass", r)
		}
	}()
	a.Attach(nil)
}

// A name belongs to one job, however the job was added.
func TestAdapter_names(t *testing.T) {
	forms := map[string]func(*cronadapter.Adapter) error{
		"AddFunc": func(a *cronadapter.Adapter) error {
			_, err := a.AddFunc(cron.New(), "job", "* * * * *", func() {})
			return err
		},
		"Add": func(a *cronadapter.Adapter) error {
			_, err := a.Add(cron.New(), "job", "* * * * *", nothing)
			return err
		},
		"NewJob": func(a *cronadapter.Adapter) error {
			_, err := a.NewJob("job", cron.Every(time.Minute), nothing)
			return err
		},
		"Wrap": func(a *cronadapter.Adapter) error {
			_, err := a.Wrap("job")
			return err
		},
	}
	for first, addFirst := range forms {
		for second, addSecond := range forms {
			t.Run(first+" then "+second, func(t *testing.T) {
				a := newAdapter(t)
				if err := addFirst(a); err != nil {
					t.Fatal(err)
				}
				if err := addSecond(a); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), `"job"`) {
					t.Errorf("second: %v", err)
				}
				if err := addSecond(newAdapter(t)); err != nil {
					t.Errorf("on another replica: %v", err)
				}
			})
		}
	}
	if _, err := newAdapter(t).Wrap(""); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("Wrap without a name: %v", err)
	}
}

// Remove frees the name, so that a job may get another schedule while its cron
// runs, and leaves other jobs alone.
func TestAdapter_Remove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f := newFleet(t, 1)
		r := f.replica("a", 0)
		r.addSpec("job", "* * * * *")
		r.addSpec("other", "* * * * *")
		r.wrapSpec("wrapped", "* * * * *")
		r.Start()
		begin := time.Now()
		time.Sleep(3 * time.Minute)
		for _, name := range []string{"job", "wrapped"} {
			if !r.a.Remove(r.Cron, name) || r.a.Remove(r.Cron, name) {
				t.Errorf("Remove(%q) must find it once", name)
			}
		}
		r.addSpec("job", "*/5 * * * *")
		moved, end := time.Now(), time.Now().Add(time.Hour)
		travel(end)
		leaveAll([]*replica{r})
		every := chain(t, "* * * * *", time.UTC, begin, moved)
		same(t, "job", f.of("job"), append(every, chain(t, "*/5 * * * *", time.UTC, moved, end)...))
		same(t, "wrapped", f.of("wrapped"), every)
		same(t, "other", f.of("other"), chain(t, "* * * * *", time.UTC, begin, end))
	})
}

// A wrapper that was made and never applied keeps its name until Remove.
func TestAdapter_Remove_frees_unused_name(t *testing.T) {
	a := newAdapter(t)
	if _, err := a.Wrap("job"); err != nil {
		t.Fatal(err)
	}
	if a.Remove(cron.New(), "job") {
		t.Error("found what was never added")
	}
	if _, err := a.Wrap("job"); err != nil {
		t.Error(err)
	}
}

// A cron with a dialect of its own, here one with an optional day of the week.
func TestWithParser(t *testing.T) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.DowOptional)
	a, err := cronadapter.New(newLocker(t), cronadapter.WithParser(parser))
	if err != nil {
		t.Fatal(err)
	}
	c := cron.New(cron.WithParser(parser))
	if _, err := a.Add(c, "job", "0 6 1 *", nothing); err != nil {
		t.Error(err)
	}
	if _, err := newAdapter(t).Add(c, "job", "0 6 1 *", nothing); err == nil {
		t.Error("the default parser took four fields")
	}
}
