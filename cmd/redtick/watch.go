package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// watching is the watch command.
type watching struct {
	listing
	interval time.Duration
}

func newWatch(t *target) *cobra.Command {
	watch := &watching{listing: listing{inspection: inspection{target: t}}}
	c := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "ls, live",
		Long: `watch shows what ls shows, again and again, until Ctrl-C. It goes on while nodes are
out, and says so when no majority answers; "redtick status" shows each node. It
needs a terminal: in a script, repeat "redtick ls -o json".

Exit codes
  0   ended by Ctrl-C (or SIGTERM)
  64  the command line is wrong, or stdout is no terminal`,
		Example: `  redtick watch
  redtick watch billing/ --interval 500ms`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), endings...)
			defer stop()
			return watch.run(ctx, c.OutOrStdout(), strings.Join(args, ""))
		},
	}
	watch.inspection.flags(c)
	watch.flags(c)
	c.Flags().DurationVar(&watch.interval, "interval", time.Second, "how often to look, 100ms to 1h")
	return c
}

func (watch *watching) run(ctx context.Context, w io.Writer, prefix string) error {
	if watch.interval < 100*time.Millisecond || watch.interval > time.Hour {
		return usage("--interval is %v, must be 100ms to 1h", watch.interval)
	}
	if !isTerminal(os.Stdout) {
		return usage("stdout is no terminal, and watch draws on one; in a script, repeat: redtick ls -o json")
	}
	f, inspector, err := watch.open()
	if err != nil {
		return err
	}
	defer f.disconnect()
	next := time.NewTicker(watch.interval)
	defer next.Stop()
	for {
		found, err := watch.find(ctx, inspector, prefix)
		if ctx.Err() != nil {
			return nil
		}
		if err := (screen{w, prefix}).show(found, err); err != nil {
			return exit(exitWarning, err)
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screen redraws a table in place.
type screen struct {
	w      io.Writer
	prefix string
}

func (s screen) show(found *foundNames, failure error) error {
	var body bytes.Buffer
	fmt.Fprintf(&body, "redtick watch %s  %s  (Ctrl-C ends)\n\n", printable(s.prefix), time.Now().Format(time.TimeOnly))
	if failure != nil {
		fmt.Fprintf(&body, "%s\n\n", printable(plain(failure)))
	}
	if err := found.write(&body, failure); err != nil {
		return err
	}
	columns, rows := terminalSize(os.Stdout)
	lines := strings.Split(strings.TrimRight(body.String(), "\n"), "\n")
	if hidden := len(lines) - rows + 1; hidden > 0 {
		lines = append(lines[:max(rows-2, 0)], fmt.Sprintf("… and %s below the screen", count(hidden+1, "line")))
	}
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	frame := home
	for _, line := range lines {
		frame += cut(line, columns) + clearLine + "\r\n"
	}
	_, err := io.WriteString(s.w, frame+clearBelow)
	return err
}

func cut(line string, columns int) string {
	if runes := []rune(line); len(runes) > columns {
		return string(runes[:columns-1]) + "…"
	}
	return line
}
