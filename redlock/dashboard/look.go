package dashboard

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

// look is the state of things after a look. Viewers share it.
type look struct {
	head         head
	version      int
	nodesVersion int
	rows         []shown
	gone         map[string]int
	oldest       int

	mu      sync.Mutex
	encoded map[int][]byte // by the version they are for
}

type shown struct {
	version int
	text    []byte
}

// head is what concerns all names. Times are Unix milliseconds.
type head struct {
	Now       int64
	Known     int64 // when a majority of the nodes answered last, or 0
	Outage    bool  // none does, and the rows are as old as that
	Error     string
	More      bool // there are more names than are shown
	Searching bool // names are being searched for the first time
	Control   bool
	Nodes     nodes `json:",omitempty"` // left out when nothing has changed
}

// message is what a viewer is sent.
type message struct {
	head
	Full bool              // Rows are all there are
	Rows []json.RawMessage // that have changed
	Gone []string          `json:",omitempty"`
}

// since is what has changed after the look of that version; all that is known
// for 0. Viewers that saw the same get the same bytes.
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

// outage reports whether no majority answers.
func (all nodes) outage() bool {
	up := 0
	for _, n := range all {
		if n.Error == "" {
			up++
		}
	}
	return up < len(all)/2+1
}

// describeAll shows what the nodes said. Times that waver are not told anew.
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

// steady is the old value in microseconds as long as it says as much as the new one.
func steady(old, now int64) int64 {
	if distance := max(old-now, now-old); distance < 5000 || distance < max(old, -old)/2 {
		return old
	}
	return now
}

// milliseconds is an instant in Unix milliseconds, or 0.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
