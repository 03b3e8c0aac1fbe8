//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// show runs the processes and counts the runs they print.
type show struct {
	dir, addrs, prefix string
	fleet              map[string]*exec.Cmd
	readers            sync.WaitGroup

	mu     sync.Mutex
	runs   map[string]int // by tick of pulse
	winner string         // the process that ran the last tick
}

func newShow(dir string, addrs []string) *show {
	return &show{
		dir: dir, addrs: strings.Join(addrs, ","), prefix: fmt.Sprintf("redtick-demo-%d:", os.Getpid()),
		fleet: map[string]*exec.Cmd{}, runs: map[string]int{},
	}
}

const startLimit = 10 * time.Second

// start starts processes, and returns when all have read the crontab.
func (s *show) start(names ...string) error {
	for _, name := range names {
		ready := make(chan struct{})
		if err := s.startOne(name, sync.OnceFunc(func() { close(ready) })); err != nil {
			return err
		}
		select {
		case <-ready:
		case <-time.After(startLimit):
			return fmt.Errorf("process %s has not read the crontab within %v", name, startLimit)
		}
	}
	return nil
}

func (s *show) startOne(name string, ready func()) error {
	cmd := exec.Command(filepath.Join(s.dir, "redtick"), "cron", "--prefix", s.prefix, "--ttl", "3s", "crontab")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "REDIS_ADDRS="+s.addrs)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the parent only
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.fleet[name] = cmd
	s.readers.Go(func() { each(stdout, func(line string) { s.hear(name, line) }) })
	s.readers.Go(func() {
		each(stderr, func(line string) {
			if strings.Contains(line, "crontab is read") {
				ready()
			} else if !strings.Contains(line, "level=INFO") {
				fmt.Printf("%s  %s\n", name, line)
			}
		})
	})
	return nil
}

func each(from io.Reader, see func(string)) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		see(lines.Text())
	}
}

// hear is called for each line that a command has written.
func (s *show) hear(name, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("%s  %s\n", name, line)
	if tick, ok := strings.CutPrefix(line, "pulse: tick "); ok {
		s.runs[tick]++
		s.winner = name
	}
}

// killWinner kills the process that ran the last tick. It is called half way between
// two ticks.
func (s *show) killWinner() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cmd := s.fleet[s.winner]; cmd != nil {
		fmt.Printf("kill -9 %d: %s, which ran the last tick, is dead\n", cmd.Process.Pid, s.winner)
		_ = cmd.Process.Kill()
	}
}

// stop asks the processes to stop and waits for them and their running commands.
func (s *show) stop() {
	for _, cmd := range s.fleet {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	s.readers.Wait()
	for name, cmd := range s.fleet {
		_ = cmd.Wait()
		delete(s.fleet, name)
	}
}

// conclude compares the runs with the expected ticks.
func (s *show) conclude(first time.Time, ticks int) error {
	once, more, missed := 0, 0, 0
	for i := range ticks {
		switch s.runs[first.Add(time.Duration(i)*time.Second).UTC().Format(time.RFC3339)] {
		case 0:
			missed++
		case 1:
			once++
		default:
			more++
		}
	}
	fmt.Printf("ticks=%d once=%d more=%d missed=%d\n", ticks, once, more, missed)
	if once != ticks {
		return errors.New("not every tick was run once")
	}
	return nil
}
