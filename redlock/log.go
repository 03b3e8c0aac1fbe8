package redlock

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Log is an [Observer] that writes every event to logger, at the level an
// operator wants it: what is part of normal work (a tick that another replica
// runs, a renewal) at debug, acquisitions, releases and leaderships at info, a
// renewal that failed and a node that is out at warn, and what costs a run or
// its protection (a lost lease, no quorum, a tick that is too old or too far
// ahead) at error. Each line stands alone: name, tick, who was ahead, and each
// node's cause.
func Log(logger *slog.Logger) Observer {
	return func(e Event) {
		level := e.level()
		if !logger.Enabled(context.Background(), level) {
			return
		}
		record := slog.NewRecord(e.At, level, "redtick: "+e.text(), 0)
		var few [10]slog.Attr
		record.AddAttrs(e.attrs(few[:0])...)
		_ = logger.Handler().Handle(context.Background(), record)
	}
}

func (e Event) level() slog.Level {
	switch e.Kind {
	case Renewed:
		return slog.LevelDebug
	case RenewFailed, NodeOut, EventsMissed:
		return slog.LevelWarn
	case Lost:
		return slog.LevelError
	case Refused:
		return e.refusalLevel()
	case Released:
		if e.Err != nil {
			return slog.LevelWarn
		}
	}
	return slog.LevelInfo
}

func (e Event) refusalLevel() slog.Level {
	switch {
	case errors.Is(e.Err, ErrTaken), errors.Is(e.Err, ErrTickDone), errors.Is(e.Err, context.Canceled):
		return slog.LevelDebug
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, ErrClosed):
		return slog.LevelWarn
	}
	return slog.LevelError
}

func (e Event) text() string {
	switch e.Kind {
	case Acquired:
		return "acquired"
	case Refused:
		return "not acquired"
	case Renewed:
		return "renewed"
	case RenewFailed:
		return "renewal failed; the lease stands until its validity ends"
	case Lost:
		return "lease lost"
	case Released:
		return "released"
	case NodeOut:
		return "node is out"
	case NodeBack:
		return "node is back"
	case Elected:
		return "elected leader"
	case SteppedDown:
		return "stepped down as leader"
	case EventsMissed:
		return "events thrown away, because the observer was too slow"
	}
	return string(e.Kind)
}

// attrs adds what applies to attrs.
func (e *Event) attrs(attrs []slog.Attr) []slog.Attr {
	attrs = append(attrs, slog.String("event", string(e.Kind)))
	attrs = addText(attrs, "name", e.Name)
	if !e.Tick.IsZero() {
		attrs = addText(attrs, "tick", e.Tick.UTC().Format(time.RFC3339Nano))
	}
	attrs = addText(attrs, "me", HolderOf(e.Token))
	attrs = addText(attrs, "holder", HolderOf(e.Holder))
	attrs = addText(attrs, "node", e.Node)
	if e.Duration > 0 {
		attrs = append(attrs, slog.Duration("took", e.Duration))
	}
	if e.Missed > 0 {
		attrs = append(attrs, slog.Int("missed", e.Missed))
	}
	if e.Err != nil {
		attrs = addText(attrs, "error", e.Err.Error())
	}
	return attrs
}

func addText(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}
