//go:build unix

// Crontab runs two processes that share a crontab. Each tick of each line runs on one
// of them, even after one is killed.
//
//	go run ./examples/crontab
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/crontab -ticks 60
//
// It builds the command redtick, and starts embedded Redis nodes unless REDIS_ADDRS
// names real ones. The last line counts the ticks of pulse; the exit status is 0 only
// if each was run exactly once. It needs a Unix system.
//
// The part to copy is the file crontab.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/redtick/redtick/examples/internal/demo"
)

//go:embed crontab
var crontab []byte

func main() {
	ticks := flag.Int("ticks", 20, "end after this many ticks of pulse, at least 4; one process is killed half way")
	flag.Parse()
	if *ticks < 4 || flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "-ticks is %d with the arguments %q, must be 4 or more with none; see -help\n", *ticks, flag.Args())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := play(ctx, *ticks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(ctx context.Context, ticks int) error {
	nodes, err := demo.OpenRedis(ctx)
	if err != nil {
		return err
	}
	defer nodes.Close()
	dir, err := os.MkdirTemp("", "redtick-crontab")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := prepare(ctx, dir); err != nil {
		return err
	}
	fmt.Printf("2 processes, one crontab, %s\n\n%s\n", nodes, crontab)
	s := newShow(dir, nodes.Addrs)
	defer s.stop()
	if err := s.start("A", "B"); err != nil {
		return err
	}
	first := time.Now().Truncate(time.Second).Add(2 * time.Second)
	end := first.Add(time.Duration(ticks) * time.Second)
	if err := sleepUntil(ctx, first.Add(time.Duration(ticks/2)*time.Second-time.Second/2)); err != nil {
		return err
	}
	s.killWinner()
	if err := sleepUntil(ctx, end.Add(-time.Second/4)); err != nil {
		return err
	}
	s.stop()
	return s.conclude(first, ticks)
}

// prepare builds the command and writes the crontab.
func prepare(ctx context.Context, dir string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "redtick"), "github.com/redtick/redtick/cmd/redtick")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("redtick cannot be built: %w\n%s", err, out)
	}
	return os.WriteFile(filepath.Join(dir, "crontab"), crontab, 0o600)
}

func sleepUntil(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
