package dashboard

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

// look is a snapshot of the board after one poll of the nodes. Viewers share it.
type look struct {
	head         head
	version      int
	nodesVersion int // the version that last changed head.Nodes
	rows         []shown
	gone         map[string]int // see board
	oldest       int            // see board

	mu      sync.Mutex
	encoded map[int][]byte // messages, by the version that the viewer has
}

type shown struct {
	version int
	text    []byte
}

// head is the state that does not belong to one name. Times are Unix milliseconds.
type head struct {
	Now       int64
	Known     int64 // when a majority of the nodes last answered, or 0
	Outage    bool  // no majority answers; the rows are as of Known
	Error     string
	More      bool // there are more names than are shown
	Searching bool // the first scan for names is not complete
	Control   bool
	Nodes     nodes `json:",omitempty"` // omitted if unchanged
}

// message is one event for a viewer.
type message struct {
	head
	Full bool // Rows are all rows, not only the changed ones
	Rows []json.RawMessage
	Gone []string `json:",omitempty"`
}

// since returns a message with the changes since version, or with everything for
// 0. Viewers at the same version share its bytes.
func (l *look) since(version int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.encoded[version]; text != nil {
		return text, nil
	}
	m := message{head: l.head, Full: version == 0 || version < l.oldest, Rows: []json.RawMessage{}}
	if !m.Full && l.nodesVersion <= version {
		m.Nodes = nil
	}
	for _, r := range l.rows {
		if m.Full || r.version > version {
			m.Rows = append(m.Rows, r.text)
		}
	}
	for name, at := range l.gone {
		if !m.Full && at > version {
			m.Gone = append(m.Gone, name)
		}
	}
	text, err := json.Marshal(m)
	l.encoded[version] = text
	return text, err
}

type nodes []node

type node struct {
	Name, Error, Version, Persistence string
	RoundTrip, ClockOffset            int64 // microseconds
}

// outage reports whether fewer than a majority of the nodes answered.
func (all nodes) outage() bool {
	up := 0
	for _, n := range all {
		if n.Error == "" {
			up++
		}
	}
	return up < len(all)/2+1
}

// describeAll converts infos. A time that changed little keeps its value in before,
// so that the nodes are not sent again.
func describeAll(infos []inspect.Node, before nodes) (all nodes) {
	for n, i := range infos {
		shown := node{Name: i.Name, Version: i.Version, Persistence: i.Persistence, RoundTrip: i.RoundTrip.Microseconds(), ClockOffset: i.ClockOffset.Microseconds()}
		if i.Server == "valkey" {
			shown.Version = "valkey " + i.Version
		}
		if i.Err != nil {
			shown.Error = i.Err.Error()
		}
		if n < len(before) && shown.Error == "" {
			shown.RoundTrip = steady(before[n].RoundTrip, shown.RoundTrip)
			shown.ClockOffset = steady(before[n].ClockOffset, shown.ClockOffset)
		}
		all = append(all, shown)
	}
	return all
}

// steady returns old unless now differs by at least 5 ms and half of old. Both are in microseconds.
func steady(old, now int64) int64 {
	if distance := max(old-now, now-old); distance < 5000 || distance < max(old, -old)/2 {
		return old
	}
	return now
}

// milliseconds returns t in Unix milliseconds, or 0 for the zero time.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
