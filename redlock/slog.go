package redlock

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Log returns an [Observer] that writes every event to logger, at the level that
// [Event.Level] returns:
//   - debug for normal work: a tick that another replica runs, a renewal;
//   - info for acquisitions, releases, runs and leaderships;
//   - warn for a run, a leader's work or a renewal that failed, a node that is out,
//     and a claim that is refused by a lock that never expires;
//   - error for what costs a run or its protection: a lost lease, no quorum, a tick
//     that is too old or too far ahead, a key that holds other data.
//
// Each line has all that is known: name, tick, holder, and each node's cause.
//
// If tick after tick of a job lacks a quorum, or call after call for a lock, only the
// first refusal and the first lost tick or call are written at their own level, the
// others at debug. A count follows once an hour, at the end of the outage, and at
// [Locker.Close]. A tick counts as lost once a call for it has ended without a quorum.
// Under [WithTakeover] it may still run.
//
// If logger is nil, the observer writes only warnings and errors, to [slog.Default] at
// the time of the event. A [Locker] without [WithObserver] does the same.
func Log(logger *slog.Logger) Observer {
	if logger == nil {
		return func(e Event) {
			if e.Level() >= slog.LevelWarn {
				write(slog.Default(), e)
			}
		}
	}
	return func(e Event) { write(logger, e) }
}

func write(logger *slog.Logger, e Event) {
	level := e.Level()
	if !logger.Enabled(context.Background(), level) {
		return
	}
	record := slog.NewRecord(e.At, level, "redtick: "+e.text(), 0)
	record.AddAttrs(e.attrs()...)
	_ = logger.Handler().Handle(context.Background(), record)
}

// Level returns the level at which [Log] writes the event.
func (e Event) Level() slog.Level {
	if e.Missed > 0 {
		return max(slog.LevelWarn, e.level())
	}
	return e.level()
}

func (e Event) level() slog.Level {
	kind, known := kinds[e.Kind]
	switch {
	case e.repeated, e.Kind == Ended && e.Result == runLost: // the event Lost came before it
		return slog.LevelDebug
	case e.Kind == Refused:
		return e.refusalLevel()
	case e.Err != nil && (e.Kind == Released || e.Kind == Ended),
		e.Err != nil && e.Kind == SteppedDown && !errors.Is(e.Err, context.Canceled): // which work returns at the end of its term
		return slog.LevelWarn
	case e.Err != nil && !known: // an adapter's
		return min(slog.LevelWarn, e.refusalLevel())
	}
	return kind.level
}

func (e Event) refusalLevel() slog.Level {
	refusal := refusalOf(e.Err)
	switch {
	case refusal.Holder == protocol.Foreign: // this never ends by itself
		return slog.LevelError
	case refusal.Reason == ErrTaken && refusal.permanent, refusal.retry > noRetry: // the tick is not lost yet, or its caller stopped asking
		return slog.LevelWarn
	case errors.Is(e.Err, ErrTaken), errors.Is(e.Err, ErrTickDone), errors.Is(e.Err, context.Canceled):
		return slog.LevelDebug
	case errors.Is(e.Err, ErrPaused):
		return slog.LevelInfo
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, ErrClosed):
		return slog.LevelWarn
	}
	return slog.LevelError
}

// kinds has each kind's text and level, for events of which text and level have no special case.
var kinds = map[EventKind]struct {
	text  string
	level slog.Level
}{
	Acquired:        {"acquired", slog.LevelInfo},
	Refused:         {"not acquired", slog.LevelError},
	Renewed:         {"renewed", slog.LevelDebug},
	RenewFailed:     {"renewal failed; the lease stands until its validity ends", slog.LevelWarn},
	Lost:            {"lease lost", slog.LevelError},
	Released:        {"released", slog.LevelInfo},
	NodeOut:         {"node is out", slog.LevelWarn},
	NodeBack:        {"node is back", slog.LevelInfo},
	Elected:         {"elected leader", slog.LevelInfo},
	SteppedDown:     {"stepped down as leader", slog.LevelInfo},
	Ended:           {"run ended", slog.LevelInfo},
	OutageEnded:     {"an outage has ended, in which there was no quorum", slog.LevelWarn},
	Triggered:       {"triggered; one of the replicas that listen runs it", slog.LevelInfo},
	NoticesUnheard:  {"release notices from this node are not heard; waiting locks use those of another node, or poll", slog.LevelWarn},
	TriggersUnheard: {"triggers from this node are not heard; subscribing again", slog.LevelWarn},
}

func (e Event) text() string {
	switch refusal := refusalOf(e.Err); {
	case e.Kind == Acquired && e.Err != nil:
		return "acquired late, once there was a quorum"
	case e.Kind == Refused && refusal.retry == retrying:
		return "not acquired yet; asking again until it is too late"
	case e.Kind == Refused && refusal.retry == retryOpen:
		return "not acquired yet; the tick may be asked for again until it is stale"
	case e.Kind == Refused && refusal.retry == retryEnded:
		return "not acquired; its caller stopped asking"
	case e.Kind == Released && e.Err != nil:
		return "release not confirmed by a majority"
	case e.Kind == Ended && e.Result != runOK:
		return "run " + e.Result
	}
	return cmp.Or(kinds[e.Kind].text, string(e.Kind))
}

// attrs returns the event's fields that are set.
func (e *Event) attrs() []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 12), slog.String("event", string(e.Kind)))
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("name", e.Name)
	if !e.Tick.IsZero() {
		add("tick", e.Tick.UTC().Format(time.RFC3339Nano))
	}
	add("me", HolderOf(e.Token))
	add("holder", HolderOf(e.Holder))
	add("by", e.By)
	add("node", e.Node)
	add("result", e.Result)
	if e.Duration > 0 {
		attrs = append(attrs, slog.Duration("took", e.Duration))
	}
	if e.Missed > 0 {
		attrs = append(attrs, slog.Int("missed", e.Missed))
	}
	if e.Err != nil {
		add("error", e.Err.Error())
	}
	return attrs
}
